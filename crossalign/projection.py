"""Vectors in two dimensions, for maps: principal components, and centring of languages before it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

EXACT = 1500
"""With at most so many vectors or dimensions all components are computed; with more only the first two."""


class Projection(NamedTuple):
    """Two coordinates per vector, NaN for one that is not finite, and the share of the variance each tells."""

    coordinates: Float[np.ndarray, "vector 2"]
    shares: Float[np.ndarray, "2"]


def principal_components(vectors: Float[np.ndarray, "vector hidden"]) -> Projection:
    """The two directions along which the vectors differ most.

    The sign of a component is free; here its largest weight is positive, so that a map does not turn over by itself.

    Returns:
        Shares are NaN, and coordinates 0, where all vectors are equal.

    >>> found = principal_components(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]))
    >>> found.coordinates[:, 0].round(6).tolist(), found.shares.round(6).tolist()
    ([-5.0, 0.0, 5.0], [1.0, 0.0])
    """
    finite = np.isfinite(vectors).all(axis=1)
    coordinates, shares = np.full((len(vectors), 2), np.nan), np.full(2, np.nan)
    kept = vectors[finite].astype(float)
    if len(kept) == 0:
        return Projection(coordinates, shares)
    centred = kept - kept.mean(axis=0)
    total = float((centred**2).sum())
    if total == 0:
        coordinates[finite] = 0.0
        return Projection(coordinates, shares)
    directions = _directions(centred)
    found = centred @ directions.T
    coordinates[finite] = found
    return Projection(coordinates, (found**2).sum(axis=0) / total)


def _directions(centred: Float[np.ndarray, "vector hidden"]) -> Float[np.ndarray, "2 hidden"]:
    """The first two right singular vectors; zeros where there is only one."""
    if min(centred.shape) <= EXACT:
        found = _exact(centred)
    else:
        from scipy.sparse.linalg import svds

        _, values, rows = svds(centred, k=2, v0=np.ones(min(centred.shape)))
        found = rows[np.argsort(-values)]  # pyright: ignore[reportOptionalSubscript]
    largest = np.abs(found).argmax(axis=1)
    signs = np.sign(found[np.arange(len(found)), largest])
    padded = np.zeros((2, centred.shape[1]))
    padded[: len(found)] = found * signs[:, None]
    return padded


def _exact(centred: Float[np.ndarray, "vector hidden"]) -> Float[np.ndarray, "k hidden"]:
    """From the eigenvectors of the smaller of the two products; components without variance are left out."""
    wide = centred.shape[0] < centred.shape[1]
    values, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    kept = [i for i in (-1, -2) if len(values) >= -i and values[i] > values[-1] * 1e-12]
    rows = vectors[:, kept].T
    return (rows @ centred) / np.sqrt(values[kept])[:, None] if wide else rows


def language_centred(
    vectors: Float[np.ndarray, "vector hidden"], languages: Int[np.ndarray, "vector"]
) -> Float[np.ndarray, "vector hidden"]:
    """Each vector minus the mean of its language's finite vectors: what is left when a language has no place of its own.

    Source: Libovický et al. 2020.

    >>> language_centred(np.array([[1.0], [3.0], [10.0]]), np.array([0, 0, 1])).tolist()
    [[-1.0], [1.0], [0.0]]
    """
    centred = vectors.astype(float)
    finite = np.isfinite(vectors).all(axis=1)
    for language in np.unique(languages):
        mine = languages == language
        if (mine & finite).any():
            centred[mine] -= centred[mine & finite].mean(axis=0)
    return centred
