"""Colours can be told apart, text from data stays text, labels keep out of each other's way."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from figure_frames import HOSTILE

from crossalign.figures import densities, theme
from crossalign.figures.labels import PLACES, places
from crossalign.figures.marks import band

LIGHT, DARK = "#ffffff", "#0e1117"

BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""Severe colour blindness as matrices on linear RGB (Machado, Oliveira & Fernandes 2009)."""


def linear(colour: str) -> np.ndarray:
    part = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = np.cbrt(np.clip(xyz / [0.9505, 1, 1.089], 0.008856, None))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("colour", [*theme.PALETTE, theme.GREY])
@pytest.mark.parametrize("background", [LIGHT, DARK])
def test_every_colour_stands_out_on_light_and_dark(colour: str, background: str) -> None:
    assert contrast(colour, background) >= 3


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_differ_with_every_kind_of_colour_blindness(kind: str) -> None:
    seen = {c: lab(np.clip(BLINDNESS[kind] @ linear(c), 0, 1)) for c in theme.PALETTE}
    for one, other in itertools.combinations(theme.PALETTE, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 15, (one, other)


def test_known_groups_differ_in_shape_too() -> None:
    for column in {column for column, _ in theme.KNOWN}:
        looks = [look for (c, _), look in theme.KNOWN.items() if c == column]
        for field in ("colour", "symbol", "dash", "label"):
            values = [getattr(look, field) for look in looks]
            assert len(set(values)) == len(values), (column, field)


def test_text_from_data_stays_text() -> None:
    shown = theme.plain(HOSTILE)
    assert not re.search(r"[<>$%]", shown) and "\u202e" not in shown and "\n" not in shown
    assert shown.startswith("&lt;script&gt;") and shown.endswith("…")
    assert theme.plain("a & b") == "a &amp; b"
    assert theme.plain(5) == "5"
    assert len(theme.spoken(HOSTILE, 40)) == 40


def test_right_to_left_text_is_kept() -> None:
    assert theme.plain("العربية") == "العربية"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.742, 0.7, 0.78), "0.742 [0.700, 0.780]"),
        ((-0.5, np.nan, 1.0), "−0.500"),
        ((np.nan, np.nan, np.nan), "–"),
    ],
)
def test_estimates_are_written_with_their_interval(numbers: tuple, text: str) -> None:
    assert theme.estimate(*numbers) == text


def test_groups_keep_their_look_and_leave_out_the_undefined() -> None:
    table = pd.DataFrame({"correct": pd.array([True, None, False, True], dtype="boolean"), "v": range(4)})
    found = [(look.label, part["v"].tolist()) for look, part in theme.groups(table, "correct")]
    assert found == [("correct", [0, 3]), ("incorrect", [2])]


def test_more_groups_than_colours_leave_one_grey_rest() -> None:
    table = pd.DataFrame({"family": [f"F{i}" for i in range(30) for _ in range(30 - i)]})
    found = theme.groups(table, "family")
    assert [look.label for look, _ in found] == ["F0", "F1", "F2", "F3", "F4", "F5", "F6", "others"]
    assert sum(len(part) for _, part in found) == len(table)
    assert found[-1][0].colour == theme.GREY


def test_nullable_columns_become_nan() -> None:
    assert np.array_equal(theme.numbers(pd.array([1, None], dtype="Int8")), np.float32([1, np.nan]), equal_nan=True)


# --- labels ------------------------------------------------------------------------------------------------------


def boxes(x: np.ndarray, y: np.ndarray, found: list[str], texts: list[str]) -> list[tuple]:
    """Where the labels come to lie, recomputed from plotly's meaning of the places."""
    across = {"left": -1, "center": 0, "right": 1}
    up = {"bottom": -1, "middle": 0, "top": 1}
    span = [np.ptp(x) or 1, np.ptp(y) or 1]
    out = []
    for px, py, place, text in zip(x, y, found, texts, strict=True):
        if place:
            vertical, horizontal = place.split()
            width = 7.0 * len(text)
            cx = (0.05 + 0.9 * (px - x.min()) / span[0]) * 680 + across[horizontal] * (width / 2 + 6)
            cy = (0.05 + 0.9 * (py - y.min()) / span[1]) * 340 + up[vertical] * (7.5 + 6)
            out.append((cx - width / 2, cy - 7.5, cx + width / 2, cy + 7.5))
    return out


