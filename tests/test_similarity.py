"""Cosines of options and of sentences against loops written from the definitions, and their stacking over layers."""

import math

import numpy as np
import pytest

from crossalign import similarity
from crossalign.alignment import aligned, mexa
from crossalign.alignment_tables import AlignedLayers, aligned_layers, from_arrays, rate_table
from crossalign.similarity import Matches, option_cosines, sentence_matches
from crossalign.statistics import rate

HIDDEN = 16
N_LAYERS = 3


def _cosine(a, b) -> float:
    """Dot product over lengths, term by term; NaN where a length is 0 or a number not finite."""
    a, b = [float(v) for v in a], [float(v) for v in b]
    if not all(map(math.isfinite, a + b)):
        return math.nan
    lengths = math.sqrt(sum(v * v for v in a)) * math.sqrt(sum(v * v for v in b))
    return sum(v * w for v, w in zip(a, b, strict=True)) / lengths if lengths else math.nan


def _states(seed: int, *shape: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Two languages' float32 states: noisy copies of each other."""
    rng = np.random.default_rng(seed)
    pivot = rng.normal(size=(*shape, HIDDEN))
    return pivot.astype(np.float32), (pivot + noise * rng.normal(size=pivot.shape)).astype(np.float32)


@pytest.mark.parametrize("n_options", [1, 2, 3, 4])
def test_option_cosines_are_those_of_each_instance(n_options):
    e, x = _states(1, 5, n_options)
    cosines = option_cosines(e, x)
    for name, a, b in (("cross", e, x), ("pivot", e, e), ("language", x, x)):
        slow = [[[_cosine(a[m, i], b[m, j]) for j in range(n_options)] for i in range(n_options)] for m in range(5)]
        np.testing.assert_allclose(getattr(cosines, name), slow, atol=1e-12)
        assert getattr(cosines, name).dtype == np.float64


def test_cosines_of_hand_worked_vectors():
    pivot = np.zeros((1, 2, 3), np.float32)
    language = np.zeros((1, 2, 3), np.float32)
    pivot[0] = [[3, 4, 0], [0, 0, 2]]  # lengths 5 and 2
    language[0] = [[4, 3, 0], [0, 0, -1]]
    cosines = option_cosines(pivot, language)
    assert cosines.cross[0].round(12).tolist() == [[0.96, 0.0], [0.0, -1.0]]  # (12 + 12) / 25
    assert cosines.pivot[0].round(12).tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0])
def test_an_undefined_state_is_nan_and_only_where_it_takes_part(bad):
    e, x = _states(2, 3, 2)
    whole = option_cosines(e, x)
    e[1, 0] = 0 if bad == 0 else e[1, 0]
    e[1, 0, 3] = bad
    cosines = option_cosines(e, x)
    assert np.isnan(cosines.cross[1]).tolist() == [[True, True], [False, False]]
    assert np.isnan(cosines.pivot[1]).tolist() == [[True, True], [True, False]]
    for before, after in zip(whole, cosines, strict=True):
        defined = ~np.isnan(after)
        np.testing.assert_array_equal(after[defined], before[defined])
    np.testing.assert_array_equal(cosines.language, whole.language)


def test_the_callers_states_are_not_changed():
    e, x = _states(3, 4, 2)
    e[0, 0, 0] = np.inf
    before = (e.copy(), x.copy())
    option_cosines(e, x)
    sentence_matches(e[:, 0], x[:, 0])
    np.testing.assert_array_equal(e, before[0])
    np.testing.assert_array_equal(x, before[1])


@pytest.mark.parametrize("length", [1e-30, 1.0, 1e30])
def test_a_vectors_length_does_not_matter(length):
    e, x = _states(4, 3, 2)
    scaled = option_cosines((e * length).astype(np.float32), x)
    np.testing.assert_allclose(scaled.cross, option_cosines(e, x).cross, atol=1e-6)


def _slow_matches(e: np.ndarray, x: np.ndarray) -> Matches:
    """Full matrix, cell by cell; sentences that are undefined in either language take no part."""
    n = len(e)
    c = [[_cosine(e[i], x[j]) for j in range(n)] for i in range(n)]
    valid = [i for i in range(n) if not math.isnan(_cosine(e[i], e[i])) and not math.isnan(_cosine(x[i], x[i]))]
    matched, row, column = (np.full(n, np.nan) for _ in range(3))
    if len(valid) < 2:
        return Matches(matched, row, column, math.nan)
    for i in valid:
        matched[i] = c[i][i]
        row[i] = max(c[i][j] for j in valid if j != i)
        column[i] = max(c[j][i] for j in valid if j != i)
    rates = []
    for shift in range(1, len(valid)):
        order = valid[shift:] + valid[:shift]  # pivot sentence valid[m] now meets the translation of order[m]
        hits = 0
        for i, j in zip(valid, order, strict=True):
            rivals = [c[i][k] for k in valid if k != j] + [c[k][j] for k in valid if k != i]
            hits += c[i][j] - max(rivals) > 1e-12
        rates.append(hits / len(valid))
    return Matches(matched, row, column, float(np.mean(rates)))


