"""The command line: names of runs, JSON, exit statuses, damage told in one sentence."""

from __future__ import annotations

import json
import random
import shutil
import socket
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from fault import events_in, flip, request_for, run_folder, said, stamps, temporaries, truncate, write_xcopa

from crossalign import pipeline, tables
from crossalign.__main__ import _parser, main
from crossalign.planning import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS, RunRequest, request_of
from crossalign.schema import UserError
from crossalign.store import parts, runs
from crossalign.tasks import TASKS
from crossalign.translation.planning import TranslationRequest


@pytest.fixture(scope="module")
def pristine(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one finished run of XCOPA; copied before it is changed."""
    folder = tmp_path_factory.mktemp("commands")
    pipeline.run(request_for(tiny_folder, write_xcopa(folder / "data", 12), folder / "cache"))
    return folder / "cache"


@pytest.fixture
def cache(pristine: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return shutil.copytree(pristine, tmp_path / "cache")


def strict(text: str) -> dict:
    """JSON as the standard has it: NaN and Infinity are errors."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("command", "kind", "without"),
    [
        ("run", RunRequest, {"note"}),
        ("translate", TranslationRequest, {"note", "protocol", "connectors", "poolings", "keep_states"}),
    ],
)
def test_the_fields_of_a_request_are_options(command: str, kind: type[RunRequest], without: set[str]) -> None:
    words = [command, "--model", "m", "--task", "t", "--languages", "a, b", "--shots", "3", "--cache", "c"]
    options = _parser().parse_args(words)
    assert {f.name for f in fields(kind)} - set(vars(options)) == without
    found = request_of(kind, options)
    assert (found.model, found.task, found.languages, found.shots) == ("m", "t", ("a", "b"), 3)
    assert found.cache == Path("c") and found.poolings == RunRequest("m", "t").poolings


def test_the_help_names_the_default_size_of_a_batch(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"default: {CPU_BATCH_TOKENS} on a CPU, {GPU_BATCH_TOKENS} on a GPU" in text


# --- names of runs -----------------------------------------------------------------------------------------------

HOSTILE = ["../x", "/etc", "..", ".", "/", "*", "[a", "a\x00b", "xcopa_tiny-llama_", "x" * 5000, "parts", "../cache"]


@pytest.mark.parametrize("name", [*HOSTILE, "{outside}"])
@pytest.mark.parametrize("command", ["summary", "verify", "export"])
def test_a_name_is_looked_up_and_never_used_as_a_path(
    cache: Path, capsys: pytest.CaptureFixture, command: str, name: str
) -> None:
    first = run_folder(cache)
    shutil.copytree(first, first.with_name(first.name[:-1] + "_"))
    outside = shutil.copytree(first, cache.parent / "outside")
    before = stamps(cache.parent)
    out = ["--out", str(cache.parent / "out")] if command == "export" else []
    assert main([command, name.format(outside=outside), "--cache", str(cache), *out]) == 2
    said(capsys)
    assert stamps(cache.parent) == before


def test_a_name_that_fits_several_runs_is_refused_with_their_names(cache: Path, capsys: pytest.CaptureFixture) -> None:
    first = run_folder(cache)
    second = shutil.copytree(first, cache / "xcopa_other_0123456789ab")
    assert main(["summary", "xcopa", "--cache", str(cache)]) == 2
    text = said(capsys)
    assert first.name in text and second.name in text
    assert main(["summary", "0123", "--cache", str(cache), "--json"]) == 0
    assert main(["summary", first.name, "--cache", str(cache), "--json"]) == 0


@pytest.mark.parametrize("there", ["nothing", "a file", "an empty folder"])
def test_a_cache_without_runs_is_no_error_for_list_and_a_sentence_for_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture, there: str
) -> None:
    cache = tmp_path / "cache"
    if there == "a file":
        cache.write_text("x")
    elif there == "an empty folder":
        cache.mkdir()
    assert main(["list", "--cache", str(cache)]) == 0
    assert "No runs" in capsys.readouterr().out
    assert main(["verify", "--cache", str(cache)]) == (0 if there == "an empty folder" else 2)
    assert there == "an empty folder" or f"There is no cache folder {cache}" in said(capsys)
    assert main(["summary", "xcopa", "--cache", str(cache)]) == 2
    assert "No run 'xcopa'" in said(capsys)


# --- what is printed ---------------------------------------------------------------------------------------------


def test_list_shows_what_a_run_is(cache: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["list", "--cache", str(cache), "--json"]) == 0
    (row,) = strict(capsys.readouterr().out)["runs"]
    assert row["run_id"] == run_folder(cache).name
    assert (row["task"], row["n"], row["complete"], row["languages"]) == ("xcopa", 12, True, ["en", "it", "sw"])
    shutil.rmtree(run_folder(cache) / "parts" / "sw")
    assert main(["list", "--cache", str(cache), "--json"]) == 0
    (row,) = strict(capsys.readouterr().out)["runs"]
    assert (row["complete"], row["languages"]) == (False, ["en", "it"])
    assert main(["list", "--cache", str(cache)]) == 0
    assert row["run_id"] in capsys.readouterr().out, "an id must stand on one line, to be copied"


