"""The Methods page speaks of the run on screen, in the words of the docstrings."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from opening import changed, opened, said
from synthetic import Shape, synthetic_run

from crossalign.__main__ import _parser

CODES = ("eng_Latn", "swh_Latn", "arb_Arab")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("methods") / "cache"
    synthetic_run(cache, CODES, Shape(n=12))
    return cache


def test_definitions_settings_provenance_and_citations(whole: Path) -> None:
    app = opened(whole, "methods")
    assert not app.exception and not app.error
    text = said(app).replace("\\", "")
    for phrase in ("**DALI**", "Margin", "Chance in this run*: 0.000549", "Relabelled rate", "weighted_mean", "McNemar",
                   "arXiv 2504.09378", "arXiv 2410.05873", "Bandarkar"):  # fmt: skip
        assert phrase in text, phrase
    assert app.dataframe[0].value["language"].tolist() == sorted(CODES, key=lambda c: (c != CODES[0], c))
    assert run_digest(whole) in app.get("html")[0].proto.body


def run_digest(cache: Path) -> str:
    return json.loads(next(cache.glob("*/run.json")).read_text())["spec"]["data_digest"]


def test_the_command_is_one_that_can_be_run(whole: Path) -> None:
    words = shlex.split(opened(whole, "methods").code[0].value)
    options = _parser().parse_args(words[1:])
    assert words[0] == "crossalign" and options.task == "belebele" and options.limit == 12
    assert options.languages == ("swh_Latn", "arb_Arab") and options.protocol == "options"


def test_visitors_do_not_see_where_model_and_data_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = synthetic_run(tmp_path, CODES, Shape(n=12))
    path = run.folder / "run.json"
    record = json.loads(path.read_text())
    record["spec"] |= {"model": "/home/someone/models/mine", "model_identity": "files:" + "0" * 64}
    record["facts"] |= {"data": "/home/someone/data/xcopa"}
    path.write_text(json.dumps(record))
    command = opened(tmp_path, "methods").code[0].value
    assert "--model /home/someone/models/mine " in command and "--data /home/someone/data/xcopa " in command
    monkeypatch.setenv("CROSSALIGN_HOSTED", "1")
    app = opened(tmp_path, "methods")
    shown = said(app) + "".join(c.value for c in app.code) + "".join(h.proto.body for h in app.get("html"))
    assert "mine" in shown and "--data xcopa " in shown and "/home/someone" not in shown


def test_imported_results_have_no_command(tmp_path: Path) -> None:
    synthetic_run(tmp_path, CODES, Shape(n=12))
    changed(tmp_path, imported={"left_out": []})
    app = opened(tmp_path, "methods")
    assert not app.exception and not app.code
