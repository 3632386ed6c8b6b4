"""The page of one instance: texts as texts, failures before and after, links, odd requests."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import opening
import pytest
from streamlit.testing.v1 import AppTest
from synthetic import HOSTILE, Shape, synthetic_run

from crossalign.ui.instance_list import NEXT, PREVIOUS
from crossalign.ui.reading import GOLD, PREDICTED

FOUR = ("eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn")

Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("instance") / "cache"
    synthetic_run(folder, FOUR, Shape(n=30))
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "cache"
    synthetic_run(folder, FOUR, Shape(n=12), hostile=True)
    return folder


@pytest.fixture
def opened() -> Open:
    """The page in a fresh session, as a link opens it."""

    def start(folder: Path, **query: str | list[str]) -> AppTest:
        app = opening.opened(folder, "instance", **query)
        assert not app.exception and app.title[0].value == "Instance"
        return app

    return start


def bodies(app: AppTest) -> list[str]:
    return [element.proto.body for element in app.get("html")]


def verdicts(app: AppTest) -> list[str]:
    return [s.value for s in app.subheader[:2]]


def test_both_languages_stand_side_by_side_with_options_and_alignment(opened: Open, cache: Path) -> None:
    app = opened(cache, language="arb_Arab", instance="passage-2#2")
    assert not app.error
    pivot, language, options = bodies(app)
    assert "Question 5 in eng_Latn" in pivot and 'dir="ltr" lang="eng-Latn"' in pivot
    assert "Question 5 in arb_Arab" in language and 'dir="rtl" lang="arb-Arab"' in language
    assert options.count(GOLD) == 2 and options.count(PREDICTED) == 2 and options.count(" nats") == 8
    assert len(app.get("plotly_chart")) == 3
    assert app.query_params["instance"] == "passage-2#2"
    assert all(re.search(r"(right|wrong)$", v) for v in verdicts(app))


def test_next_and_previous_go_from_failure_to_failure(opened: Open, cache: Path) -> None:
    app = opened(cache, language="swh_Latn", instance="passage-0#1")
    seen = []
    while not app.button(key=NEXT).disabled:
        app.button(key=NEXT).click().run()
        assert verdicts(app)[1].endswith("wrong")
        seen.append(app.query_params["instance"])
    assert len(seen) > 3 and len(set(seen)) == len(seen)
    app.button(key=PREVIOUS).click().run()
    assert app.query_params["instance"] == seen[-2]


def test_failures_are_those_within_the_filter(opened: Open, cache: Path) -> None:
    app = opened(cache, language="swh_Latn", aligned="not aligned", rule="layer", layer="5", instance="passage-0#1")
    while not app.button(key=NEXT).disabled:
        app.button(key=NEXT).click().run()
        assert any(c.value.startswith("not aligned") for c in app.caption)
        assert verdicts(app)[1].endswith("wrong")
    assert any("among the" in c.value for c in app.caption)


def test_the_layer_and_the_language_change_what_is_shown_and_keep_the_instance(opened: Open, cache: Path) -> None:
    app = opened(cache, language="swh_Latn", instance="passage-1#1", at="1")
    before = app.get("plotly_chart")[0].proto.spec
    app.slider(key="at").set_value(3).run()
    assert app.get("plotly_chart")[0].proto.spec != before and app.query_params["at"] == "3"
    app.selectbox(key="language").select("deu_Latn").run()
    assert app.query_params["instance"] == "passage-1#1" and 'lang="deu-Latn"' in bodies(app)[1]


def test_the_layer_shown_follows_the_layer_looked_at_until_another_is_chosen(opened: Open, cache: Path) -> None:
    app = opened(cache, language="swh_Latn", rule="layer", layer="1")
    assert app.slider(key="at").value == 1
    app.slider(key="layer").set_value(3).run()
    assert app.slider(key="at").value == 3 and app.query_params["at"] == "3"
    app.slider(key="at").set_value(0).run()
    app.slider(key="layer").set_value(2).run()
    assert app.slider(key="at").value == 0


def test_the_link_shown_opens_the_same_view(opened: Open, cache: Path) -> None:
    app = opened(cache, language="deu_Latn", instance="passage-4#1", at="2", answer="wrong")
    link = next(code.value for code in app.code if "instance=" in code.value)
    assert {"instance=passage-4%231", "language=deu_Latn", "at=2", "answer=wrong"} <= set(
        link.partition("?")[2].split("&")
    )
    other = opened(cache, **app.query_params)
    assert bodies(other) == bodies(app) and other.query_params == app.query_params


@pytest.mark.parametrize("metric", ["dali_s", "dali_gold", "mexa_t"])
def test_every_metric_has_its_page(opened: Open, cache: Path, metric: str) -> None:
    app = opened(cache, metric=metric)
    assert not app.error and len(app.get("plotly_chart")) == 3


@pytest.mark.parametrize(
    "value", ["", "nobody", "../../etc/passwd", "passage-0#1/../x", "<script>alert(1)</script>", "0", "x" * 5000, "%00"]
)
def test_an_unknown_instance_is_dropped_and_named(opened: Open, cache: Path, value: str) -> None:
    app = opened(cache, language="swh_Latn", instance=value)
    assert not app.error and app.query_params["instance"] == "passage-0#1"
    notes = [c.value for c in app.caption if "Left out of the link" in c.value]
    assert len(notes) == 1 and "<script>" not in notes[0] and len(notes[0]) < 300


def test_hostile_texts_stay_texts(opened: Open, hostile: Path) -> None:
    for number, text in enumerate(HOSTILE):
        app = opened(hostile, language="arb_Arab", instance=f"passage-{number // 2}#{number % 2 + 1}")
        assert not app.error
        pivot, language, options = bodies(app)
        assert f">{html.escape(text)}</div>" in pivot and f">{html.escape(text)}</div>" in language
        for body in (pivot, language, options):
            tags = set(re.findall(r"<(/?\w+)", body))
            assert tags <= {
                f"{end}{t}" for t in ("div", "b", "table", "thead", "tbody", "tr", "th", "td") for end in ("", "/")
            }
            assert set(re.findall(r"\s([\w-]+)=\"", re.sub(r">[^<]*<", "><", body))) <= {"dir", "lang", "style"}
        for element in (*app.markdown, *app.caption, *app.info, *app.subheader):
            assert "<script" not in element.value and not getattr(element, "allow_html", False)


def test_sentences_without_options_have_a_page(opened: Open, tmp_path: Path) -> None:
    synthetic_run(tmp_path / "cache", FOUR, Shape(n=8, options=0, task="flores"))
    app = opened(tmp_path / "cache", language="arb_Arab")
    assert not app.error and len(bodies(app)) == 2
    assert len(app.get("plotly_chart")) == 2
    assert all("not answered" in v for v in verdicts(app))


def test_the_record_for_download_is_strict_json(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossalign.ui import data, instances

    monkeypatch.setenv("CROSSALIGN_CACHE", str(cache))
    run = data.run_tables(next(p.parent.name for p in cache.glob("*/run.json")))
    chosen = data.Selection(run.run_id, "dali", "last_token", language="arb_Arab")
    record = json.loads(json.dumps(instances.record_of(run, chosen, "arb_Arab", 3), allow_nan=False))
    assert record["instance_id"] == "passage-1#2"
    assert [t["language"] for t in record["texts"]] == ["eng_Latn", "arb_Arab"]
    margins = instances.margins_of(run, "arb_Arab", "last_token")["dali"][:, 3]
    assert record["margins_by_layer"]["dali"] == pytest.approx(margins.tolist())
    assert len(record["cosines_by_layer"]["cross"]) == 7
    assert sorted(x["language"] for x in record["languages"]) == sorted(FOUR[1:])