@pytest.mark.parametrize("columns", [None, 120, 80, 30])
def test_however_narrow_the_terminal_a_list_cuts_neither_id_nor_n(
    cache: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, columns: int | None
) -> None:
    folder = run_folder(cache)
    record = json.loads((folder / "run.json").read_text())
    record["spec"]["model"] = "/somewhere/" + "long-name-of-a-model-" * 4
    record["facts"]["n"] = 123_456_789
    (folder / "run.json").write_text(json.dumps(record))
    run_id = runs.read_run(folder).run_id
    if columns:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        for name, value in {"COLUMNS": str(columns), "LINES": "25", "TERM": "dumb"}.items():
            monkeypatch.setenv(name, value)
    assert main(["list", "--cache", str(cache)]) == 0
    (line,) = (text for text in capsys.readouterr().out.splitlines() if run_id in text)
    assert " 123456789 " in line
    if columns is None:
        assert "3: en, it, sw" in line and record["spec"]["model"].rsplit("/", 1)[-1] in line


def test_summary_gives_the_tables_as_strict_json(cache: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["summary", "xcopa", "--cache", str(cache), "--json"]) == 0
    value = strict(capsys.readouterr().out)
    assert [row["language"] for row in value["languages"]] == ["en", "it", "sw"]
    assert {row["language"] for row in value["best_layers"]} == {"it", "sw"}
    assert all(row["r"] is None for row in value["correlations"]), "two languages make no correlation"


def test_summary_shows_only_poolings_of_the_run(cache: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["summary", "xcopa", "--cache", str(cache), "--pooling", "weighted_mean"]) == 0
    assert "weighted_mean" in capsys.readouterr().out
    assert main(["summary", "xcopa", "--cache", str(cache), "--pooling", "mean"]) == 2
    assert "last_token" in said(capsys)
    for chosen in ([], ["--pooling", "weighted_mean"]):
        assert main(["summary", "xcopa", "--cache", str(cache), "--json", *chosen]) == 0
        value = strict(capsys.readouterr().out)
        shown = {row["pooling"] for table in ("best_layers", "correlations") for row in value[table]}
        assert shown == set(chosen[1:] or ["last_token", "weighted_mean"])
    assert main(["summary", "xcopa", "--cache", str(cache), "--against", "xcopa"]) == 2
    assert "is no translation run" in said(capsys)


def test_progress_for_machines_goes_to_standard_error_and_the_result_to_standard_output(
    tiny_folder: Path, xcopa_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = ["run", "--model", str(tiny_folder), "--task", "xcopa", "--data", str(xcopa_data), "--device", "cpu"]
    assert main([*command, "--languages", "it", "--cache", str(tmp_path / "c"), "--json"]) == 0
    printed = capsys.readouterr()
    assert strict(printed.out)["complete"] is True
    events = [strict(line) for line in printed.err.splitlines()]
    assert events == events_in(printed.err)
    assert [e["name"] for e in events if e["event"] == "stage"] == ["en", "it"]


@pytest.mark.parametrize("languages", ["en", "it"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_pivot_alone_and_a_single_language_have_a_summary(
    tiny_folder: Path, xcopa_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture, languages: str, form: list[str]
) -> None:
    command = ["run", "--model", str(tiny_folder), "--task", "xcopa", "--data", str(xcopa_data), "--device", "cpu"]
    assert main([*command, "--languages", languages, "--cache", str(tmp_path / "c"), *form]) == 0
    printed = capsys.readouterr().out
    assert "English" in printed
    if form:
        value = strict(printed)
        assert value["languages"][0]["accuracy"] is not None
        assert bool(value["best_layers"]) == (languages == "it")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_language_without_a_known_resource_level_has_a_summary(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, form: list[str]
) -> None:
    for code in ("eng_Latn", "kea_Latn"):
        lines = "".join(f"Sentence {i * i} of {code}.\n" for i in range(6))
        (tmp_path / f"{code}.devtest").write_text(lines, encoding="utf-8")
    command = ["run", "--model", str(tiny_folder), "--task", "flores", "--data", str(tmp_path), "--device", "cpu"]
    assert main([*command, "--cache", str(tmp_path / "c"), *form]) == 0
    printed = capsys.readouterr().out
    assert "Kabuverdianu" in printed
    if form:
        kea = strict(printed)["languages"][1]
        assert kea["resource_level"] is None and kea["accuracy"] is None


# --- mistakes on the command line ----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["0", "-3", "many", "1.5"])
def test_a_limit_that_is_no_positive_number_is_told(capsys: pytest.CaptureFixture, limit: str) -> None:
    try:
        status = main(["run", "--model", "m", "--task", "xcopa", "--limit", limit])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert "positive number" in said(capsys)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["run", "--model", "m"], "--task"),
        (["run", "--model", "m", "--task", "xcopa", "--dtype", "int4"], "bfloat16"),
        (["run", "--model", "m", "--task", "xcopa", "--shots", "two"], "--shots"),
        (["summary"], "RUN"),
        (["app", "--port", "99999"], "1 to 65535"),
        (["app", "--port", "-1"], "--port"),
        (["fly"], "fly"),
        ([], "COMMAND"),
    ],
)
def test_a_mistake_in_the_options_is_told_with_status_2(
    capsys: pytest.CaptureFixture, arguments: list[str], word: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert word in capsys.readouterr().err


def test_a_taken_port_is_told_before_anything_is_computed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["app", "--demo", "--port", str(port), "--cache", str(tmp_path / "cache")]) == 2
    assert f"Port {port} is in use" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--task", "xcopa", "--model", "PATH"],
        ["run", "--task", "xcopa", "--model", "gpt2", "--data", "PATH"],
        ["import", "lm-eval", "PATH"],
        ["import", "published", "PATH"],
        ["list", "--cache", "PATH"],
    ],
)
def test_a_path_that_cannot_be_one_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list[str]
) -> None:
    long = str(tmp_path / ("x" * 300))
    given = [long if word == "PATH" else word for word in arguments]
    assert main([*given, *([] if "--cache" in given else ["--cache", str(tmp_path)])]) in (0, 2)
    assert "Traceback" not in said(capsys)


