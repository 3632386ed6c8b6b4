"""The page of languages on a whole, partial, empty and hostile cache; its numbers, its filters, and where a click leads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from opening import changed, chosen, figure, opened, said
from synthetic import Shape, synthetic_run

from crossalign.amounts import holds_p_values

CODES = ("en", "id", "it", "sw", "ta", "th", "tr", "vi", "zh")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("languages") / "cache"
    synthetic_run(cache, CODES, Shape(24, 2, 6, task="xcopa"))
    return cache


def test_the_page_shows_points_coefficients_layers_metrics_and_influence(whole: Path) -> None:
    app = opened(whole, "languages")
    assert not app.exception and not app.error and app.title[0].value == "Languages"
    points = figure(app, "scatter")
    assert sorted(c[0] for t in points.data if t.customdata is not None for c in t.customdata) == sorted(CODES[1:])
    assert "Pearson r = " in points.layout.xaxis.title.text and "n = 8" in points.layout.xaxis.title.text
    coefficients, metrics, differences = (frame.value for frame in app.dataframe)
    assert coefficients["coefficient"].tolist()[:3] == ["Pearson", "Spearman", "Kendall"]
    assert coefficients[["low", "r", "high", "p"]][:3].notna().all(axis=None) and set(coefficients["n"]) == {8}
    assert len(metrics) == 10 and {"p_holm", "p_bh", "p_best"} <= set(metrics)
    assert len(differences) == 9 and "DALI against the other metrics" in [h.value for h in app.subheader]
    assert len(figure(app, "correlation-by-layer").data[1].x) == 7
    assert figure(app, "influence").layout.yaxis.ticktext
    assert "corrected for having looked at 7 layers" in said(app)


def test_p_values_in_tables_stay_numbers_and_none_is_written_as_0(whole: Path) -> None:
    for frame in opened(whole, "languages").dataframe:
        config = json.loads(frame.proto.columns)
        for column in (c for c in frame.value if holds_p_values(c)):
            assert frame.value[column].dtype == float and (frame.value[column].dropna() > 0).all()
            significant = config[column]["type_config"]["format"]
            assert significant % 1e-9 == "1e-09" and significant % 0.0432 == "0.043"


def test_the_heading_of_an_interval_says_rate_only_beside_another_interval(whole: Path) -> None:
    app = opened(whole, "languages")
    app.toggle(key="scatter-table").set_value(True)
    app = app.toggle(key="influence-table").set_value(True).run()
    shown = [(f.value, json.loads(f.proto.columns)) for f in app.dataframe if "low" in f.value]
    headings = {("accuracy_low" in table, config["low"]["label"], config["high"]["label"]) for table, config in shown}
    assert headings == {(True, "rate: 95 % from", "rate: to"), (False, "95 % from", "to")}


def test_the_link_holds_the_view(whole: Path) -> None:
    app = opened(whole, "languages", scale="ranks", rule="depth", depth="50", metric="mexa_t", colour="script")
    assert not app.exception
    points = figure(app, "scatter")
    assert "Spearman r = " in points.layout.xaxis.title.text
    assert "MEXA_T rate, relative depth (rank" in points.layout.xaxis.title.text
    assert {t.name for t in points.data if t.customdata is not None} == {"Latn", "Taml", "Thai", "Hans"}
    assert "at layer 3" in next(t for t in points.data if t.customdata is not None).hovertext[0]


def test_filters_leave_languages_out_everywhere(whole: Path) -> None:
    app = opened(whole, "languages", scripts=["Latn"])
    coefficients, metrics, differences = (frame.value for frame in app.dataframe)
    assert set(coefficients["n"]) == set(metrics["n"]) == set(differences["n"]) == {5}
    assert len(figure(app, "influence").layout.yaxis.ticktext) == 5


def test_a_click_leads_to_the_instances_of_the_language(whole: Path) -> None:
    app = chosen(opened(whole, "languages"), "scatter", points=[{"customdata": ["sw", 1]}])
    assert not app.exception
    assert app.title[0].value == "Instances" and app.selectbox(key="language").value == "sw"


def test_a_row_of_the_table_leads_there_too(whole: Path) -> None:
    app = opened(whole, "languages")
    app = app.toggle(key="scatter-table").set_value(True).run()
    code = app.dataframe[0].value["language"].iloc[2]
    app = chosen(app, "scatter-rows", rows=[2])
    assert app.title[0].value == "Instances" and app.selectbox(key="language").value == code


def test_training_share_is_offered_where_it_is_known(whole: Path, tmp_path: Path) -> None:
    assert not [w for w in opened(whole, "languages").selectbox if w.key == "pair"]
    cache = shutil.copytree(whole, tmp_path / "cache")
    changed(cache, training_shares={code: 0.01 * i**2 for i, code in enumerate(CODES)})
    app = opened(cache, "languages", pair="training")
    assert "Share of the training text" in figure(app, "scatter").layout.xaxis.title.text
    assert len(app.dataframe) == 1, "no layers where alignment is not compared"
    app = opened(cache, "languages", pair="training-alignment")
    assert "r with share of the training text" in figure(app, "correlation-by-layer").layout.yaxis.title.text


def test_the_published_figures_stand_beside_a_run_of_the_same_task(whole: Path) -> None:
    app = opened(whole, "languages", published="1")
    table = app.dataframe[-1].value
    assert table["model"].nunique() == 2
    published = table[table["model"].str.contains("published")].set_index("coefficient")["r"]
    assert (round(published["Pearson"], 3), round(published["Spearman"], 3)) == (0.749, 0.778)
    assert "arXiv 2504" in said(app)
    app = opened(whole, "languages", published="1", **{"published-task": "belebele"})
    assert app.dataframe[-1].value["n"].tolist() == [25] * 3


def test_beside_the_published_figures_stands_the_same_metric_of_the_run(whole: Path) -> None:
    tables = []
    for metric in ("dali", "dali_rowwise"):  # the second has no published figures
        app = opened(whole, "languages", published="1", metric=metric)
        drawn = figure(app, "published-languages")
        assert drawn.layout.xaxis.title.text.startswith("DALI rate")
        tables.append({t.name: sorted(x for x in t.x) for t in drawn.data})
    assert tables[0] == tables[1] and len(tables[0]) == 2


@pytest.mark.parametrize(("codes", "options", "known"), [(CODES[:6], 0, 0), (CODES[:4], 2, 3)], ids=["unscored", "few"])
def test_too_few_languages_are_told_in_place_of_empty_tables(
    tmp_path: Path, codes: tuple[str, ...], options: int, known: int
) -> None:
    synthetic_run(tmp_path, codes, Shape(12, options, 3, task="xcopa" if options else "flores"))
    app = opened(tmp_path, "languages")
    assert not app.exception and not app.error
    assert "at least 4 languages" in app.info[0].value and f"here are {known}" in app.info[0].value
    assert len(figure(app, "scatter").data) == min(1, known) and not app.dataframe


def test_an_empty_and_a_partial_cache_say_the_next_step(tmp_path: Path) -> None:
    app = opened(tmp_path / "none", "languages")
    assert not app.exception and "crossalign run" in app.code[0].value
    synthetic_run(tmp_path / "partial", CODES[:6], Shape(12, 2, 3), missing=CODES[6:])
    app = opened(tmp_path / "partial", "languages")
    assert not app.exception and "Not computed yet" in said(app) and len(app.dataframe) == 3
    synthetic_run(tmp_path / "pivot", CODES[:1], Shape(12, 2, 3), missing=CODES[1:])
    assert "beside English" in said(opened(tmp_path / "pivot", "languages"))


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    synthetic_run(tmp_path, CODES, Shape(12, 2, 3, task="xcopa"), hostile=True)
    app = opened(tmp_path, "languages", published="1")
    assert not app.exception and not app.error
    assert "<script>" not in said(app).replace("\\<script\\>", "")
    assert not any(e.allow_html for e in (*app.markdown, *app.caption))
    assert "<script" not in figure(app, "published-languages").to_json().replace("\\u003c", "<")


def test_as_published_the_last_layer_does_not_count(whole: Path) -> None:
    from crossalign.ui import data

    ours, published = (opened(whole, "languages", rule=rule) for rule in ("mean", "mean_published"))
    assert len(figure(ours, "correlation-by-layer").data[1].x) == 7
    assert len(figure(published, "correlation-by-layer").data[1].x) == 6 and "corrected for having looked at 6" in said(
        published
    )
    run = data.run_tables(next(whole.glob("*/run.json")).parent.name)
    chosen = data.Selection(run.run_id, "dali", "last_token", "mean_published")
    points = data.language_points(run, chosen).set_index("language")
    rates = data.curves(run, chosen, ("sw",)).set_index("layer")["rate"]
    assert points.loc["sw", "rate"] == pytest.approx(rates.drop(6).mean()) != rates.mean()
    assert data.layers_of(run, data.Selection(run.run_id, "dali", "last_token", "max_published"))["sw"] < 6


def test_a_click_on_all_languages_together_chooses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from crossalign.ui import selection

    state = {"language": "sw"}
    monkeypatch.setattr(selection.st, "session_state", state)
    selection.go_to_language([""])
    assert state == {"language": "sw"}
    selection.go_to_language(["it"])
    assert state == {"language": "it"}
