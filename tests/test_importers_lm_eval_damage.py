"""Damaged logs of lm-evaluation-harness: what is sound is imported, the rest is named, and no run is ever half there."""

from __future__ import annotations

import errno
import json
import os
import tracemalloc
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fault import Server
from foreign import TIME, append, only, rewrite, sample, samples_of, write_logs, write_xcopa_logs, xcopa_samples

from crossalign import tables
from crossalign.importers import building, samples
from crossalign.importers.lm_eval import import_logs
from crossalign.schema import UserError
from crossalign.store.parts import verify
from crossalign.store.runs import list_runs


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return write_xcopa_logs(tmp_path / "logs")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# --- damage ------------------------------------------------------------------------------------------------------


def spoil(rows: list[dict], **changes: object) -> str:
    return json.dumps(rows[1] | {"doc_id": 9, **changes}) + "\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"doc_id": 9, "doc": {"pre', "no valid JSON (the file is cut there)"),
        ("not json\n", "line 5 is no valid JSON"),
        (json.dumps(xcopa_samples("it")[2]) + "\n", "line 5 repeats the item 2"),
        (spoil(xcopa_samples("it"), target="7"), "target 7 is none of its 2 options"),
        (spoil(xcopa_samples("it"), target="0"), "target 0 is not the right option of its row, 1"),
        (spoil(xcopa_samples("it"), target="elephant"), "none of the options"),
        (spoil(xcopa_samples("it"), resps=[[["-1", "False"]]]), "2 requests but 1 answers"),
        (spoil(xcopa_samples("it"), resps=[["text"], ["text"]]), "not in the harness's schema"),
        (json.dumps({"doc_id": 9}) + "\n", "lacks"),
        (spoil(xcopa_samples("it"), doc={"x": "\\ud800"}).replace("option 0", "\\ud800"), "schema"),
        ("[" * 100_000 + "\n", "line 5"),
    ],
    ids=["cut", "no json", "twice", "range", "gold", "text", "count", "kind", "fields", "surrogate", "deep"],
)
def test_a_bad_line_is_named_and_the_rest_is_there(logs: Path, cache: Path, line: str, told: str) -> None:
    path = samples_of(logs, "xcopa_it")
    append(path, line)
    report = import_logs(logs, cache)
    assert len(report.left_out) == 1 and path.name in report.left_out[0] and told in report.left_out[0]
    run = only(cache)
    assert len(tables.instances(run, "it")) == len(tables.instances(run, "sw")) == 4
    assert run.facts["imported"]["left_out"] == [
        report.left_out[0].replace(f"{logs.resolve()}/", "").replace(f"{logs}/", "")
    ]
    assert import_logs(logs, cache).left_out == run.facts["imported"]["left_out"]  # told again


def test_with_a_cut_file_accuracy_is_the_reported_one(logs: Path, cache: Path) -> None:
    path = samples_of(logs, "xcopa_it")
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("\n") + 40], encoding="utf-8")
    report = import_logs(logs, cache)
    assert any("1 of 4 items are sound; accuracy is as reported" in t for t in report.left_out)
    shown = tables.languages(only(cache)).set_index("language")
    assert shown.loc["it", ["accuracy", "n"]].tolist() == [0.75, 4]
    assert tables.instances(only(cache), "it")["correct"].tolist() == [True]


def test_a_thousand_bad_lines_are_one_sentence(logs: Path, cache: Path) -> None:
    append(samples_of(logs, "xcopa_it"), "bad\n" * 1000)
    (told,) = import_logs(logs, cache).left_out
    assert "and 997 more" in told


def test_bad_files_are_named_and_the_rest_is_imported(logs: Path, cache: Path) -> None:
    (logs / f"results_{TIME}.json").write_text('{"results": {', encoding="utf-8")
    write_logs(logs / "b", {"xcopa_klingon": xcopa_samples("it")})
    write_logs(logs / "c", {"gsm8k_de": xcopa_samples("it")}, configs={"gsm8k_de": {"output_type": "generate_until"}})
    write_logs(logs / "d", {"xcopa_th": xcopa_samples("th")}, model_name=None, config={})
    write_logs(logs / "e", {"xcopa_tr": xcopa_samples("tr")}).unlink()
    report = import_logs(logs, cache)
    told = "\n".join(report.left_out)
    for words in ("JSONDecodeError", "'xcopa_klingon' names no language", "generate_until", "which model", "beside it"):
        assert words in told
    assert len(report.left_out) == 5 and only(cache).languages() == ["it", "sw"]


