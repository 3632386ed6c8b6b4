"""The alignment metrics, against loops written from the definitions, their invariances and their chance levels."""

import itertools
import math

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from crossalign.alignment import ALIGNMENT_METRICS, aligned, mexa, option_margins, relabelled_rate, ties
from crossalign.similarity import OptionCosines, option_cosines, sentence_matches

OPTION_METRICS = ("dali", "dali_s", "dali_rowwise", "dali_gold")
SYMMETRIC = ("dali", "dali_s")
N_LAYERS = 3


def _cosines(seed: int, n: int, count: int = 60, matched: float = 0.6) -> OptionCosines:
    """Random cosines [instance, layer, option, option]; matched pairs are larger on average."""
    rng = np.random.default_rng(seed)
    cross = rng.uniform(-0.5, 0.5, size=(count, N_LAYERS, n, n)) + matched * np.eye(n)
    within = []
    for _ in range(2):
        block = rng.uniform(-0.5, 0.5, size=(count, N_LAYERS, n, n))
        within.append(np.where(np.eye(n, dtype=bool), 1.0, (block + block.swapaxes(2, 3)) / 2))
    return OptionCosines(cross, *within)


def _gold(seed: int, n: int, count: int = 60) -> np.ndarray:
    return np.random.default_rng(seed + 1000).integers(0, n, size=count)


def _slow_margin(name: str, s, u, v, gold: int) -> float:
    """One instance at one layer, from the table of definitions."""
    n = len(s)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    lowest = min(s[i][i] for i in range(n))
    if name == "dali":
        return lowest - max(s[i][j] for i, j in pairs)
    if name == "dali_s":
        return lowest - max(max(s[i][j], u[i][j], v[i][j]) for i, j in pairs)
    if name == "dali_rowwise":
        return min(s[i][i] - max(s[i][j] for j in range(n) if j != i) for i in range(n))
    return s[gold][gold] - max(s[gold][j] for j in range(n) if j != gold)


@pytest.mark.parametrize("name", OPTION_METRICS)
@pytest.mark.parametrize("n", [2, 3, 4])
def test_margins_are_those_of_the_definition(name, n):
    cosines, gold = _cosines(n, n), _gold(n, n)
    slow = [
        [_slow_margin(name, *(block[m, layer].tolist() for block in cosines), gold[m]) for layer in range(N_LAYERS)]
        for m in range(60)
    ]
    margins = option_margins(cosines, gold)[name]
    np.testing.assert_allclose(margins, slow, atol=1e-12)
    decisions = aligned(margins)
    assert 0 < decisions.mean() < 1, "random cosines that decide nothing prove nothing"
    np.testing.assert_array_equal(decisions, np.array(slow) > 0)


HAND = {
    # cross, within pivot, within language → margins of dali, dali_s, row-wise, gold-only (gold 1)
    "all aligned": ([[0.9, 0.2], [0.3, 0.8]], 0.5, 0.6, (0.5, 0.2, 0.5, 0.5)),
    "a distractor within the language": ([[0.9, 0.2], [0.3, 0.8]], 0.5, 0.85, (0.5, -0.05, 0.5, 0.5)),
    "a distractor within the pivot": ([[0.9, 0.2], [0.3, 0.8]], 0.95, 0.1, (0.5, -0.15, 0.5, 0.5)),
    "rows win, the whole loses": ([[0.9, 0.7], [0.1, 0.4]], 0.0, 0.0, (-0.3, -0.3, 0.2, 0.3)),
    "the gold row loses": ([[0.9, 0.1], [0.6, 0.5]], 0.0, 0.0, (-0.1, -0.1, -0.1, -0.1)),
    "the other row loses": ([[0.3, 0.6], [0.2, 0.7]], 0.0, 0.0, (-0.3, -0.3, -0.3, 0.5)),
    "ties": ([[0.5, 0.5], [0.5, 0.5]], 0.5, 0.5, (0.0, 0.0, 0.0, 0.0)),
    "a tie within the language": ([[0.9, 0.2], [0.3, 0.8]], 0.5, 0.8, (0.5, 0.0, 0.5, 0.5)),
}


@pytest.mark.parametrize("case", HAND)
def test_hand_worked_instances(case):
    cross, u, v, expected = HAND[case]
    within = [np.array([[[[1.0, w], [w, 1.0]]]]) for w in (u, v)]
    margins = option_margins(OptionCosines(np.array([[cross]]), *within), np.array([1]))
    assert [round(float(margins[name][0, 0]), 9) for name in OPTION_METRICS] == list(expected)
    assert [float(aligned(margins[name])[0, 0]) for name in OPTION_METRICS] == [float(m > 0) for m in expected]


