"""Maps: principal components against numpy's own decomposition, centring, and what is undefined."""

from __future__ import annotations

import numpy as np
import pytest

from crossalign import projection
from crossalign.projection import language_centred, principal_components


def reference(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates up to sign, and shares, by the full decomposition."""
    centred = vectors - vectors.mean(axis=0)
    _, values, rows = np.linalg.svd(centred, full_matrices=False)
    return np.abs(centred @ rows[:2].T), values[:2] ** 2 / (values**2).sum()


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (60, 60), (3, 2), (2, 9)])
@pytest.mark.parametrize("exact", [True, False])
def test_components_are_those_of_the_full_decomposition(
    shape: tuple[int, int], exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exact and min(shape) < 4:
        pytest.skip("two of at least four components are asked for")
    monkeypatch.setattr(projection, "EXACT", 10_000 if exact else 0)
    vectors = np.random.default_rng(0).normal(size=shape) * np.linspace(3, 1, shape[1])
    coordinates, shares = reference(vectors)
    found = principal_components(vectors)
    assert np.allclose(np.abs(found.coordinates), coordinates, atol=1e-6)
    assert np.allclose(found.shares, shares, atol=1e-8)


def test_a_map_does_not_turn_over_by_itself() -> None:
    vectors = np.random.default_rng(1).normal(size=(30, 5))
    found = principal_components(vectors).coordinates
    order = np.random.default_rng(2).permutation(30)
    assert np.allclose(principal_components(vectors[order]).coordinates, found[order])
    assert np.allclose(principal_components(vectors + 100).coordinates, found)


def test_states_that_are_not_finite_are_left_out() -> None:
    vectors = np.random.default_rng(3).normal(size=(10, 4))
    broken = np.insert(vectors, 3, [np.nan, 1, 1, 1], axis=0)
    broken = np.insert(broken, 0, [np.inf, 1, 1, 1], axis=0)
    found = principal_components(broken).coordinates
    assert np.isnan(found[[0, 4]]).all()
    assert np.allclose(np.delete(found, [0, 4], axis=0), principal_components(vectors).coordinates)


def test_equal_vectors_and_none() -> None:
    same = principal_components(np.ones((4, 3)))
    assert (same.coordinates == 0).all() and np.isnan(same.shares).all()
    assert np.isnan(principal_components(np.full((2, 3), np.nan)).coordinates).all()
    assert principal_components(np.empty((0, 3))).coordinates.shape == (0, 2)
    one = principal_components(np.array([[1.0], [3.0]]))
    assert one.coordinates[:, 1].tolist() == [0, 0] and one.shares.tolist() == [1, 0]


def test_a_centred_language_has_no_place_of_its_own() -> None:
    rng = np.random.default_rng(4)
    content, languages = np.tile(rng.normal(size=(6, 3)), (2, 1)), np.repeat([0, 1], 6)
    moved = content + np.where(languages[:, None] == 1, 50.0, 0.0)
    centred = language_centred(moved, languages)
    assert np.allclose(centred[:6], centred[6:])
    moved[2, 0] = np.nan
    assert np.isfinite(np.delete(language_centred(moved, languages), 2, axis=0)).all()
