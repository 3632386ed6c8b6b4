"""The dashboard without a browser: every page on a whole, an empty, a partial and an outdated cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from crossalign.pipeline import run
from crossalign.planning import RunRequest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A cache with one run of two languages, computed by the tiny model."""
    cache = tmp_path_factory.mktemp("app") / "cache"
    note = "A <script>alert(1)</script> **note** $x$."
    request = RunRequest(str(tiny_folder), "miniature-copa", languages=("sw", "ar"), limit=24, cache=cache, note=note)
    run(request)
    return cache


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], AppTest]:
    """Runs the app on a cache."""

    def start(cache: Path) -> AppTest:
        monkeypatch.setenv("CROSSALIGN_CACHE", str(cache))
        monkeypatch.chdir(ROOT)
        return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()

    return start


def test_a_run_is_shown_with_its_languages(app: Callable, computed: Path) -> None:
    page = app(computed)
    assert not page.exception and not page.error
    assert page.title[0].value == "Runs"
    overview, languages = (frame.value for frame in page.dataframe)
    assert overview["complete"].tolist() == ["3 of 3"]
    assert sorted(languages["language"]) == ["ar", "sw"]
    assert languages["accuracy"].between(0, 1).all() and (languages["low"] <= languages["rate"]).all()
    assert len(page.get("plotly_chart")) == 1


def test_another_metric_and_pooling_change_the_table(app: Callable, computed: Path) -> None:
    page = app(computed)
    before = page.dataframe[1].value
    page = page.selectbox(key="metric").select("dali_gold").run()
    page = page.selectbox(key="pooling").select("weighted_mean").run()
    assert not page.exception
    assert not page.dataframe[1].value["rate"].equals(before["rate"])


def test_text_of_a_run_stays_text(app: Callable, computed: Path) -> None:
    page = app(computed)
    shown = [caption.value for caption in page.caption if "script" in caption.value]
    assert shown and not any("<script>" in value or "**note**" in value or "$x$" in value for value in shown)
    assert not any(element.allow_html for element in (*page.markdown, *page.caption))


def test_an_empty_cache_says_what_to_do(app: Callable, tmp_path: Path) -> None:
    page = app(tmp_path / "none")
    assert not page.exception
    assert "No runs" in page.info[0].value and "crossalign run" in page.code[0].value


def test_a_partial_run_says_what_is_missing(app: Callable, computed: Path, tmp_path: Path) -> None:
    cache = shutil.copytree(computed, tmp_path / "cache")
    shutil.rmtree(next(cache.glob("*/parts/sw")))
    page = app(cache)
    assert not page.exception
    assert page.dataframe[0].value["complete"].tolist() == ["2 of 3"]
    assert any("Not computed yet" in caption.value and "sw" in caption.value for caption in page.caption)
    shutil.rmtree(next(cache.glob("*/parts/ar")))
    page = app(cache)
    assert not page.exception
    assert "Only the pivot" in page.info[0].value


@pytest.mark.parametrize("version", [0, 99])
def test_a_run_of_another_schema_is_named_and_the_rest_is_shown(
    app: Callable, computed: Path, tmp_path: Path, version: int
) -> None:
    cache = shutil.copytree(computed, tmp_path / "cache")
    folder = next(cache.glob("*/run.json")).parent
    other = shutil.copytree(folder, cache / "xcopa_other_000000000000")
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(record | {"schema_version": version}))
    page = app(cache)
    assert not page.exception
    assert f"schema {version}" in page.warning[0].value
    assert len(page.dataframe[0].value) == 1


def test_a_damaged_part_is_told_on_the_page(app: Callable, computed: Path, tmp_path: Path) -> None:
    cache = shutil.copytree(computed, tmp_path / "cache")
    path = next(cache.glob("*/parts/sw/rates_en_last_token.parquet"))
    path.write_bytes(path.read_bytes()[:100])
    page = app(cache)
    assert not page.exception
    assert "damaged" in page.error[0].value


def test_the_app_starts_without_the_heavy_libraries(computed: Path) -> None:
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        "page = AppTest.from_file('app.py', default_timeout=60).run(); assert not page.exception and page.dataframe; "
        "print([m for m in ('torch', 'transformers', 'datasets', 'sklearn', 'statsmodels') if m in sys.modules])"
    )
    environment = {"CROSSALIGN_CACHE": str(computed), "PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code.replace("'app.py'", repr(str(ROOT / "app.py")))],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "[]", done.stderr
