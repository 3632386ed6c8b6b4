"""Places for labels beside points, so that labels cover neither each other nor the points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

PLACES = (
    "top right", "bottom right", "top left", "bottom left", "top center", "bottom center", "middle right", "middle left"
)  # fmt: skip
"""Where plotly can write a point's text, in the order they are tried: first beside the arms of error bars."""

LETTER, LINE, GAP = 7.0, 15.0, 6.0
"""Pixels: a letter's usual width, a line's height, a marker's radius with some air."""

_ACROSS = np.array([1, 1, -1, -1, 0, 0, 1, -1])
_UP = np.array([1, -1, 1, -1, 1, -1, 0, 0])


def places(
    x: Float[np.ndarray, "point"],
    y: Float[np.ndarray, "point"],
    texts: Sequence[str],
    first: Bool[np.ndarray, "point"] | None = None,
    size: tuple[int, int] = (600, 340),
    reach: tuple[Float[np.ndarray, "x_value"], Float[np.ndarray, "y_value"]] | None = None,
) -> list[str]:
    """For each point the place of its label, or "" where every place is taken.

    Lonely points choose first, so that of a crowd the labels at its rim stay; points marked in `first` choose before
    all others and always get a place.

    Args:
        x, y: positions in data units; a point with NaN gets "".
        texts: the labels as seen, for their width.
        first: points whose label must be there.
        size: width and height of the plot in pixels, as far as it can be known.
        reach: further values that the two axes must show, e.g. the ends of error bars; they make the plot's scale.
    """
    defined = np.isfinite(x) & np.isfinite(y)
    must = np.zeros(len(x), bool) if first is None else first
    ends = reach or (x[defined], y[defined])
    points = np.column_stack(
        [_pixels(x, np.append(ends[0], x[defined]), size[0]), _pixels(y, np.append(ends[1], y[defined]), size[1])]
    )
    order = sorted(np.flatnonzero(defined).tolist(), key=lambda i: (not must[i], -_room(points, defined, i)))
    markers = _boxes(points[defined], np.zeros(2), np.full(2, 2 * GAP - 2))
    taken: list[np.ndarray] = []
    found = [""] * len(x)
    for i in order:
        half = np.array([LETTER * len(texts[i]) / 2, LINE / 2])
        shift = np.column_stack([_ACROSS * (half[0] + GAP), _UP * (half[1] + GAP)])
        boxes = _boxes(points[i], shift, 2 * half)
        others = np.concatenate([markers, *(b[None] for b in taken)]) if taken else markers
        covered = [_overlaps(box, others) + 3 * _outside(box, size) for box in boxes]
        best = int(np.argmin(covered))
        if covered[best] == 0 or must[i]:
            found[i] = PLACES[best]
            taken.append(boxes[best])
    return found


def _pixels(values: np.ndarray, shown: np.ndarray, length: int) -> np.ndarray:
    """Data units to pixels of an axis that shows some values with a little room at its ends, as plotly's do."""
    shown = shown[np.isfinite(shown)]
    if not len(shown):
        return np.full(len(values), np.nan)
    span = float(np.ptp(shown)) or 1.0
    return (0.05 + 0.9 * (values - shown.min()) / span) * length


def _room(points: np.ndarray, defined: np.ndarray, i: int) -> float:
    """Distance to the nearest other point."""
    others = points[defined & (np.arange(len(points)) != i)]
    return float(np.hypot(*(others - points[i]).T).min()) if len(others) else np.inf


def _boxes(centres: np.ndarray, shift: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Boxes as left, bottom, right, top."""
    middle = np.atleast_2d(centres + shift)
    return np.concatenate([middle - size / 2, middle + size / 2], axis=1)


def _overlaps(box: np.ndarray, others: np.ndarray) -> int:
    apart = (others[:, 0] >= box[2]) | (others[:, 2] <= box[0]) | (others[:, 1] >= box[3]) | (others[:, 3] <= box[1])
    return int((~apart).sum())


def _outside(box: np.ndarray, size: tuple[int, int]) -> int:
    return int(box[0] < 0 or box[1] < 0 or box[2] > size[0] or box[3] > size[1])