def test_mexa_needs_row_and_column():
    matched, row, column = (
        np.array([[0.9, 0.9, 0.9, 0.9]]),
        np.array([[0.5, 0.95, 0.5, 0.9]]),
        np.array([[0.7, 0.5, 0.95, 0.5]]),
    )
    margins = mexa(matched, row, column)
    assert margins.round(9).tolist() == [[0.2, -0.05, -0.05, 0.0]]
    assert aligned(margins).tolist() == [[1.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_strong_metric_implies_dali_and_dali_implies_rows_and_gold(n):
    found = {k: aligned(m) for k, m in option_margins(_cosines(9, n, 2000, 0.9), _gold(9, n, 2000)).items()}
    for strong, weak in (("dali_s", "dali"), ("dali", "dali_rowwise"), ("dali_rowwise", "dali_gold")):
        assert (found[strong] <= found[weak]).all()
        assert found[strong].mean() < found[weak].mean()


def _states(seed: int, n: int, count: int = 40, hidden: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pivot = rng.normal(size=(count, n, hidden)) + 0.5 * rng.normal(size=(count, 1, hidden))
    return pivot.astype(np.float32), (pivot + 1.5 * rng.normal(size=pivot.shape)).astype(np.float32)


def _layered(pivot: np.ndarray, language: np.ndarray) -> OptionCosines:
    """Cosines with one layer."""
    return OptionCosines(*(block[:, None] for block in option_cosines(pivot, language)))


def _decided(pivot: np.ndarray, language: np.ndarray, gold: np.ndarray) -> dict[str, np.ndarray]:
    return {name: aligned(m)[:, 0] for name, m in option_margins(_layered(pivot, language), gold).items()}


@pytest.mark.parametrize("n", [2, 3, 4])
def test_relabelling_both_languages_alike_changes_no_decision(n):
    (e, x), gold = _states(n, n), _gold(n, n, 40)
    before = _decided(e, x, gold)
    assert all(0 < before[name].mean() < 1 for name in OPTION_METRICS)
    for order in itertools.permutations(range(n)):
        new_gold = np.array([order.index(g) for g in gold])
        after = _decided(e[:, order], x[:, order], new_gold)
        for name in OPTION_METRICS:
            np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_length_of_vectors_changes_no_decision(n):
    (e, x), gold = _states(n, n), _gold(n, n, 40)
    rng = np.random.default_rng(0)
    scaled = [(s * rng.uniform(0.01, 100, size=s.shape[:2])[..., None]).astype(np.float32) for s in (e, x)]
    for name, decision in _decided(e, x, gold).items():
        np.testing.assert_array_equal(_decided(*scaled, gold)[name], decision)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_swapping_pivot_and_language_changes_no_symmetric_decision(n):
    (e, x), gold = _states(n, n), _gold(n, n, 40)
    for name in SYMMETRIC:
        np.testing.assert_array_equal(_decided(e, x, gold)[name], _decided(x, e, gold)[name])
    there, back = sentence_matches(e[:, 0], x[:, 0]), sentence_matches(x[:, 0], e[:, 0])
    margins = [mexa(*(part[:, None] for part in side[:3])) for side in (there, back)]
    np.testing.assert_array_equal(*map(aligned, margins))


@pytest.mark.parametrize("scales", [(1, 1, 1, 1), (1, 2, 0.25, 64)], ids=["equal", "scaled by powers of two"])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_options_with_the_same_state_tie_and_are_not_aligned(n, scales):
    """As at layer 0 with last-token pooling, when all options end in the same full stop."""
    rng = np.random.default_rng(n)
    full_stop = rng.normal(size=(2, 30, 1, 333))
    e, x = ((full_stop[k] * np.array(scales[:n])[:, None]).astype(np.float32) for k in range(2))
    x = x[:, ::-1]
    margins = option_margins(_layered(e, x), _gold(n, n, 30))
    for name in ("dali", "dali_rowwise", "dali_gold"):
        assert (margins[name] == 0).all()
        assert (aligned(margins[name]) == 0).all()
        assert ties(margins[name]).tolist() == [1.0]
    # Equal options within a language have cosine 1, which no translation beats.
    assert (margins["dali_s"] < 0).all()
    same = option_margins(_layered(e, e), _gold(n, n, 30))["dali_s"]
    assert (same == 0).all()


def test_ties_are_counted_among_defined_margins_only():
    margins = np.array([[0.0, 0.1, np.nan], [np.nan, 0.0, np.nan], [-0.2, 0.0, np.nan]])
    np.testing.assert_array_equal(ties(margins), [1 / 2, 2 / 3, np.nan])
    np.testing.assert_array_equal(aligned(margins), [[0, 1, np.nan], [np.nan, 0, np.nan], [0, 0, np.nan]])


@pytest.mark.parametrize("n", [2, 3, 4])
def test_an_undefined_state_leaves_its_instance_undefined_and_no_other(n):
    (e, x), gold = _states(n, n), np.zeros(40, dtype=np.int64)
    before = option_margins(_layered(e, x), gold)
    e[3, 0, 0], x[7, n - 1, 0] = np.nan, np.inf
    after = option_margins(_layered(e, x), gold)
    for name in OPTION_METRICS:
        assert np.flatnonzero(np.isnan(after[name])).tolist() == [3, 7]
        keep = [i for i in range(40) if i not in (3, 7)]
        np.testing.assert_array_equal(after[name][keep], before[name][keep])


def _slow_relabelled(name: str, cosines: OptionCosines, gold: np.ndarray, layer: int) -> float:
    """Language option j becomes language option j + shift, in both blocks that it takes part in."""
    n, rates = cosines.cross.shape[-1], []
    for shift in range(1, n):
        hits = []
        for m in range(len(gold)):
            s, u, v = (block[m, layer].tolist() for block in cosines)
            moved = [[s[i][(j + shift) % n] for j in range(n)] for i in range(n)]
            within = [[v[(i + shift) % n][(j + shift) % n] for j in range(n)] for i in range(n)]
            margin = _slow_margin(name, moved, u, within, gold[m])
            if not math.isnan(margin):
                hits.append(margin > 0)
        rates.append(sum(hits) / len(hits))
    return sum(rates) / len(rates)


@pytest.mark.parametrize("name", OPTION_METRICS)
@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_relabelled_rate_is_that_of_a_slow_loop(name, n):
    cosines, gold = _cosines(n, n, count=400, matched=0.0), _gold(n, n, 400)
    cosines.cross[5] = np.nan
    found = relabelled_rate(ALIGNMENT_METRICS[name].margin, cosines, gold)
    slow = [_slow_relabelled(name, cosines, gold, layer) for layer in range(N_LAYERS)]
    np.testing.assert_allclose(found, slow, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "chance"), [("dali", 1 / 6), ("dali_s", 1 / 15), ("dali_rowwise", 1 / 4), ("dali_gold", 1 / 2)]
)
def test_chance_with_two_options_by_all_orders_of_the_cosines(name, chance):
    # Four cosines across and one within each language, in all 720 orders.
    orders = np.array(list(itertools.permutations(range(6)))) / 6
    cross = orders[:, :4].reshape(-1, 1, 2, 2)
    within = [np.where(np.eye(2, dtype=bool), 1.0, orders[:, k, None, None, None]) for k in (4, 5)]
    rate = aligned(option_margins(OptionCosines(cross, *within), np.zeros(720, dtype=np.int64))[name]).mean()
    assert rate == pytest.approx(chance, abs=1e-12)
    assert ALIGNMENT_METRICS[name].chance(2) == pytest.approx(chance, abs=1e-12)


@pytest.mark.parametrize("name", OPTION_METRICS)
def test_chance_with_three_options_by_simulation(name):
    count = 150_000
    rng = np.random.default_rng(3)
    within = []
    for _ in range(2):
        block = np.ones((count, 1, 3, 3))
        for i, j in itertools.combinations(range(3), 2):
            block[:, 0, i, j] = block[:, 0, j, i] = rng.random(count)
        within.append(block)
    cosines = OptionCosines(rng.random((count, 1, 3, 3)), *within)
    rate = aligned(option_margins(cosines, rng.integers(0, 3, count))[name]).mean()
    chance = ALIGNMENT_METRICS[name].chance(3)
    assert abs(rate - chance) < 4 * math.sqrt(chance * (1 - chance) / count)


@pytest.mark.parametrize(
    ("name", "n", "chance"),
    [("dali", 3, 1 / 84), ("dali", 4, 1 / 1820), ("dali_rowwise", 4, 1 / 256), ("mexa", 100, 1 / 199)],
)
def test_published_chance_levels(name, n, chance):
    assert ALIGNMENT_METRICS[name].chance(n) == pytest.approx(chance)


@pytest.mark.parametrize("n", [2, 4])
def test_chance_of_mexa_by_simulation(n):
    count = 40_000
    c = np.random.default_rng(4).random((count, n, n))
    matched = np.diagonal(c, axis1=1, axis2=2)
    others = np.where(np.eye(n, dtype=bool), -np.inf, c)
    rate = aligned(mexa(matched, others.max(axis=2), others.max(axis=1))).mean()
    chance = ALIGNMENT_METRICS["mexa_t"].chance(n)
    assert chance == 1 / (2 * n - 1)
    # The n texts of a draw are not independent; a bound for the worst case is n times the variance.
    assert abs(rate - chance) < 4 * math.sqrt(chance * (1 - chance) / count)


def test_while_tests_run_a_wrong_shape_is_refused() -> None:
    """What every other test relies on: the hook of `conftest.py` came before the first import of the package."""
    with pytest.raises(TypeCheckError, match="gold"):
        option_margins(option_cosines(np.ones((3, 2, 4)), np.ones((3, 2, 4))), np.zeros((3, 2), dtype=int))
