"""From log-likelihoods to predictions."""

import numpy as np
import pytest

from crossalign.scoring import correct, logprob_margin, prediction

NAN = float("nan")

CASES = [
    # log-likelihoods, gold → prediction, correct, margin
    ([-3.0, -1.0], 1, 1, 1.0, 2.0),
    ([-3.0, -1.0], 0, 1, 0.0, -2.0),
    ([-2.0, -2.0], 0, 0, 1.0, 0.0),  # the first of equals
    ([-2.0, -2.0], 1, 0, 0.0, 0.0),
    ([NAN, -1.0], 1, -1, NAN, NAN),
    ([-1.0, NAN], 0, -1, NAN, NAN),
    ([NAN, NAN], 0, -1, NAN, NAN),
    ([-np.inf, -1.0], 1, 1, 1.0, np.inf),
    ([-9.0, -4.0, -4.0, -7.0], 2, 1, 0.0, 0.0),
    ([-9.0, -4.0, -4.5, -7.0], 1, 1, 1.0, 0.5),
    ([-9.0, -4.0, -4.5, -7.0], 3, 1, 0.0, -3.0),
    ([-9.0, NAN, -4.5, -7.0], 2, -1, NAN, NAN),
]


@pytest.mark.parametrize(("logliks", "gold", "predicted", "right", "margin"), CASES)
def test_one_instance(logliks, gold, predicted, right, margin):
    scores, gold = np.array([logliks]), np.array([gold])
    assert prediction(scores).tolist() == [predicted]
    np.testing.assert_array_equal(correct(scores, gold), [right])
    np.testing.assert_array_equal(logprob_margin(scores, gold), [margin])


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_margin_is_positive_iff_the_prediction_is_right(n):
    rng = np.random.default_rng(n)
    logliks, gold = -rng.exponential(size=(500, n)), rng.integers(0, n, 500)
    before = logliks.copy()
    right, margin = correct(logliks, gold), logprob_margin(logliks, gold)
    np.testing.assert_array_equal(right == 1, margin > 0)
    np.testing.assert_array_equal(right == 0, margin < 0)
    np.testing.assert_array_equal(logliks, before)


def test_a_constant_shift_changes_nothing():
    rng = np.random.default_rng(5)
    logliks, gold = rng.integers(-40, -1, size=(200, 4)).astype(float), rng.integers(0, 4, 200)
    np.testing.assert_array_equal(prediction(logliks - 8), prediction(logliks))
    np.testing.assert_array_equal(logprob_margin(logliks - 8, gold), logprob_margin(logliks, gold))


def test_no_instances_give_no_predictions():
    nothing = np.empty((0, 2))
    assert prediction(nothing).shape == logprob_margin(nothing, np.empty(0, dtype=np.int64)).shape == (0,)
