"""Figures with a point per language: who is drawn where, what a click gives, what is said in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_frames import HOSTILE, assert_sound, is_empty, language_rows

from crossalign.figures.correlation import correlation_by_layer, influence
from crossalign.figures.languages import ACCURACY, RATE, scatter, strip
from crossalign.figures.theme import GREY, Measure


def by_layer(n: int = 33) -> pd.DataFrame:
    r = np.linspace(-0.2, 0.9, n)
    return pd.DataFrame({"layer": range(n), "r": r, "low": r - 0.3, "high": np.minimum(r + 0.2, 1), "n": 11})


def without_each(n: int) -> pd.DataFrame:
    rows = language_rows(n)[["language", "name"]]
    r = 0.8 - 0.01 * np.arange(n)
    return rows.assign(r=r, low=r - 0.2, high=r + 0.1, n=n - 1)


@pytest.mark.parametrize("n", [1, 2, 10, 122])
@pytest.mark.parametrize("colour", [None, "family", "resource_level"])
@pytest.mark.parametrize("ranks", [False, True])
def test_every_language_is_a_point_that_a_click_can_name(n: int, colour: str | None, ranks: bool) -> None:
    table = language_rows(n)
    drawing = scatter(table, RATE, ACCURACY, colour=colour, ranks=ranks, note="r = 0.90")
    assert_sound(drawing, 120_000)
    points = [point for trace in drawing.figure.data for point in trace.customdata or ()]
    assert sorted(code for (code,) in points) == sorted(table["language"])
    assert f"for {n} language" in drawing.alt and drawing.alt.endswith("r = 0.90")


def test_values_and_intervals_are_drawn_as_they_are() -> None:
    table = language_rows(3)
    trace = scatter(table, RATE, ACCURACY).figure.data[0]
    assert np.allclose(trace.x, table["rate"]) and np.allclose(trace.y, table["accuracy"])
    assert np.allclose(trace.error_x.array, 0.04) and np.allclose(trace.error_y.arrayminus, 0.05)
    first = table.iloc[0]
    assert f"{first['accuracy']:.3f} [{first['accuracy_low']:.3f}, {first['accuracy_high']:.3f}]" in trace.hovertext[0]
    assert "n = 500" in trace.hovertext[0] and "at layer 0" in trace.hovertext[0]


def test_a_point_says_the_layer_and_the_instances_of_what_is_drawn() -> None:
    table = language_rows(1).assign(n_scored=100.0, training_share=0.2)
    share = Measure("training_share", "Share of the training text")

    def about(x: Measure, y: Measure, **changes: object) -> list[str]:
        return scatter(table.assign(**changes), x, y).figure.data[0].hovertext[0].split("<br>")[3:]

    assert about(RATE, ACCURACY) == ["at layer 0", "n (alignment) = 500", "n (scored) = 100"]
    assert about(RATE, ACCURACY, n_scored=500, layer=-1) == ["n = 500"], "a mean over layers"
    assert about(share, ACCURACY) == ["n = 100"] and about(share, RATE) == ["at layer 0", "n = 500"]


def test_ranks_share_the_mean_for_ties_and_have_no_intervals() -> None:
    table = language_rows(3).assign(rate=[0.2, 0.2, 0.9])
    trace = scatter(table, RATE, ACCURACY, ranks=True).figure.data[0]
    assert trace.x.tolist() == [1.5, 1.5, 3] and trace.error_x.array is None
    assert "0.200 [" in trace.hovertext[0], "the value stays readable"


def test_undefined_languages_are_left_out_and_counted() -> None:
    table = language_rows(5)
    table.loc[[1, 3], "accuracy"] = np.nan
    drawing = scatter(table, RATE, ACCURACY)
    assert len(drawing.figure.data[0].x) == 3
    assert "2 languages without both left out" in drawing.alt
    table["accuracy"] = np.nan
    assert is_empty(scatter(table, RATE, ACCURACY)) and is_empty(scatter(table.iloc[:0], RATE, ACCURACY))


def test_an_unknown_category_is_a_group_of_its_own() -> None:
    table = language_rows(8)
    names = [t.name for t in scatter(table, RATE, ACCURACY, colour="resource_level").figure.data]
    assert names[-1] == "unknown" and len(names) == 7


def test_the_band_stays_where_the_quantity_can_be_and_the_line_ends_there() -> None:
    fit = pd.DataFrame({"x": [0.0, 0.5, 1.0], "y": [-0.1, 0.5, 1.1], "low": [-0.3, 0.4, 0.9], "high": [0.2, 0.6, 1.3]})
    table = language_rows(5)
    band, line, points = scatter(table, RATE, ACCURACY, fit=fit).figure.data
    assert np.allclose(band.y[:-1], [0.2, 0.6, 1, 0.9, 0.4, 0]) and np.isnan(band.y[-1])
    assert np.isnan(line.y).tolist() == [True, False, True]
    assert np.allclose(points.y, table["accuracy"]), "what was measured stays"
    unbounded = Measure("accuracy", "COMET", "accuracy_low", "accuracy_high")
    band, line, _ = scatter(table, RATE, unbounded, fit=fit).figure.data
    assert np.allclose([np.nanmin(band.y), np.nanmax(band.y)], [-0.3, 1.3]) and not np.isnan(line.y).any()


def test_the_fit_lies_behind_the_points_with_its_band() -> None:
    fit = pd.DataFrame({"x": [0.0, 1.0], "y": [0.4, 0.9], "low": [0.3, 0.8], "high": [0.5, 1.0]})
    filled, line, points = scatter(language_rows(5), RATE, ACCURACY, fit=fit).figure.data
    assert filled.fill == "toself" and line.y.tolist() == pytest.approx([0.4, 0.9]) and points.mode == "markers+text"
    assert len(scatter(language_rows(5), RATE, ACCURACY, fit=fit[["x", "y"]]).figure.data) == 2


def test_other_measures_without_intervals_can_be_drawn() -> None:
    table = language_rows(4).assign(share=[0.1, 0.2, 0.3, 0.4])
    drawing = scatter(table, Measure("share", "Share of training text"), ACCURACY)
    assert drawing.figure.layout.xaxis.title.text == "Share of training text"
    assert drawing.figure.data[0].error_x.array is None


def test_hostile_names_stay_text() -> None:
    table = language_rows(3).assign(name=HOSTILE, family=HOSTILE)
    for drawing in (
        scatter(table, RATE, ACCURACY, colour="family", note=HOSTILE),
        strip(table, [ACCURACY]),
        influence(without_each(9).assign(name=HOSTILE), 0.8),
    ):
        assert_sound(drawing, 20_000)


def test_the_correlation_by_layer_shows_interval_best_layer_and_threshold() -> None:
    best = pd.DataFrame({"layer": [32], "r": [0.9], "p": [0.0004]})
    drawing = correlation_by_layer(by_layer(), best=best, threshold=0.71)
    assert_sound(drawing, 20_000)
    ribbon, line, star, chance = drawing.figure.data
    assert ribbon.fill == "toself" and line.customdata[5] == [5] and star.x.tolist() == [32]
    assert "corrected p = 0.0004" in star.hovertext[0]
    assert line.hovertext[32] == "layer 32<br>r = 0.90 [0.60, 1.00]<br>n = 11"
    assert 0.71 in {shape.y0 for shape in drawing.figure.layout.shapes}
    assert chance.name.startswith("5 % by chance")
    assert "highest 0.90 [0.60, 1.00] at layer 32" in drawing.alt


def test_several_metrics_have_a_curve_each() -> None:
    table = pd.concat([by_layer().assign(metric=m) for m in ("dali", "mexa_t")])
    lines = [t for t in correlation_by_layer(table, series="metric").figure.data if t.mode == "lines+markers"]
    assert [t.name for t in lines] == ["dali", "mexa_t"] and len({t.line.color for t in lines}) == 2


def test_undefined_correlations_give_an_empty_figure() -> None:
    assert is_empty(correlation_by_layer(by_layer().assign(r=np.nan)))
    assert is_empty(influence(without_each(3).assign(r=np.nan), np.nan))
    assert not is_empty(correlation_by_layer(by_layer(1)))


def test_influence_puts_the_most_influential_language_on_top() -> None:
    drawing = influence(without_each(122), 0.8)
    assert_sound(drawing, 20_000)
    dots = drawing.figure.data[0]
    assert [row[0] for row in dots.customdata[:2]] == ["l121_Latn", "l120_Latn"] and len(dots.x) == 30
    assert "30 most influential of 122 languages" in drawing.alt
    low, high = drawing.figure.layout.yaxis.range
    assert low > high, "the first row is on top"


def test_the_strip_is_sorted_and_names_its_rows() -> None:
    table = language_rows(5).assign(accuracy=[0.5, 0.9, np.nan, 0.7, 0.6])
    drawing = strip(table, [ACCURACY, RATE], highlight="l03_Latn")
    assert_sound(drawing)
    first, second = drawing.figure.data
    assert [row[0] for row in first.customdata] == ["l01_Latn", "l03_Latn", "l04_Latn", "l00_Latn", "l02_Latn"]
    assert drawing.figure.layout.yaxis.ticktext[0] == "Language number 1"
    assert first.marker.symbol != second.marker.symbol and first.marker.color != second.marker.color
    assert any(s.fillcolor == GREY and s.y0 == 0.5 for s in drawing.figure.layout.shapes)
    assert is_empty(strip(table.iloc[:0], [ACCURACY]))


def test_a_strip_of_122_languages_is_high_enough_to_read() -> None:
    drawing = strip(language_rows(122), [ACCURACY])
    assert_sound(drawing, 60_000)
    assert drawing.figure.layout.height > 122 * 14
