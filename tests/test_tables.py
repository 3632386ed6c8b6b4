"""Tables: declared columns, right joins, equal files, and null where a number is none."""

from __future__ import annotations

import csv
import json
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import byte_tokenizer, tiny_llama
from fault import edit, events_in, request_for, write_belebele, write_xcopa
from safetensors.numpy import load_file

from crossalign import pipeline, tables
from crossalign.__main__ import main
from crossalign.schema import TABLES_VERSION
from crossalign.store.runs import Run

HOSTILE = 'He said "hi", then\na line\r\nanother\rand\ttab; ünïcödé 漢字 \u2028 =1+1 \\'


@pytest.fixture(scope="module")
def runs(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A finished run of XCOPA (with a hostile text), of Belebele and of FLORES."""
    folder = tmp_path_factory.mktemp("tables")
    xcopa = write_xcopa(folder / "xcopa", 8)
    edit(xcopa, "it", 3, {"premise": HOSTILE})
    belebele = write_belebele(folder / "belebele", [(0, 1), (1, 1), (0, 2), (2, 3)])
    for code in ("eng_Latn", "swh_Latn"):
        (folder / f"{code}.devtest").write_text("".join(f"Sentence {i * i} of {code}.\n" for i in range(9)))
    wanted = {
        "xcopa": request_for(tiny_folder, xcopa, folder / "c"),
        "belebele": request_for(tiny_folder, belebele, folder / "c", task="belebele", languages=("swh_Latn",)),
        "flores": request_for(tiny_folder, folder, folder / "c", task="flores", languages=()),
    }
    return {task: pipeline.run(request) for task, request in wanted.items()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six instances in English and Italian, to be spoiled."""
    return write_xcopa(tmp_path / "data", 6, ("en", "it"))


@pytest.fixture(params=["xcopa", "belebele", "flores"])
def run(request: pytest.FixtureRequest, runs: dict[str, Run]) -> Run:
    return runs[request.param]


def frames_of(run: Run) -> dict[str, pd.DataFrame]:
    """Every table of a run, all languages together."""
    codes = run.languages()
    by_language = (tables.instances, tables.option_scores, tables.instance_alignment)
    whole = {"languages": tables.languages(run), "rates": tables.rates(run)}
    return whole | {t.__name__: pd.concat([t(run, c) for c in codes]) for t in by_language}


# --- the contract ------------------------------------------------------------------------------------------------


def test_tables_have_the_declared_columns_in_the_declared_order(run: Run) -> None:
    frames = frames_of(run)
    assert sorted(frames) == sorted(tables.COLUMNS)
    for name, frame in frames.items():
        assert list(frame.columns) == list(tables.COLUMNS[name]), name


def test_the_pivot_has_accuracy_but_no_alignment(run: Run) -> None:
    frames, pivot = frames_of(run), run.spec.pivot
    assert frames["languages"]["language"].iloc[0] == pivot
    assert pivot not in set(frames["rates"]["language"]) | set(frames["instance_alignment"]["language"])
    has_options = run.spec.task != "flores"
    assert frames["languages"]["accuracy"].notna().all() == has_options
    assert (frames["option_scores"]["language"] == pivot).any() == has_options


def test_plain_sentences_have_no_options_no_gold_and_one_metric(runs: dict[str, Run]) -> None:
    frames = frames_of(runs["flores"])
    assert len(frames["option_scores"]) == 0
    assert frames["instances"][["gold", "prediction", "correct"]].isna().all(axis=None)
    assert set(frames["rates"]["metric"]) == set(frames["instance_alignment"]["metric"]) == {"mexa"}
    assert frames["languages"]["n"].tolist() == [9, 9]


# --- recomputed slowly -------------------------------------------------------------------------------------------


def slow_margins(arrays: dict, i: int, layer: int, gold: int) -> dict[str, float]:
    """The metrics of one instance and layer by the definitions."""
    s, u, v = (arrays[name][i, layer].tolist() for name in ("cross", "pivot", "language"))
    options = range(len(s))
    crossed = [s[a][b] for a, b in permutations(options, 2)]
    within = [w[a][b] for w in (u, v) for a, b in combinations(options, 2)]
    matched = min(s[a][a] for a in options)
    others = max(arrays["best_in_row"][i, layer], arrays["best_in_column"][i, layer])
    return {
        "dali": matched - max(crossed),
        "dali_s": matched - max(crossed + within),
        "dali_rowwise": min(s[a][a] - max(s[a][b] for b in options if b != a) for a in options),
        "dali_gold": s[gold][gold] - max(s[gold][b] for b in options if b != gold),
        "mexa_t": arrays["matched"][i, layer] - others,
    }


@pytest.mark.parametrize("task", ["xcopa", "belebele"])
def test_instance_alignment_is_the_definitions_on_the_stored_cosines(runs: dict[str, Run], task: str) -> None:
    run = runs[task]
    for code in run.languages()[1:]:
        rows = tables.instances(run, code)
        found = tables.instance_alignment(run, code).set_index(["pooling", "instance_id", "layer", "metric"])
        assert found.index.is_unique
        assert len(found) == 2 * len(rows) * 4 * 5
        for pooling in run.spec.poolings:
            arrays = load_file(run.part_folder(code) / f"alignment_{run.spec.pivot}_{pooling}.safetensors")
            for i, (identity, gold) in enumerate(zip(rows["instance_id"], rows["gold"], strict=True)):
                for layer in range(4):
                    for metric, margin in slow_margins(arrays, i, layer, int(gold)).items():
                        row = found.loc[(pooling, identity, layer, metric)]
                        assert row["margin"] == pytest.approx(margin, abs=1e-11)
                        assert row["aligned"] == (margin > 1e-12)


def test_rates_are_the_means_of_instance_alignment(run: Run) -> None:
    single = pd.concat([tables.instance_alignment(run, c) for c in run.languages()[1:]])
    for row in tables.rates(run).to_dict("records"):
        keys = ("language", "pooling", "metric", "layer")
        mine = single[np.logical_and.reduce([single[k] == row[k] for k in keys])]["aligned"].dropna().astype(float)
        assert (row["n"], row["rate"]) == (len(mine), pytest.approx(mine.mean()))
        assert row["low"] <= row["rate"] <= row["high"]


@pytest.mark.parametrize("task", ["xcopa", "belebele"])
def test_predictions_and_accuracy_follow_from_the_option_scores(runs: dict[str, Run], task: str) -> None:
    run = runs[task]
    shown = tables.languages(run).set_index("language")
    for code in run.languages():
        logliks: dict[str, dict[int, float]] = {}
        for row in tables.option_scores(run, code).to_dict("records"):
            logliks.setdefault(row["instance_id"], {})[row["option"]] = row["loglik"]
        right, margins = [], []
        for row in tables.instances(run, code).to_dict("records"):
            mine = logliks[row["instance_id"]]
            assert sorted(mine) == list(range(len(row["options"])))
            best = max(mine, key=mine.__getitem__)
            assert (row["prediction"], row["correct"]) == (best, best == row["gold"])
            right.append(best == row["gold"])
            margins.append(mine[row["gold"]] - max(v for k, v in mine.items() if k != row["gold"]))
        assert shown.loc[code, "accuracy"] == pytest.approx(sum(right) / len(right))
        assert shown.loc[code, "loglik_margin"] == pytest.approx(sum(margins) / len(margins))


def test_lengths_of_continuations_count_what_they_say(runs: dict[str, Run]) -> None:
    scores = tables.option_scores(runs["xcopa"], "it").set_index(["instance_id", "option"])
    for row in tables.instances(runs["xcopa"], "it").to_dict("records"):
        for option, text in enumerate(row["continuations"]):
            mine = scores.loc[(row["instance_id"], option)]
            # one token per byte, and one for the space before the continuation
            expected = (len(text), len(text.encode()), len(text.encode()) + 1)
            assert (mine["n_characters"], mine["n_bytes"], mine["n_tokens"]) == expected


# --- export ------------------------------------------------------------------------------------------------------


def as_text(value: object) -> str:
    """How a value must stand in CSV."""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None or value != value else str(value)


def test_export_writes_the_same_as_parquet_and_csv(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    cache, out = str(run.folder.parent), tmp_path / "deep" / "out"
    assert main(["export", run.run_id, "--out", str(out), "--cache", cache, "--json"]) == 0
    assert sorted(json.loads(capsys.readouterr().out)["files"]) == sorted(str(p) for p in out.rglob("*") if p.is_file())
    for name, frame in frames_of(run).items():
        table = pq.read_table(out / f"{name}.parquet")
        assert table.column_names == list(tables.COLUMNS[name])
        assert table.num_rows == len(frame)
        expected = [[as_text(v) for v in row.values()] for row in table.to_pylist()]
        with (out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file))
        assert header == table.column_names
        assert rows == expected, name
        again = pd.read_csv(out / f"{name}.csv", keep_default_na=False)
        assert len(again) == len(frame), f"pandas reads other rows from {name}.csv"
    described = json.loads((out / "columns.json").read_text())
    assert (described["tables_version"], described["columns"]) == (TABLES_VERSION, tables.COLUMNS)
    assert described["run_id"] == run.run_id


def test_exported_lists_and_hostile_texts_are_whole(runs: dict[str, Run], tmp_path: Path) -> None:
    tables.export(runs["xcopa"], tmp_path)
    with (tmp_path / "instances.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if (r["language"], r["instance_id"]) == ("it", "3")]
    assert [r["premise"] for r in rows] == [HOSTILE]
    assert json.loads(rows[0]["options"]) == ["first choice 3 in it.", "the other one 1 in it."]


def test_an_export_replaces_an_older_one(runs: dict[str, Run], tmp_path: Path) -> None:
    for task in ("flores", "xcopa"):
        tables.export(runs[task], tmp_path)
    assert set(pq.read_table(tmp_path / "languages.parquet")["language"].to_pylist()) == {"en", "it", "sw"}
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


# --- numbers that are not ----------------------------------------------------------------------------------------


def saved(folder: Path, value: float | None = None, **changes: int) -> Path:
    """The tiny model; with a value, the embedding of "#" has it in one place."""
    import torch

    model, tokenizer = tiny_llama(**changes), byte_tokenizer()
    if value is not None:
        with torch.no_grad():
            model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("#"), 5] = value
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def logliks(run: object, code: str) -> np.ndarray:
    """[instance, option] by the order of the ids."""
    frame = tables.option_scores(run, code).pivot(index="instance_id", columns="option", values="loglik")
    return frame.to_numpy()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("language", ["it", "en"])
def test_instances_with_states_that_are_no_numbers_are_named_counted_and_null(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture, value: float, language: str
) -> None:
    edit(data, language, 1, {"premise": "A # thing."})
    edit(data, language, 4, {"choice2": "The # one."})
    models = saved(tmp_path / "bad", value), saved(tmp_path / "good")
    command = ["run", "--task", "xcopa", "--data", str(data), "--languages", "it", "--device", "cpu", "--json"]
    assert main([*command, "--model", str(models[0]), "--cache", str(tmp_path / "bad-c")]) == 0
    events = events_in(capsys.readouterr().err)
    assert any("2 instances" in e.get("text", "") and e["text"].endswith(": 1, 4") for e in events)
    bad = pipeline.run(request_for(models[0], data, tmp_path / "bad-c", languages=("it",)))
    good = pipeline.run(request_for(models[1], data, tmp_path / "good-c", languages=("it",)))
    manifest = bad.manifest(language)
    assert manifest.counts["nonfinite"] == 2
    assert manifest.provenance["nonfinite_instances"] == ["1", "4"]
    frame = tables.instances(bad, language).set_index("instance_id")
    assert frame["prediction"].isna().tolist() == [False, True, False, False, True, False]
    assert frame["correct"].isna().tolist() == [False, True, False, False, True, False]
    others = [0, 2, 3, 5]
    np.testing.assert_allclose(logliks(bad, language)[others], logliks(good, language)[others], rtol=1e-5)
    margins = tables.instance_alignment(bad, "it")
    deep = margins[(margins["layer"] > 0) & (margins["metric"] != "mexa_t")]
    undefined = deep.groupby("instance_id")["margin"].agg(lambda m: m.isna().all())
    assert undefined.tolist() == [False, True, False, False, True, False]
    assert deep[deep["margin"].isna()]["aligned"].isna().all()
    assert set(tables.rates(bad)["n"]) <= {4, 5, 6}
    (row,) = tables.languages(bad).query(f"language == '{language}'").to_dict("records")
    assert (row["nonfinite"], row["n"]) == (2, 4)


def test_a_bad_question_does_not_spoil_the_others_of_its_passage(tmp_path: Path) -> None:
    data = write_belebele(tmp_path / "data", [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1)])
    edit(data, "swh_Latn", 2, {"question": "Is # fallen?"})
    changes = {"task": "belebele", "languages": ("swh_Latn",), "protocol": "options"}
    good = pipeline.run(request_for(saved(tmp_path / "good"), data, tmp_path / "c", **changes))
    bad = pipeline.run(request_for(saved(tmp_path / "bad", float("nan")), data, tmp_path / "c", **changes))
    assert bad.manifest("swh_Latn").provenance["nonfinite_instances"] == ["p1#1"]
    others = [0, 1, 3, 4]
    np.testing.assert_allclose(logliks(bad, "swh_Latn")[others], logliks(good, "swh_Latn")[others], rtol=1e-5)


@pytest.mark.parametrize("length", [128, 20])
def test_texts_beyond_the_models_length_are_counted_and_null(data: Path, tmp_path: Path, length: int) -> None:
    edit(data, "it", 2, {"premise": "Long " * 60})
    edit(data, "it", 3, {"choice1": "Long " * 60})
    model = saved(tmp_path / "short", max_position_embeddings=length)
    run = pipeline.run(request_for(model, data, tmp_path / "c", languages=("it",)))
    expected = [False, False, True, True, False, False] if length == 128 else [True] * 6
    assert run.manifest("it").counts["too_long"] == sum(expected)
    assert run.manifest("it").counts["nonfinite"] == 0
    assert tables.instances(run, "it")["prediction"].isna().tolist() == expected
    margins = tables.instance_alignment(run, "it").query("metric == 'dali'")
    assert margins.groupby("instance_id")["margin"].agg(lambda m: m.isna().all()).tolist() == expected
    assert main(["summary", run.run_id, "--cache", str(tmp_path / "c")]) == 0
    tables.export(run, tmp_path / "out")
    exported = pq.read_table(tmp_path / "out" / "instances.parquet").to_pandas().query("language == 'it'")
    assert exported["prediction"].isna().tolist() == expected