def _assert_same(got: Matches, expected: Matches) -> None:
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 11])
@pytest.mark.parametrize("noise", [0.0, 1.0, 50.0])
def test_sentence_matches_are_those_of_the_definition(n, noise):
    e, x = _states(n, n, noise=noise)
    _assert_same(sentence_matches(e, x), _slow_matches(e, x))


@pytest.mark.parametrize("seed", range(10))
def test_the_relabelled_rate_is_the_mean_over_explicit_shifts(seed):
    e, x = _states(seed, 7, noise=50.0)
    rates = []
    for shift in range(1, 7):
        m = sentence_matches(e, np.roll(x, -shift, axis=0))
        rates.append(aligned(mexa(m.matched[:, None], m.best_in_row[:, None], m.best_in_column[:, None])).mean())
    assert sentence_matches(e, x).relabelled_rate == pytest.approx(np.mean(rates), abs=1e-15)


def test_the_relabelled_rate_of_a_shifted_language_is_that_of_one_shift():
    # Every pivot sentence has its translation one place further: 4 of 4 are best both ways under one of 3 shifts.
    e, _ = _states(5, 4)
    assert sentence_matches(e, np.roll(e, 1, axis=0)).relabelled_rate == pytest.approx(1 / 3)
    assert sentence_matches(e, e).relabelled_rate == 0


def test_undefined_sentences_are_nan_and_compete_with_nobody():
    e, x = _states(6, 9, noise=20.0)
    e[2, 0], x[5, 1], x[7] = np.nan, np.inf, 0
    found = sentence_matches(e, x)
    _assert_same(found, _slow_matches(e, x))
    keep = [0, 1, 3, 4, 6, 8]
    assert np.flatnonzero(np.isfinite(found.matched)).tolist() == keep
    without = sentence_matches(e[keep], x[keep])
    for a, b in zip(found[:3], without[:3], strict=True):
        np.testing.assert_array_equal(a[keep], b)
    assert found.relabelled_rate == without.relabelled_rate


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_sentences_are_undefined(n):
    e, x = _states(7, n)
    found = sentence_matches(e, x)
    assert all(np.isnan(part).all() and part.shape == (n,) for part in found[:3])
    assert math.isnan(found.relabelled_rate)


def test_one_defined_sentence_among_several_is_undefined():
    e, x = _states(8, 3)
    e[:2] = np.nan
    assert np.isnan(sentence_matches(e, x).matched).all()


def test_equal_sentences_tie_and_are_not_matched_under_any_shift():
    e, x = _states(9, 4)
    e[1], x[1] = e[0] * 4, x[0] * 0.5
    found = sentence_matches(e, x)
    _assert_same(found, _slow_matches(e, x))
    margins = mexa(found.matched[:, None], found.best_in_row[:, None], found.best_in_column[:, None])[:, 0]
    assert margins[:2].tolist() == [0.0, 0.0]
    everything_equal = sentence_matches(np.ones((5, 3), np.float32), np.ones((5, 3), np.float32))
    assert everything_equal.relabelled_rate == 0


@pytest.mark.parametrize("side", [0, 1])
def test_a_tie_in_one_direction_only_is_no_match_under_any_shift(side):
    """Four translations stand one place further; then one of them is said twice, in one language."""
    states = _states(13, 4, noise=0.1)
    states = [states[0], np.roll(states[1], 1, axis=0)]
    assert sentence_matches(*states).relabelled_rate == pytest.approx(1 / 3)
    states[side][2] = 2 * states[side][1]
    found = sentence_matches(*states)
    _assert_same(found, _slow_matches(*states))
    # Of the four pairs, one is tied and one has lost its sentence: 2 of 4 under one of 3 shifts.
    assert found.relabelled_rate == pytest.approx(1 / 6)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
