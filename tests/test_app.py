"""The dashboard without a browser: every page on a whole, empty, partial, outdated, damaged and hostile cache."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from synthetic import HOSTILE, Shape, synthetic_run

ROOT = Path(__file__).parents[1]
PAGES = re.findall(r'st\.Page\(\s*"([\w/]+\.py)"', (ROOT / "app.py").read_text(encoding="utf-8"))
OVERVIEW = PAGES[0]
FIVE = ("eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn", "tha_Thai")

Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with two runs: of a task with options, and of plain sentences."""
    cache = tmp_path_factory.mktemp("app") / "cache"
    synthetic_run(cache, FIVE[:3], Shape(n=24, options=0, task="flores"), seed=1)
    synthetic_run(cache, FIVE)
    return cache


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a page of the app on a cache, in a fresh session, as a link does."""

    def start(cache: Path, page: str = OVERVIEW, **query: str | list[str]) -> AppTest:
        monkeypatch.setenv("CROSSALIGN_CACHE", str(cache))
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        if page != OVERVIEW:
            app.switch_page(page)
        app.query_params.update(query)
        return app.run()

    return start


def run_id(cache: Path, task: str) -> str:
    return next(p.parent.name for p in cache.glob(f"{task}_*/run.json"))


def said(app: AppTest) -> str:
    """All text of the page that comes in Markdown or as a message."""
    elements = (*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.title, *app.subheader)
    return "\n".join(str(e.value) for e in elements)


def copied(cache: Path, target: Path, **changes: object) -> Path:
    """A copy of a cache whose newest run is described otherwise."""
    copy = shutil.copytree(cache, target)
    path = copy / run_id(cache, "belebele") / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return copy


# --- every page in every state -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("task", ["belebele", "flores"])
def test_a_page_shows_a_run(open_page: Open, whole: Path, page: str, task: str) -> None:
    app = open_page(whole, page, run=run_id(whole, task))
    assert not app.exception and not app.error
    assert [title.value for title in app.title] == [Path(page).stem.capitalize()]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_on_an_empty_cache_tells_the_next_step(open_page: Open, tmp_path: Path, page: str) -> None:
    app = open_page(tmp_path / "none", page)
    assert not app.exception and not app.error
    assert len(app.title) == 1
    if page != OVERVIEW and not app.info:
        return  # a page that needs no run
    assert "Compute a run" in app.info[0].value and "crossalign run" in app.code[0].value


@pytest.mark.parametrize("page", PAGES)
def test_a_page_on_a_partial_run_and_on_the_pivot_alone(open_page: Open, tmp_path: Path, page: str) -> None:
    synthetic_run(tmp_path / "a", FIVE[:3], Shape(n=12), missing=FIVE[3:])
    app = open_page(tmp_path / "a", page)
    assert not app.exception and not app.error
    synthetic_run(tmp_path / "b", FIVE[:1], Shape(n=12), missing=FIVE[1:])
    app = open_page(tmp_path / "b", page)
    assert not app.exception and not app.error


@pytest.mark.parametrize("page", PAGES)
def test_a_page_on_a_run_that_has_only_been_opened(open_page: Open, tmp_path: Path, page: str) -> None:
    opened = synthetic_run(tmp_path, FIVE[:1], Shape(n=12), missing=FIVE[1:])
    shutil.rmtree(opened.folder / "parts")
    app = open_page(tmp_path, page)
    assert not app.exception and not app.error


def test_the_overview_says_which_runs_are_not_complete(open_page: Open, tmp_path: Path) -> None:
    synthetic_run(tmp_path, FIVE[:3], Shape(n=12))
    assert not any("not complete" in c.value for c in open_page(tmp_path, OVERVIEW).caption)
    synthetic_run(tmp_path, FIVE[:3], Shape(n=12), missing=FIVE[3:], seed=1)
    assert any(c.value.startswith("1 of 2 runs are not complete") for c in open_page(tmp_path, OVERVIEW).caption)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_keeps_hostile_text_as_text(open_page: Open, tmp_path: Path, page: str) -> None:
    synthetic_run(tmp_path / "cache", FIVE[:3], Shape(n=12), hostile=True)
    app = open_page(tmp_path / "cache", page)
    assert not app.exception and not app.error
    for element in (*app.markdown, *app.caption, *app.info, *app.warning):
        assert not getattr(element, "allow_html", False)
    text = said(app)
    assert "<script" not in text and "**bold**" not in text and "](https" not in text and r"$\frac" not in text


@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_part_is_told_in_place_of_the_page(open_page: Open, whole: Path, tmp_path: Path, page: str) -> None:
    cache = shutil.copytree(whole, tmp_path / "cache")
    path = next(cache.glob("belebele*/parts/swh_Latn/rates_*_last_token.parquet"))
    path.write_bytes(path.read_bytes()[:100])
    app = open_page(cache, page)
    assert not app.exception
    assert not app.error or "damaged" in app.error[0].value
    assert app.error or page != OVERVIEW


# --- the overview ------------------------------------------------------------------------------------------------


def test_the_overview_tells_the_findings_of_the_newest_run(open_page: Open, whole: Path) -> None:
    app = open_page(whole)
    text = said(app).replace("\\", "")
    for topic in ("Accuracy", "Over languages", "Over instances", "Largest gap", "Over layers"):
        assert f"**{topic}.**" in text
    assert "DALI (best layer) and accuracy over 4 languages: r = " in text
    assert len(app.get("plotly_chart")) == 1
    assert len(app.dataframe[0].value) == 2


def test_the_overview_leaves_out_what_a_task_without_options_cannot_tell(open_page: Open, whole: Path) -> None:
    text = said(open_page(whole, run=run_id(whole, "flores")))
    assert "Over layers" in text and "MEXA" in text
    assert "Accuracy" not in text and "Over instances" not in text


def test_a_partial_run_says_what_is_missing(open_page: Open, tmp_path: Path) -> None:
    synthetic_run(tmp_path / "cache", FIVE[:3], Shape(n=12), missing=("deu_Latn",))
    app = open_page(tmp_path / "cache")
    assert "Not computed yet: German" in app.info[0].value.replace("\\", "")
    assert app.dataframe[-1].value["coverage"].tolist() == [0.75]


@pytest.mark.parametrize("version", [0, 99])
def test_a_run_of_another_schema_is_named_and_the_rest_is_shown(
    open_page: Open, whole: Path, tmp_path: Path, version: int
) -> None:
    app = open_page(copied(whole, tmp_path / "cache", schema_version=version))
    assert not app.exception
    assert f"schema {version}" in app.warning[0].value
    assert len(app.dataframe[-1].value) == 1


def test_a_run_that_grows_is_read_again(open_page: Open, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    synthetic_run(cache, FIVE, Shape(n=12))
    shutil.move(next(cache.glob("*/parts/tha_Thai")), tmp_path / "tha_Thai")
    app = open_page(cache)
    assert "× 4 languages" in said(app)
    shutil.move(tmp_path / "tha_Thai", next(cache.glob("*/parts")))
    assert "× 5 languages" in said(app.run())


# --- links -------------------------------------------------------------------------------------------------------


def test_the_url_holds_every_control_and_opens_the_same_view(open_page: Open, whole: Path) -> None:
    app = open_page(whole)
    assert app.query_params["run"] == run_id(whole, "belebele")
    app.selectbox(key="metric").select("dali_gold").run()
    app.segmented_control(key="pooling").set_value("weighted_mean").run()
    app.selectbox(key="rule").select("layer").run()
    app.slider(key="layer").set_value(2).run()
    wanted = {"metric": "dali_gold", "pooling": "weighted_mean", "rule": "layer", "layer": "2"}
    assert wanted.items() <= app.query_params.items()
    other = open_page(whole, **app.query_params)
    assert other.query_params == app.query_params
    assert said(other) == said(app)
    assert other.slider(key="layer").value == 2


def test_a_control_that_goes_leaves_the_url(open_page: Open, whole: Path) -> None:
    app = open_page(whole, rule="layer", layer="2")
    app.selectbox(key="rule").select("max").run()
    assert "layer" not in app.query_params
    app.selectbox(key="rule").select("layer").run()
    assert app.query_params["layer"] == "2"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run", "../../../etc/passwd"),
        ("run", "belebele_*"),
        ("run", "/etc"),
        ("run", ".models"),
        ("run", ["a", "b"]),
        ("metric", "<script>alert(1)</script>"),
        ("metric", ""),
        ("pooling", "mean; rm -rf /"),
        ("rule", "--help"),
        ("layer", "99"),
        ("layer", "-1"),
        ("layer", "1e9"),
        ("layer", "٣٣"),
        ("layer", "9" * 5000),
        ("unknown", "x" * 10_000),
    ],
)
def test_a_value_that_is_not_offered_is_dropped_and_named(
    open_page: Open, whole: Path, key: str, value: str | list[str]
) -> None:
    app = open_page(whole, **({"rule": "layer"} | {key: value}))
    assert not app.exception and not app.error
    assert app.query_params["run"] == run_id(whole, "belebele")
    assert app.query_params["metric"] == "dali" and app.query_params["pooling"] == "last_token"
    assert "unknown" not in app.query_params
    notes = [c.value for c in app.caption if "Left out of the link" in c.value]
    assert len(notes) == (key != "unknown")
    assert all(len(note) < 300 and "<script>" not in note for note in notes)


def test_a_change_of_page_keeps_the_choices(open_page: Open, whole: Path, tmp_path: Path) -> None:
    app = AppTest.from_function(two_pages, kwargs={"folder": str(tmp_path)}, default_timeout=60)
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(PAGE.replace("NAME", name))
    app.run()
    assert app.query_params == {"letter": "a", "number": "5"}
    app.selectbox(key="letter").select("f").run()
    app.multiselect(key="several").set_value(["x", "z"]).run()
    app.query_params = {}  # the menu leads to a bare URL
    app.session_state["_page"] = "two"
    app.run()
    assert app.text[0].value == "two f 5 ('x', 'z')"
    assert app.query_params == {"letter": "f", "number": "5", "several": ["x", "z"]}


PAGE = """
import streamlit as st
from crossalign.ui import controls
letter = controls.choose_one("Letter", list("abcdefg"), "letter")
number = controls.choose_number("Number", 0, 9, "number", default=5)
several = controls.choose_several("Several", list("xyz"), "several")
st.text(f"NAME {letter} {number} {several}")
"""


def two_pages(folder: str) -> None:
    """An app of two pages with the same controls; which one runs stands in the session."""
    from pathlib import Path

    import streamlit as st

    from crossalign.ui import address

    name = st.session_state.get("_page", "one")
    with address.synced(name):
        exec((Path(folder) / f"{name}.py").read_text())


# --- weight ------------------------------------------------------------------------------------------------------


def test_pages_open_without_the_heavy_libraries_and_spare_the_others_the_search_for_garbage(whole: Path) -> None:
    """One after another in one process: the first that loads one is named, and so are those after it."""
    code = (
        "import gc, json, sys; from streamlit.testing.v1 import AppTest\n"
        "for page in sys.argv[2:]:\n"
        "    app = AppTest.from_file(sys.argv[1], default_timeout=60).switch_page(page).run()\n"
        "    assert app.title and not app.exception and not app.error, page\n"
        "    heavy = ('torch', 'transformers', 'datasets', 'sklearn', 'statsmodels')\n"
        "    spared = gc.get_freeze_count() > 10 * len(gc.get_objects())\n"
        "    print(json.dumps([page, [m for m in heavy if m in sys.modules], spared]))"
    )
    environment = {"CROSSALIGN_CACHE": str(whole), "PYTHONPATH": str(ROOT), "PATH": ""}
    command = [sys.executable, "-c", code, str(ROOT / "app.py"), *PAGES]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[page, [], True] for page in PAGES], done.stderr


def test_hostile_texts_are_hostile() -> None:
    assert any("<script>" in t for t in HOSTILE) and max(map(len, HOSTILE)) == 50_000
