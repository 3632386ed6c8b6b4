"""Fewer wrong options: which go, and what is left of scores and cosines."""

import numpy as np
import pytest

from crossalign.alignment import aligned, dali, dali_gold, dali_s
from crossalign.distractors import kept_cosines, kept_logliks, without_least_likely
from crossalign.scoring import correct, prediction
from crossalign.similarity import OptionCosines

NAN = float("nan")


def cosines(rng: np.random.Generator, n: int = 20, layers: int = 3, options: int = 4) -> OptionCosines:
    blocks = rng.random((3, n, layers, options, options))
    return OptionCosines(blocks[0], *((b + b.swapaxes(-1, -2)) / 2 for b in blocks[1:]))


def slow_dali(s: np.ndarray, options: list[int]) -> bool:
    matched = [s[i, i] for i in options]
    return min(matched) > max(s[i, j] for i in options for j in options if i != j)


@pytest.mark.parametrize("n_removed", [1, 2])
def test_the_least_likely_wrong_options_go(n_removed):
    rng = np.random.default_rng(0)
    logliks, gold = rng.normal(size=(50, 4)), rng.integers(0, 4, 50)
    found = without_least_likely(logliks, gold, n_removed)
    for i in range(50):
        wrong = sorted((o for o in range(4) if o != gold[i]), key=lambda o: logliks[i, o])
        stay = sorted([*wrong[n_removed:], gold[i]])
        assert found.kept[i].tolist() == stay
        assert stay[found.gold[i]] == gold[i]
        assert found.logliks[i].tolist() == logliks[i, stay].tolist()


def test_of_equally_unlikely_options_the_first_goes():
    found = without_least_likely(np.array([[-1.0, -5.0, -5.0, -5.0]]), np.array([0]), 1)
    assert found.kept.tolist() == [[0, 2, 3]]
    found = without_least_likely(np.array([[-5.0, -5.0, -5.0, -9.0]]), np.array([3]), 2)
    assert found.kept.tolist() == [[2, 3]]


@pytest.mark.parametrize("n_removed", [1, 2])
def test_a_languages_own_scores_leave_its_accuracy_as_it_is(n_removed):
    rng = np.random.default_rng(1)
    logliks, gold = rng.normal(size=(200, 4)), rng.integers(0, 4, 200)
    found = without_least_likely(logliks, gold, n_removed)
    assert correct(found.logliks, found.gold).tolist() == correct(logliks, gold).tolist()
    other = rng.normal(size=(200, 4))
    fewer = correct(kept_logliks(other, found.kept), found.gold)
    assert fewer.mean() > correct(other, gold).mean() + 0.05


@pytest.mark.parametrize("n_removed", [1, 2])
def test_dali_of_what_is_left_is_dali_of_those_options(n_removed):
    rng = np.random.default_rng(2)
    full, logliks, gold = cosines(rng), rng.normal(size=(20, 4)), rng.integers(0, 4, 20)
    full.cross[..., range(4), range(4)] += 0.5
    found = without_least_likely(logliks, gold, n_removed)
    left = kept_cosines(full, found.kept)
    decisions = aligned(dali(left, found.gold))
    for i in range(20):
        for layer in range(3):
            assert decisions[i, layer] == slow_dali(full.cross[i, layer], list(found.kept[i]))
            pick = np.ix_(found.kept[i], found.kept[i])
            assert (left.pivot[i, layer] == full.pivot[i, layer][pick]).all()
            assert (left.language[i, layer] == full.language[i, layer][pick]).all()
    assert 0 < decisions.mean() < 1


def test_fewer_options_never_undo_an_alignment():
    rng = np.random.default_rng(3)
    full, logliks, gold = cosines(rng, 200), rng.normal(size=(200, 4)), rng.integers(0, 4, 200)
    full.cross[..., range(4), range(4)] += 0.4
    three, two = (without_least_likely(logliks, gold, k) for k in (1, 2))
    for metric in (dali, dali_s, dali_gold):
        margins = [
            metric(full, gold),
            metric(kept_cosines(full, three.kept), three.gold),
            metric(kept_cosines(full, two.kept), two.gold),
        ]
        assert (margins[0] <= margins[1]).all() and (margins[1] <= margins[2]).all()


def test_an_instance_without_scores_is_undefined():
    rng = np.random.default_rng(4)
    full, logliks = cosines(rng, 3), rng.normal(size=(3, 4))
    logliks[1, 2] = NAN
    found = without_least_likely(logliks, np.array([0, 2, 3]), 1)
    assert found.kept[1].tolist() == [-1, -1, -1]
    assert prediction(found.logliks).tolist()[1] == -1
    assert np.isnan(dali(kept_cosines(full, found.kept), found.gold)).any(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize(("options", "n_removed"), [(4, 0), (4, 3), (2, 1), (3, -1)])
def test_two_options_must_stay(options, n_removed):
    with pytest.raises(ValueError, match="two must stay"):
        without_least_likely(np.zeros((2, options)), np.zeros(2, dtype=int), n_removed)