def test_the_help_names_every_task(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = " ".join(capsys.readouterr().out.split()).replace("- ", "-").replace(", -", ", miniature-")
    assert [name for name in TASKS if name not in text] == []


def test_export_to_a_place_that_is_a_file_is_told(cache: Path, capsys: pytest.CaptureFixture) -> None:
    place = cache.parent / "file"
    place.write_text("mine")
    for out in (place, place / "below"):
        assert main(["export", "xcopa", "--out", str(out), "--cache", str(cache)]) == 2
        text = said(capsys)
        assert str(place) in text and "--cache" not in text
    assert place.read_text() == "mine"


# --- damage ------------------------------------------------------------------------------------------------------

NAMES = [
    "instances.parquet",
    "scores.parquet",
    "rates_en_last_token.parquet",
    "alignment_en_last_token.safetensors",
    "manifest.json",
]


def flip_content(path: Path) -> None:
    """Flips a bit that leaves a JSON file readable: the number of layers; elsewhere a bit in the middle."""
    data = path.read_bytes()
    flip(path, data.index(b'"n_layers": 3') + 12 if path.suffix == ".json" else len(data) // 2)


@pytest.mark.parametrize("damage", [truncate, flip_content])
@pytest.mark.parametrize("name", NAMES)
def test_verify_names_a_damaged_file(cache: Path, capsys: pytest.CaptureFixture, name: str, damage: Callable) -> None:
    assert main(["verify", "--cache", str(cache)]) == 0
    path = run_folder(cache) / "parts" / "it" / name
    damage(path)
    capsys.readouterr()
    assert main(["verify", "--cache", str(cache)]) == 1
    assert str(path) in capsys.readouterr().out


def test_verify_notices_that_the_description_of_a_run_was_changed(cache: Path, capsys: pytest.CaptureFixture) -> None:
    path = run_folder(cache) / "run.json"
    path.write_text(path.read_text().replace('"pivot": "en"', '"pivot": "it"'))
    assert main(["verify", "--cache", str(cache)]) == 1
    assert run_folder(cache).name in capsys.readouterr().out


def test_verify_names_missing_and_foreign_files(cache: Path, capsys: pytest.CaptureFixture) -> None:
    folder = run_folder(cache) / "parts" / "sw"
    (folder / "scores.parquet").unlink()
    (folder / "notes.txt").write_text("mine")
    assert main(["verify", "xcopa", "--cache", str(cache), "--json"]) == 1
    problems = strict(capsys.readouterr().out)["problems"]
    assert len(problems) == 2
    assert "scores.parquet is missing" in problems[0] and "notes.txt does not belong" in problems[1]


@pytest.mark.parametrize("damage", [truncate, flip_content, Path.unlink])
@pytest.mark.parametrize("name", NAMES[:4])
def test_a_reading_command_tells_of_damage_in_one_sentence(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture, name: str, damage: Callable
) -> None:
    damage(run_folder(cache) / "parts" / "it" / name)
    assert main(["export", "xcopa", "--out", str(tmp_path / "out"), "--cache", str(cache)]) == 2
    assert name in said(capsys)
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_damage_whatever_ends_in_a_traceback_or_in_many_lines(cache: Path, name: str) -> None:
    run, rng, wrong = runs.read_run(run_folder(cache)), random.Random(1), set()
    path = run.part_folder("it") / name
    whole = path.read_bytes()
    for turn in range(80):
        position = rng.randrange(len(whole))
        path.write_bytes(whole[:position])
        if turn % 4:
            path.write_bytes(whole)
            flip(path, position)
        try:
            tables.correlations(tables.languages(run), tables.rates(run))
            tables.instances(run, "it")
            tables.alignment(run, "it", "last_token")
            parts.verify(run)
        except UserError as error:
            wrong |= {"a message of several lines"} if "\n" in str(error) else set()
        except Exception as error:
            wrong.add(f"{type(error).__name__}: {error}")
    assert not wrong
