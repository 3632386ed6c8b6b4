"""The page of instances: what it shows, its filter, its list, its way to one instance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import opening
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from synthetic import Shape, synthetic_run

FOUR = ("eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn")

Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("instances") / "cache"
    synthetic_run(folder, FOUR, Shape(n=60))
    return folder


@pytest.fixture
def opened() -> Open:
    """The page in a fresh session, as a link opens it."""

    def start(folder: Path, **query: str | list[str]) -> AppTest:
        app = opening.opened(folder, "instances", **query)
        assert not app.exception and app.title[0].value == "Instances"
        return app

    return start


def charts(app: AppTest) -> list[str]:
    return [chart.proto.spec for chart in app.get("plotly_chart")]


def ids(app: AppTest) -> list[str]:
    return app.dataframe[-1].value["instance_id"].tolist()


def test_distributions_tests_and_list_are_there(opened: Open, cache: Path) -> None:
    app = opened(cache, language="swh_Latn")
    assert not app.error
    assert len(charts(app)) == 4
    assert not [m.value for m in app.markdown if "example" not in m.value]  # the header, and nothing by accident
    assert [m.label.replace("\\", "") for m in app.metric] == ["Odds ratio: Swahili", "Odds ratio: within 2 languages"]
    assert "n = " in app.metric[1].delta and "p " in app.metric[1].delta
    assert len(ids(app)) == 60
    assert all(len(spec) < 100_000 for spec in charts(app))


@pytest.mark.parametrize("kind", ["histogram", "ecdf", "violin"])
@pytest.mark.parametrize("split", ["correct", "cohort", "cell"])
def test_every_way_to_draw_and_split_gives_another_figure(opened: Open, cache: Path, kind: str, split: str) -> None:
    app = opened(cache, language="swh_Latn", kind=kind, split=split, value="logprob_margin", of="all")
    assert not app.error
    plain = opened(cache, language="swh_Latn", of="all")
    assert charts(app)[0] != charts(plain)[0]
    groups = {"correct": "incorrect", "cohort": "EC-XW", "cell": "not aligned: incorrect"}
    assert groups[split] in charts(app)[0]


@pytest.mark.parametrize(("effect", "word"), [("delta", "Δ"), ("auc", "AUC"), ("odds_ratio", "Odds ratio")])
def test_the_effect_is_shown_in_number_and_forest(opened: Open, cache: Path, effect: str, word: str) -> None:
    app = opened(cache, effect=effect)
    assert all(word in m.label for m in app.metric)
    assert "all languages" in charts(app)[3]


@pytest.mark.parametrize(
    ("analysis", "n_charts", "word"),
    [
        ("needed", 4, "Enough?"),
        ("confidence", 3, "gold option"),
        ("pivot", 3, "McNemar"),
        ("model", 2, "random intercept"),
    ],
)
def test_every_analysis_has_its_figure_its_table_and_its_place_in_the_link(
    opened: Open, cache: Path, analysis: str, n_charts: int, word: str
) -> None:
    app = opened(cache, language="swh_Latn", analysis=analysis)
    assert not app.error and len(charts(app)) == n_charts and app.query_params["analysis"] == analysis
    assert any(word in c.value for c in app.caption)
    assert len(app.dataframe) == 1 + (analysis in ("pivot", "model"))


def test_the_rule_of_the_paper_is_one_click_away(opened: Open, cache: Path) -> None:
    sound = opened(cache, language="swh_Latn", effect="delta")
    assert any("of the other half" in c.value for c in sound.caption) and len(sound.metric) == 2
    published = opened(cache, language="swh_Latn", effect="delta", test="published")
    assert any("tested one\\-sided" in c.value for c in published.caption)
    assert len(published.metric) == 1 and "all languages" not in charts(published)[3]
    layers = opened(cache, language="swh_Latn", effect="delta", test="layers")
    assert any("most extreme of all layers" in c.value for c in layers.caption)
    assert len({a.metric[0].delta for a in (sound, published, layers)}) == 3
    fixed = opened(cache, language="swh_Latn", effect="delta", rule="layer", layer="2")
    assert any(c.value.startswith("At layer 2; two\\-sided") for c in fixed.caption)
    assert opened(cache, effect="odds_ratio", test="layers").query_params["test"] == "sound"


@pytest.mark.parametrize("rule", ["max", "layer"])
def test_the_figure_beside_the_most_extreme_differences_is_of_the_same_layers(
    cache: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    from crossalign.ui import data, effects

    monkeypatch.setenv("CROSSALIGN_CACHE", str(cache))
    run = data.run_tables(next(cache.glob("*/run.json")).parent.name)
    chosen = data.Selection(run.run_id, "dali", "last_token", rule)
    table = effects.effects_of(run, chosen, "delta", "layers").languages
    assert len(table) == 3
    for row in table.itertuples():
        points = effects.tested_points(run, chosen, "layers", row.language)
        shares = points.groupby("cohort", observed=True)["aligned"].mean()
        assert shares["EC-XC"] - shares["EC-XW"] == pytest.approx(row.estimate)


def test_effects_are_corrected_for_the_languages_that_could_be_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    from crossalign.effects import Pooled
    from crossalign.statistics import Estimate
    from crossalign.ui import effects

    shown: dict[str, str] = {}
    monkeypatch.setattr(effects.st, "metric", lambda label, value, note, **_: shown.update({label: note}))
    rows = [
        ("sw", 2.0, 1.0, 4.0, 0.03, 40, 0.06),
        ("th", 3.0, 1.5, 6.0, 0.04, 40, 0.06),
        ("it", *[np.nan] * 4, 40, np.nan),
    ]
    table = pd.DataFrame(rows, columns=["language", "estimate", "low", "high", "p", "n", "p_holm"])
    found = effects.Effects(table, Pooled(Estimate(2.4, 1.2, 4.8, 0.01, 80), n_languages=2))
    for code in ("sw", "it"):
        effects.show_summary(found, "Odds ratio", code, code)
    assert shown["Odds ratio\\: sw"].endswith("p = 0.060 for 2 languages")
    assert "Odds ratio\\: within 2 languages" in shown and "too alike" in shown["Odds ratio\\: it"]


def test_filters_narrow_the_list_and_stand_in_the_url(opened: Open, cache: Path) -> None:
    app = opened(cache, language="swh_Latn", answer="wrong")
    rows = app.dataframe[-1].value
    assert set(rows["answer"]) == {"wrong"} and 0 < len(rows) < 60
    app.number_input(key="from").set_value(0.1).run()
    narrower = app.dataframe[-1].value
    assert (narrower["margin"] >= 0.1).all() and len(narrower) < len(rows)
    assert app.query_params["from"] == "0.1" and app.query_params["answer"] == "wrong"
    other = opened(cache, **app.query_params)
    assert ids(other) == ids(app) and other.query_params == app.query_params


def test_the_search_finds_words_of_the_language_and_of_the_pivot(opened: Open, cache: Path) -> None:
    assert ids(opened(cache, language="swh_Latn", find='"question 7 in SWH"')) == ["passage-3#2"]
    assert ids(opened(cache, language="swh_Latn", find='why "question 7 in eng_latn"')) == ["passage-3#2"]
    app = opened(cache, language="swh_Latn", find="<script> of nowhere")
    assert app.info[-1].proto.title == "No instance is like this" or "Take a filter away" in app.info[-1].value


def test_the_button_opens_the_chosen_instance_with_the_same_filter(opened: Open, cache: Path) -> None:
    app = opened(cache, language="arb_Arab", answer="wrong")
    wanted = ids(app)[2]
    app.selectbox(key="to-open").select(wanted).run()
    app.button(key="open").click().run()
    assert not app.exception and app.title[0].value == "Instance"
    assert {"instance": wanted, "language": "arb_Arab", "answer": "wrong"}.items() <= app.query_params.items()


def test_a_click_on_a_row_opens_it(opened: Open, cache: Path) -> None:
    app = opened(cache, language="arb_Arab")
    wanted = ids(app)[4]
    app = opening.chosen(app, opening.table_key(app), rows=[4])
    assert app.title[0].value == "Instance" and app.query_params["instance"] == wanted


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("language", "../etc"),
        ("kind", "pie"),
        ("from", "nan"),
        ("from", "1e999"),
        ("from", "x"),
        ("cohorts", "EC"),
        ("split", ""),
    ],
)
def test_a_value_that_is_not_offered_is_dropped(opened: Open, cache: Path, key: str, value: str) -> None:
    app = opened(cache, **{key: value})
    assert not app.error and app.query_params.get(key) != value
    assert len(ids(app)) == 60


def test_sentences_without_answers_are_shown_without_tests(opened: Open, tmp_path: Path) -> None:
    synthetic_run(tmp_path / "cache", FOUR, Shape(n=12, options=0, task="flores"))
    app = opened(tmp_path / "cache")
    assert not app.error and not app.metric
    assert len(charts(app)) == 2 and len(ids(app)) == 12
    assert any("no answers" in info.value for info in app.info)