def test_blocks_of_sentences_give_the_same(monkeypatch, rows):
    for seed, noise in ((1, 1.0), (2, 50.0)):
        e, x = _states(seed, 11, noise=noise)
        e[4] = e[9]  # a tie between rows of different blocks
        x[0, 0] = np.nan
        monkeypatch.setattr(similarity, "ROWS", 512)
        whole = sentence_matches(e, x)
        monkeypatch.setattr(similarity, "ROWS", rows)
        _assert_same(sentence_matches(e, x), whole)
        _assert_same(whole, _slow_matches(e, x))


@pytest.mark.parametrize("instances", [1, 2, 5, 100])
def test_blocks_of_instances_give_the_same(monkeypatch, instances):
    e, x = _states(3, 5, 3)
    whole = option_cosines(e, x)
    monkeypatch.setattr(similarity, "BLOCK_BYTES", instances * e[0].size * 8)
    for a, b in zip(option_cosines(e, x), whole, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)


def test_swapping_the_languages_transposes():
    e, x = _states(4, 6, noise=20.0)
    there, back = sentence_matches(e, x), sentence_matches(x, e)
    np.testing.assert_allclose(there.matched, back.matched, atol=1e-14)
    np.testing.assert_allclose(there.best_in_row, back.best_in_column, atol=1e-14)
    np.testing.assert_allclose(there.best_in_column, back.best_in_row, atol=1e-14)
    assert there.relabelled_rate == back.relabelled_rate


class _Layers:
    """States of a language in memory, one array per layer."""

    def __init__(self, options: np.ndarray, premises: np.ndarray) -> None:
        self.states = np.concatenate([options, premises[:, :, None]], axis=2)

    def layer(self, pooling: str, layer: int) -> np.ndarray:
        return self.states[layer]


def _two_languages(n_options: int) -> tuple[AlignedLayers, list[np.ndarray]]:
    rng = np.random.default_rng(11)
    options = rng.normal(size=(2, N_LAYERS, 10, n_options, 8)).astype(np.float32)
    premises = rng.normal(size=(2, N_LAYERS, 10, 8)).astype(np.float32)
    options[1] = options[0] + options[1]
    options[1, 0] = options[0, 0, :, ::-1]  # layer 0: the options are exchanged
    premises[1] = premises[0] + 0.5 * premises[1]
    sides = [_Layers(options[k], premises[k]) for k in range(2)]
    return aligned_layers(*sides, "mean", N_LAYERS - 1, n_options), [options, premises]


def test_layers_are_stacked_in_order():
    layers, (options, premises) = _two_languages(2)
    for layer in range(N_LAYERS):
        cosines = option_cosines(*options[:, layer])
        matches = sentence_matches(*premises[:, layer])
        for stacked, one in zip(layers.cosines, cosines, strict=True):
            np.testing.assert_array_equal(stacked[:, layer], one)
        for stacked, one in zip((layers.matched, layers.best_in_row, layers.best_in_column), matches, strict=False):
            np.testing.assert_array_equal(stacked[:, layer], one)
        assert layers.premise_relabelled[layer] == matches.relabelled_rate


@pytest.mark.parametrize("n_options", [0, 2])
def test_stored_arrays_come_back(n_options):
    layers, _ = _two_languages(n_options)
    again = from_arrays(layers.arrays())
    assert list(again.arrays()) == list(layers.arrays())
    for name, array in layers.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_the_table_of_rates_has_a_row_per_metric_and_layer():
    layers, _ = _two_languages(2)
    gold, groups = np.arange(10) % 2, np.arange(10)
    layers.cosines.cross[0, 1] = np.nan
    table = rate_table(layers, gold, groups, "mean")
    assert {len(column) for column in table.values()} == {5 * N_LAYERS}
    rows = list(zip(*table.values(), strict=True))
    by_key = {(row[1], row[2]): dict(zip(table, row, strict=True)) for row in rows}
    assert {key[0] for key in by_key} == {"dali", "dali_s", "dali_rowwise", "dali_gold", "mexa_t"}
    # Layer 0 holds the options exchanged: nothing is aligned, and everything is once they are relabelled.
    assert (by_key["dali", 0]["rate"], by_key["dali", 0]["relabelled_rate"]) == (0.0, 1.0)
    assert by_key["dali", 1]["n"] == 9
    margins = layers.margins(gold)
    for (name, layer), row in by_key.items():
        assert (row["rate"], row["low"], row["high"], row["n"]) == rate(aligned(margins[name])[:, layer], groups)


def test_plain_sentences_have_mexa_only():
    layers, _ = _two_languages(0)
    table = rate_table(layers, np.zeros(10, dtype=np.int64), np.arange(10), "mean")
    assert set(table["metric"]) == {"mexa"}
    assert layers.cosines is None