@pytest.mark.parametrize("n", [2, 10, 122])
def test_labels_do_not_overlap(n: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.random(n), rng.random(n)
    texts = ["swh_Latn"] * n
    found = places(x, y, texts)
    assert set(found) <= {*PLACES, ""}
    for a, b in itertools.combinations(boxes(x, y, found, texts), 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert sum(map(bool, found)) >= min(n, 40)


def test_a_wanted_label_is_always_there() -> None:
    x = y = np.zeros(50)
    first = np.arange(50) == 31
    found = places(x, y, ["label"] * 50, first)
    assert found[31]


def test_labels_know_that_error_bars_push_points_together() -> None:
    x = y = np.linspace(0.49, 0.51, 9)
    texts = ["label"] * 9
    alone = places(x, y, texts)
    with_arms = places(x, y, texts, reach=(np.array([0.0, 1.0]), np.array([0.0, 1.0])))
    assert all(alone) and 1 <= sum(map(bool, with_arms)) < 9


def test_points_without_a_place_have_no_label() -> None:
    assert places(np.array([0.0, np.nan]), np.array([0.0, 1.0]), ["a", "b"])[1] == ""
    assert places(np.array([]), np.array([]), []) == []


# --- reductions --------------------------------------------------------------------------------------------------


def test_zero_is_an_edge_of_bins_on_both_sides_of_it() -> None:
    edges = densities.edges(np.array([-0.31, 0.1, 0.77]), 40)
    assert np.isclose(edges, 0).any() and edges[0] <= -0.31 and edges[-1] >= 0.77
    assert densities.edges(np.array([2.0, 2.0]), 40).tolist() == [1.5, 2.5]
    shares = densities.edges(np.arange(34).repeat(3) / 33, 40)
    assert np.histogram(np.arange(34).repeat(3) / 33, shares)[0].tolist() == [3] * 34
    assert densities.edges(np.array([1.0, 3.0]), 4).tolist() == [1, 1.5, 2, 2.5, 3]


def test_the_ecdf_agrees_with_counting() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    at, share = densities.ecdf(values)
    assert len(at) <= densities.POINTS and at[0] == values.min() and share[-1] == 1
    assert np.allclose(share, [(values <= a).mean() for a in at])


def test_the_density_agrees_with_scipy() -> None:
    from scipy.stats import gaussian_kde

    values = np.random.default_rng(0).normal(size=800)
    grid = np.linspace(-4, 4, 400)
    ours = densities.density(values, grid)
    theirs = gaussian_kde(values, densities.bandwidth(values) / values.std(ddof=1))(grid)
    assert np.allclose(ours, theirs, atol=0.01)
    assert np.isclose(ours.sum() * (grid[1] - grid[0]), 1, atol=0.01)


def test_a_band_has_gaps_where_it_is_undefined() -> None:
    drawn = band([0, 1, 2, 3], [0, 1, np.nan, 3], [1, 2, 3, 4], theme.BLUE)
    assert np.array_equal(drawn.x, np.float32([0, 1, 1, 0, np.nan, 3, 3, np.nan]), equal_nan=True)
    assert np.array_equal(drawn.y, np.float32([1, 2, 1, 0, np.nan, 4, 3, np.nan]), equal_nan=True)
    assert not len(band([0], [np.nan], [1], theme.BLUE).x)


def test_a_page_of_its_own_gets_a_background_and_a_text_colour() -> None:
    figure = theme.empty("Nothing.").figure
    copy = theme.on_page(figure)
    assert contrast(copy.layout.font.color, copy.layout.paper_bgcolor) > 7
    assert figure.layout.font.color is None
