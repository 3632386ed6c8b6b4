"""The static report: what stands in it, that text stays text, and that it asks nobody for anything."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from foreign import accuracy_of, write_logs, write_release, xcopa_samples
from synthetic import HOSTILE, Shape, synthetic_run
from synthetic_translation import synthetic_translation

from crossalign.__main__ import main
from crossalign.importers.lm_eval import import_logs
from crossalign.importers.published import import_release
from crossalign.report.page import cells
from crossalign.report.writing import write_report
from crossalign.schema import UserError
from crossalign.store.runs import Run, find_run

FIVE = ("eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn", "tha_Thai")
FILES = {"index.html", "report.css", "report.js", "plotly.min.js"}


class Page(HTMLParser):
    """A page taken apart: texts, headings, cells, figures and addresses."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.headings: list[str] = []
        self.cells: list[str] = []
        self.figures: list[dict] = []
        self.addresses: list[tuple[str, str]] = []
        self.attributes: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [(tag, value or "") for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag in ("td", "h2"):
            (self.cells if tag == "td" else self.headings).append("")
        self.open = [*self.open, tag]

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open[: len(self.open) - self.open[::-1].index(tag) - 1] if tag in self.open else self.open

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.figures.append(json.loads(data))
            return
        self.texts.append(data)
        if "td" in self.open:
            self.cells[-1] += data
        if "h2" in self.open:
            self.headings[-1] += data

    @property
    def text(self) -> str:
        return "".join(self.texts)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return synthetic_run(tmp_path_factory.mktemp("report") / "cache", FIVE, Shape(n=24))


def report(run: Run, out: Path, **view: str) -> Page:
    files = write_report(run, out, **view)
    assert {f.name for f in files} == FILES and all(f.parent == out / "report" for f in files)
    return Page(out / "report" / "index.html")


def test_export_writes_a_report_unless_told_not_to(whole: Run, tmp_path: Path) -> None:
    order = ["export", whole.run_id, "--cache", str(whole.folder.parent), "--out"]
    assert main([*order, str(tmp_path / "a")]) == 0
    assert {p.name for p in (tmp_path / "a" / "report").iterdir()} == FILES
    links = [a for tag, a in Page(tmp_path / "a" / "report" / "index.html").addresses if a.startswith("../")]
    assert links and all((tmp_path / "a" / "report" / link).is_file() for link in links)
    assert main([*order, str(tmp_path / "b"), "--no-report"]) == 0
    assert not (tmp_path / "b" / "report").exists() and (tmp_path / "b" / "rates.csv").is_file()


def test_the_report_tells_findings_figures_tables_definitions_and_provenance(whole: Run, tmp_path: Path) -> None:
    page = report(whole, tmp_path)
    sections = ["Findings", "Languages", "Layers", "Instances", "Definitions", "Provenance", "Citations"]
    assert page.headings == sections
    for words in ("Accuracy.", "Over languages.", "Over instances.", "Largest gap.", "Over layers.", "Figure 9."):
        assert words in page.text
    assert "DALI (best layer) and accuracy over 4 languages: r = " in page.text
    assert len(page.figures) == page.tags.count("figure") >= 9
    assert {"Swahili", "DALI row-wise", "best layer", whole.spec.data_digest} <= set(page.cells)
    assert f"--model {whole.spec.model_name} " in page.text


@pytest.mark.parametrize("aligned", [True, False])
def test_a_translation_run_has_its_report(tmp_path: Path, aligned: bool, capsys: pytest.CaptureFixture) -> None:
    alignment = synthetic_run(tmp_path / "cache", FIVE, Shape(n=24, options=0, task="flores"), model=HOSTILE[0])
    run = synthetic_translation(alignment, FIVE[1:])
    if not aligned:
        shutil.rmtree(alignment.folder)
    order = ["export", run.run_id, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    assert main(order) == 0
    page = Page(tmp_path / "out" / "report" / "index.html")
    directions = ["From English", "Into English"]
    assert page.headings == ["Findings", *directions, "Definitions", "Provenance", "Citations"]
    links = [a for tag, a in page.addresses if a.startswith("../")]
    assert any("comet/" in a for a in links) and all((tmp_path / "out" / "report" / a).is_file() for a in links)
    assert ("MEXA (best layer) and chrF++ over 4 languages: r = " in page.text) == aligned
    assert ("Within languages, aligned sentences" in page.text) == aligned
    assert ("Not in this cache" in page.text) == (not aligned)
    assert len(page.figures) == (6 if aligned else 2) and {"Swahili", "English to Swahili"} <= set(page.cells)
    assert "img" not in page.tags and page.tags.count("script") == 2 + len(page.figures)
    assert main([*order, "--metric", "dali"]) == 2 and "has no metric 'dali'" in capsys.readouterr().err


def test_metric_and_pooling_can_be_chosen(whole: Run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    page = report(whole, tmp_path / "a", metric="mexa_t", pooling="weighted_mean")
    assert "MEXA_T, weighted mean" in page.text and "MEXA_T is highest at layer" in page.text
    order = [
        "export",
        whole.run_id,
        "--cache",
        str(whole.folder.parent),
        "--out",
        str(tmp_path / "b"),
        "--metric",
        "cka",
    ]
    assert main(order) == 2
    assert "has no metric 'cka'; it has dali, " in capsys.readouterr().err
    with pytest.raises(UserError, match="no pooling"):
        write_report(whole, tmp_path / "c", pooling="mean")


def test_a_report_asks_nobody_for_anything(whole: Run, tmp_path: Path) -> None:
    page = report(whole, tmp_path)
    assert {a for tag, a in page.addresses if tag != "a"} == FILES - {"index.html"}
    outside = {a for _, a in page.addresses if ":" in a}
    assert outside and all(a.startswith("https://arxiv.org/abs/") for a in outside)
    assert all(not name.startswith("on") for name in page.attributes)
    for name in ("report.css", "report.js"):
        assert (
            "http" not in (tmp_path / "report" / name).read_text()
            and "url(" not in (tmp_path / "report" / name).read_text()
        )
    source = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in source and "cdn" not in source


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    run = synthetic_run(tmp_path / "cache", FIVE[:3], Shape(n=12), hostile=True)
    page = report(run, tmp_path)
    assert page.tags.count("script") == len(page.figures) + 2
    assert not {"img", "iframe", "object", "form", "input", "style", "base"} & set(page.tags)
    title = HOSTILE[0].rsplit("/", 1)[-1]  # the model's name is what follows the last slash
    assert title in page.text and title in page.cells
    assert HOSTILE[1] in page.text
    assert not [a for tag, a in page.addresses if tag == "a" and "example.org" in a]
    source = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script[^>]*>[^<]*(alert|document\.title)", source)


def _only_pivot(cache: Path) -> Run:
    return synthetic_run(cache, FIVE[:1], Shape(n=12), missing=FIVE[1:])


def _one_language(cache: Path) -> Run:
    return synthetic_run(cache, FIVE[:2], Shape(n=12))


def _two_languages(cache: Path) -> Run:
    return synthetic_run(cache, FIVE[:3], Shape(n=12), missing=FIVE[3:])


def _sentences(cache: Path) -> Run:
    return synthetic_run(cache, FIVE, Shape(n=12, options=0, task="flores"))


@pytest.mark.parametrize(
    ("make", "sections", "figures", "said"),
    [
        (_only_pivot, {"Layers": False, "Instances": False}, 1, "Not computed yet. Swahili, "),
        (_one_language, {"Layers": True, "Instances": True}, 9, "too few for a correlation"),
        (_two_languages, {"Layers": True, "Instances": True}, 9, "Not computed yet. "),
        (_sentences, {"Layers": True, "Instances": True}, 4, "MEXA is highest at layer"),
    ],
    ids=["pivot alone", "one language", "two languages", "no answers"],
)
def test_a_run_that_lacks_something_is_told_without_it(
    make: Callable[[Path], Run], sections: dict, figures: int, said: str, tmp_path: Path
) -> None:
    page = report(make(tmp_path / "cache"), tmp_path)
    assert {name: name in page.headings for name in sections} == sections
    assert len(page.figures) == figures
    assert said in page.text
    assert "nan" not in {c.lower() for c in page.cells}


def test_columns_are_written_for_reading() -> None:
    assert cells("layer", pd.Series([0, -1])) == ["0", "−1"]
    assert cells("layer", pd.Series([3, None], dtype="Int16")) == ["3", "–"]
    assert cells("rate", pd.Series([1.0, 0.0])) == ["1.000", "0.000"]
    assert cells("correct", pd.Series([True, None], dtype="boolean")) == ["yes", "–"]
    assert cells("odds", pd.Series([float("inf"), -0.5])) == ["∞", "−0.500"]
    assert cells("name", pd.Series(["<b>", None])) == ["<b>", "–"]


def test_imported_runs_are_reported_by_their_decisions_or_their_accuracy(tmp_path: Path) -> None:
    for run_id in import_release(write_release(tmp_path / "release"), tmp_path / "cache").runs:
        page = report(find_run(tmp_path / "cache", run_id), tmp_path / run_id)
        assert "imported as decisions without similarities" in page.text and "Instances" in page.headings
        assert "Share of aligned layers" in json.dumps([f["layout"] for f in page.figures])
    write_logs(tmp_path / "logs", {f"xcopa_{code}": xcopa_samples(code) for code in ("it", "sw")})
    for run_id in import_logs(tmp_path / "logs", tmp_path / "scores").runs:
        page = report(find_run(tmp_path / "scores", run_id), tmp_path / run_id)
        assert f"{accuracy_of(xcopa_samples('it')):.3f}" in page.cells and "0 layers" not in page.text
        assert not {"Layers", "Instances"} & set(page.headings) and len(page.figures) == 1
        assert "There is no alignment for it, sw." in page.text