def test_likelihoods_against_the_logged_accuracy_are_told(logs: Path, cache: Path) -> None:
    path = samples_of(logs, "xcopa_it")
    path.write_text(path.read_text().replace('"acc": 1.0', '"acc": 0.0'), encoding="utf-8")
    rewrite(next(logs.rglob("results_*")), lambda r: r | {"results": r["results"] | {"xcopa_sw": {"acc,none": 0.1}}})
    told = import_logs(logs, cache).left_out
    assert "3 items are logged as right or wrong against their log-likelihoods" in told[0]
    assert "its items give accuracy 0.7500" in told[1] and "0.1000" in told[1]


def test_names_from_files_never_leave_the_cache(tmp_path: Path, cache: Path) -> None:
    rows = [sample(0, [-1.0, -2.0], 0)]
    folder = tmp_path / "logs"
    write_logs(folder, {"safe_de": rows})
    rewrite(
        folder / f"results_{TIME}.json",
        lambda r: r | {k: {"../../../evil_de": r[k]["safe_de"]} for k in ("results", "configs", "n-samples")}
        | {"model_name": "/home/someone/secret/../model"},
    )  # fmt: skip
    import_logs(folder, cache)
    run = only(cache)
    assert run.folder.parent == cache and run.spec.model == "model" and "evil" in run.run_id
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "logs"]


def test_a_folder_without_logs_is_one_sentence(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        import_logs(tmp_path / "none", cache)
    with pytest.raises(UserError, match="No multiple-choice logs"):
        import_logs(tmp_path, cache)
    assert list_runs(cache) == ([], [])


def test_a_file_that_cannot_be_read_is_one_sentence(logs: Path, cache: Path) -> None:
    path = samples_of(logs, "xcopa_it")
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(UserError, match=r"samples_xcopa_it.*cannot be read"):
        import_logs(logs, cache)
    assert list_runs(cache) == ([], [])


# --- whole or not at all -------------------------------------------------------------------------------------------


def test_an_error_in_the_middle_leaves_no_run(logs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = building._write_accuracy

    def fail(folder: Path, source: object) -> None:
        write(folder, source)
        if folder.name.startswith(".sw"):
            raise RuntimeError("in the middle")

    monkeypatch.setattr(building, "_write_accuracy", fail)
    with pytest.raises(RuntimeError):
        import_logs(logs, cache)
    assert [p.name for p in cache.iterdir()] == [".imports.lock"]


@pytest.mark.parametrize(
    ("place", "name", "number", "told"),
    [
        (samples, "_sample", errno.EIO, r"Cannot read .*samples_xcopa_.*: Input/output error"),
        (pq.ParquetWriter, "write_table", errno.ENOSPC, r"Cannot write .*instances.parquet: the disk is full"),
    ],
)
def test_a_disk_that_fails_in_the_middle_is_told_by_the_right_file(
    logs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, place: object, name: str, number: int, told: str
) -> None:
    work, calls = getattr(place, name), count()

    def fail(*arguments: object) -> object:
        if next(calls) == 1:
            raise OSError(number, os.strerror(number))
        return work(*arguments)

    monkeypatch.setattr(place, name, fail)
    with pytest.raises(UserError, match=told):
        import_logs(logs, cache)
    assert list_runs(cache) == ([], [])


def test_a_source_that_changes_meanwhile_is_not_imported(
    logs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = building.Builder.build

    def change(self: building.Builder) -> None:
        build(self)
        append(samples_of(logs, "xcopa_it"), "\n")

    monkeypatch.setattr(building.Builder, "build", change)
    with pytest.raises(UserError, match="changed while it was read"):
        import_logs(logs, cache)
    assert list_runs(cache) == ([], [])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("jobs"))
    yield started
    started.close()


def test_wherever_it_is_killed_there_is_a_whole_run_or_none(server: Server, logs: Path, tmp_path: Path) -> None:
    arguments = ["import", "lm-eval", str(logs), "--json"]
    killed, count = 0, 1
    while True:
        cache = tmp_path / f"cache-{count}"
        status = server.start([*arguments, "--cache", str(cache)], ".*", f"cache-{count}", count).wait()
        runs, problems = list_runs(cache)
        assert not problems and all(verify(r) == [] and r.languages() == ["it", "sw"] for r in runs)
        if status == 0:
            break
        assert status == -9
        server.run([*arguments, "--cache", str(cache)])
        assert verify(only(cache)) == []
        assert {p.name for p in cache.iterdir()} == {only(cache).run_id, ".imports.lock"}
        killed, count = killed + 1, count + 3
    assert killed > 5


def test_memory_does_not_grow_with_the_log(tmp_path: Path, cache: Path) -> None:
    rows = [sample(i, [-1.0, -2.0], i % 2, prompt="word " * 2000) for i in range(800)]
    write_logs(tmp_path / "logs", {"hellaswag_de": rows})
    del rows
    assert samples_of(tmp_path / "logs", "hellaswag_de").stat().st_size > 15e6
    tracemalloc.start()
    import_logs(tmp_path / "logs", cache)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6
