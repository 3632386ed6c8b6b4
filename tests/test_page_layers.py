"""The page of layers on a whole, partial, empty and hostile cache; its curves, marks, tables, and where a click leads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from opening import chosen, figure, opened, said
from synthetic import Shape, synthetic_run

CODES = ("en", "id", "it", "sw", "ta", "th")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("layers") / "cache"
    synthetic_run(cache, CODES, Shape(24, 2, 6, task="xcopa"))
    return cache


def curves(drawn) -> dict[str, np.ndarray]:
    """Name → heights of the curves (not stars, ribbons and dashed lines)."""
    return {t.name: np.array(t.y) for t in drawn.data if t.mode == "lines+markers"}


def test_the_page_shows_curves_cohorts_peaks_and_a_heat_map(whole: Path) -> None:
    app = opened(whole, "layers", language="th")
    assert not app.exception and not app.error and app.title[0].value == "Layers"
    drawn = figure(app, "curves")
    assert len(curves(drawn)) == 5 and all(len(y) == 7 for y in curves(drawn).values())
    assert all(name.endswith(")") for name in curves(drawn)), "accuracy in the legend"
    assert "relabelled, mean" in {t.name for t in drawn.data}
    assert "after norm" in {a.text for a in drawn.layout.annotations}
    assert [n.split(":")[0] for n in curves(figure(app, "by-cohort"))][:2] == ["EC-XC", "EC-XW"]
    deltas, peaks = (frame.value for frame in app.dataframe)
    assert len(deltas) == 3 and deltas[["delta", "low", "high", "p"]].notna().all(axis=None)
    assert sorted(peaks["language"]) == sorted(CODES[1:]) and (peaks["low"] <= peaks["rate"]).all()
    assert len(figure(app, "heatmap").data[0].y) == 5
    assert "n: EC-XC " in said(app)


def test_the_link_holds_the_view(whole: Path) -> None:
    app = opened(whole, "layers", languages=["sw", "th"], relative="1", intervals="1", metric="mexa_t", split="metric")
    assert not app.exception
    drawn = figure(app, "curves")
    assert len(curves(drawn)) == 2 and max(drawn.data[-1].x) <= 1
    assert sum(t.fill == "toself" for t in drawn.data) == 2
    assert list(curves(figure(app, "by-metric"))) == ["DALI", "DALI_S", "DALI row-wise", "DALI gold-only", "MEXA_T"]
    assert len(app.dataframe) == 1 and len(figure(app, "heatmap").data[0].y) == 2


def test_intervals_come_on_demand(whole: Path) -> None:
    ribbons = [sum(t.fill == "toself" for t in figure(opened(whole, "layers", **q), "curves").data) for q in ({}, {"intervals": "1"})]  # fmt: skip
    assert ribbons == [0, 5]


def test_mean_margins_by_language_and_cohort(whole: Path) -> None:
    app = opened(whole, "layers", quantity="margin", language="sw")
    assert not app.exception
    assert figure(app, "curves").layout.yaxis.title.text == "DALI: mean alignment margin"
    rates, margins = (curves(figure(opened(whole, "layers", quantity=q), "curves")) for q in ("rate", "margin"))
    for name, rate in rates.items():  # most aligned where the margin is largest, nearly
        assert abs(int(rate.argmax()) - int(margins[name].argmax())) <= 2
    assert figure(app, "by-cohort").layout.yaxis.title.text == "Swahili, DALI: mean alignment margin"


@pytest.mark.parametrize("chart", ["curves", "heatmap"])
def test_a_click_leads_to_the_instances_at_that_layer(whole: Path, chart: str) -> None:
    app = chosen(opened(whole, "layers"), chart, points=[{"customdata": ["th", 2]}])
    assert not app.exception and app.title[0].value == "Instances"
    assert app.selectbox(key="language").value == "th" and app.slider(key="layer").value == 2


def test_a_row_of_the_table_leads_there_too_and_what_is_not_offered_leads_nowhere(whole: Path) -> None:
    app = opened(whole, "layers").toggle(key="curves-table").set_value(True).run()
    row = app.dataframe[0].value.iloc[4]
    found = chosen(app, "curves-rows", rows=[4])
    assert found.title[0].value == "Instances" and found.selectbox(key="language").value == row["language"]
    assert found.slider(key="layer").value == row["layer"]
    for data in (["../x", 2], [None, None]):
        assert chosen(opened(whole, "layers"), "curves", points=[{"customdata": data}]).title[0].value == "Layers"


def test_the_published_curves_stand_beside_a_run_of_the_same_task(whole: Path) -> None:
    app = opened(whole, "layers", published="1", languages=["sw", "it"])
    drawn = curves(figure(app, "published-curves"))
    assert set(drawn) == {"Swahili", "Swahili, published", "Italian", "Italian, published"}
    assert drawn["Swahili, published"].max() == pytest.approx(0.35) and len(drawn["Swahili"]) == 7
    gold_only = opened(whole, "layers", published="1", languages=["sw", "it"], metric="dali_gold")
    same = curves(figure(gold_only, "published-curves"))
    assert (same["Swahili"] == drawn["Swahili"]).all(), "DALI, as the published curves beside it"
    everything = figure(opened(whole, "layers", published="1", **{"published-task": "belebele"}), "published-curves")
    assert max(x for t in everything.data for x in t.x if x is not None and not np.isnan(x)) <= 1


def test_sentences_without_answers_have_curves_but_no_cohorts(tmp_path: Path) -> None:
    synthetic_run(tmp_path, CODES[:4], Shape(12, 0, 3, task="flores"))
    app = opened(tmp_path, "layers")
    assert not app.exception and not app.error
    assert len(curves(figure(app, "curves"))) == 3 and "has no cohorts" in said(app)
    assert app.dataframe[0].value["rate"].notna().all(), "the peaks, and no differences between cohorts"


def test_fewer_options_have_their_curves_and_rates(tmp_path: Path) -> None:
    synthetic_run(tmp_path, ("eng_Latn", "swh_Latn", "deu_Latn"), Shape(16, 4, 3))
    app = opened(tmp_path, "layers", language="swh_Latn", split="options")
    assert not app.exception and not app.error
    assert sorted(curves(figure(app, "by-options"))) == ["2 options", "3 options", "4 options"]
    table = app.dataframe[0].value
    assert table["options"].tolist() == [4, 3, 2] and (table["rate"].diff().dropna() >= 0).all()
    assert table["chance"].tolist() == pytest.approx([1 / 1820, 0.0119, 1 / 6], abs=1e-4)
    mean = opened(tmp_path, "layers", language="swh_Latn", split="options", **{"options-mean": "1"})
    assert not mean.exception and not mean.error
    assert sorted(curves(figure(mean, "by-options-mean"))) == ["2 options", "3 options", "4 options"]
    assert figure(mean, "by-options-mean").layout.yaxis.title.text == "Mean of 2 languages, DALI: alignment rate"
    rates = mean.dataframe[1].value
    assert rates["options"].tolist() == [4, 4, 3, 3, 2, 2] and set(rates["n"]) == {32}
    assert (rates["low"] <= rates["rate"]).all() and (rates["rate"] <= rates["high"]).all()
    other = opened(tmp_path, "layers", split="options", metric="mexa_t")
    assert "Left out of the link" in said(other) and other.query_params["split"] == "cohort"


def test_an_empty_and_a_partial_cache_say_the_next_step(tmp_path: Path) -> None:
    app = opened(tmp_path / "none", "layers")
    assert not app.exception and "crossalign run" in app.code[0].value
    synthetic_run(tmp_path / "partial", CODES[:3], Shape(12, 2, 3), missing=CODES[3:])
    app = opened(tmp_path / "partial", "layers")
    assert not app.exception and "Not computed yet" in said(app) and len(curves(figure(app, "curves"))) == 2
    synthetic_run(tmp_path / "pivot", CODES[:1], Shape(12, 2, 3), missing=CODES[1:])
    assert "beside English" in said(opened(tmp_path / "pivot", "layers"))


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    synthetic_run(tmp_path, CODES, Shape(12, 2, 3, task="xcopa"), hostile=True)
    app = opened(tmp_path, "layers", published="1")
    assert not app.exception and not app.error
    assert not any(e.allow_html for e in (*app.markdown, *app.caption))
    assert "<script>" not in said(app).replace("\\<script\\>", "")
