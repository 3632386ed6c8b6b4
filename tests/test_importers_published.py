"""Released results as runs: decisions by item and layer, accuracy, quality."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from foreign import (
    DALI,
    MEXA,
    aligned_by_layer,
    alignment_folder,
    as_bools,
    by_item,
    imported_runs,
    write_json,
    write_release,
    xcopa_samples,
)
from streamlit.testing.v1 import AppTest

from crossalign import imported, tables
from crossalign.__main__ import main
from crossalign.importers.published import import_release
from crossalign.store.runs import list_runs

ROOT = Path(__file__).parents[1]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "release")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# --- a sound release ---------------------------------------------------------------------------------------------


def test_decisions_stand_at_their_items_and_layers_whichever_way_the_file_counts(release: Path, cache: Path) -> None:
    runs, told = imported_runs(release, cache)
    assert told == "" and sorted(runs) == ["flores", "xcopa"]
    run = runs["xcopa"]
    assert run.spec.model == "org/small" and run.spec.poolings == ("last_token",) and run.spec.shots == 5
    assert run.languages() == ["it", "sw"]
    for code in ("it", "sw"):  # counted from 0 and from 1
        assert aligned_by_layer(run, code, "dali") == as_bools(DALI)
    assert aligned_by_layer(run, "it", "mexa_t") == as_bools(MEXA)
    frame = tables.instance_alignment(run, "it")
    assert frame["margin"].isna().all() and set(frame["metric"]) == {"dali", "dali_s", "mexa_t"}
    assert aligned_by_layer(runs["flores"], "ita_Latn", "mexa") == as_bools(MEXA)


def test_rates_are_the_means_of_the_decisions_and_what_cannot_be_known_is_null(release: Path, cache: Path) -> None:
    run = imported_runs(release, cache)[0]["xcopa"]
    rates = tables.rates(run).set_index(["language", "metric", "layer"])
    assert rates.loc[("it", "dali"), "rate"].tolist() == [0.25, 0.75]
    assert rates.loc[("it", "mexa_t"), "rate"].tolist() == [0.0, 0.25, 0.5]
    assert rates["relabelled_rate"].isna().all() and rates["tie_rate"].isna().all() and (rates["n"] == 4).all()
    assert ((rates["low"] <= rates["rate"]) & (rates["rate"] <= rates["high"])).all()
    best = tables.best_layers(tables.rates(run)).set_index(["language", "metric"])
    assert (best.loc[("it", "dali_s"), "layer"], best.loc[("it", "dali_s"), "mean_rate"]) == (1, 0.125)


def test_accuracy_comes_with_the_decisions_and_the_pivot_side(release: Path, cache: Path) -> None:
    run = imported_runs(release, cache)[0]["xcopa"]
    assert tables.languages(run)["accuracy"].tolist() == [0.75, 0.75]
    assert tables.instances(run, "it")["correct"].tolist() == [True, True, True, False]
    assert tables.pivot_instances(run, "it")["premise"][0].startswith("en premise")
    assert len(tables.pivot_instances(run, "sw")) == 0


def test_quality_is_a_plain_table(release: Path, cache: Path) -> None:
    run = imported_runs(release, cache)[0]["flores"]
    scores = imported.external_scores(run, "ita_Latn")
    assert list(scores.columns) == ["field", "direction", "metric", "sentence_id", "score"]
    whole = scores[scores["sentence_id"].isna()].set_index("metric")["score"]
    assert whole.to_dict() == {"comet": 0.75, "comet_median": 0.8}
    single = scores[scores["sentence_id"].notna()]
    assert single["sentence_id"].tolist() == ["0", "1", "2", "3"] and single["score"].tolist() == [0.7, 0.8, 0.9, 0.6]
    assert set(scores["direction"]) == {"en-xx"} and set(scores["field"]) == {"sentence"}
    texts = imported.translations(run, "ita_Latn")
    assert texts.loc[2, ["source", "translation"]].tolist() == ["Sentence 2.", "Frase 2."]
    assert run.languages() == ["ita_Latn", "swh_Latn"] and imported.translations(run, "swh_Latn").empty


def test_what_is_missing_is_told_in_sentences(release: Path, cache: Path) -> None:
    for path in release.glob("accuracy_outputs/*/*/sw/*/samples*"):
        path.unlink()
    runs, _ = imported_runs(release, cache)
    told = "\n".join(imported.missing(runs["xcopa"]))
    assert "it, sw was imported as decisions without similarities: there is no margin" in told
    assert "dali up to layer 1, dali_s up to layer 1" in told
    assert "Accuracy of sw is known for the language only" in told
    assert "The pivot's side of it is a version of its own" in told and "no results of the pivot en for sw" in told
    assert "There is no alignment for swh_Latn." in imported.missing(runs["flores"])


def test_items_without_samples_have_the_ids_of_other_languages(release: Path, cache: Path) -> None:
    for path in release.glob("accuracy_outputs/*/*/*/*/samples_xcopa_it*"):  # ids 10…, so not the row numbers
        rows = xcopa_samples("it", first=10)
        path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    shutil.rmtree(release / "accuracy_outputs/Small/xcopa_unnormalized_5shot/sw")
    run = imported_runs(release, cache)[0]["xcopa"]
    assert tables.instances(run, "sw")["instance_id"].tolist() == ["10", "11", "12", "13"]
    assert tables.instances(run, "sw")[["prediction", "correct", "gold", "premise"]].isna().all(axis=None)
    assert tables.languages(run)["accuracy"].isna().tolist() == [False, True]


@pytest.mark.parametrize("area", ["accuracy_outputs", "alignment_outputs", "translation_outputs"])
def test_any_part_of_a_release_will_do(release: Path, cache: Path, area: str) -> None:
    runs, told = imported_runs(release / area / "Small", cache)
    assert told == "" and runs
    for run in runs.values():
        tables.languages(run), tables.rates(run)
        for code in run.languages():
            tables.instances(run, code), tables.instance_alignment(run, code), tables.option_scores(run, code)
    if area == "alignment_outputs":
        assert runs["xcopa"].spec.model == "Small" and tables.languages(runs["xcopa"])["accuracy"].isna().all()


def test_the_same_files_give_the_same_run_and_a_changed_one_another(release: Path, cache: Path) -> None:
    first = import_release(release, cache)
    again = import_release(release, cache)
    assert again.unchanged == again.runs == first.runs
    write_json(alignment_folder(release) / "xcopa_mexa/italian.json", {"0": [1, 1, 1, 1]})
    third = import_release(release, cache)
    assert len(set(third.runs) & set(first.runs)) == 1 and len(list_runs(cache)[0]) == 3


def test_poolings_reduced_options_and_a_missing_model_folder(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "release/alignment_outputs"
    write_json(folder / "xcopa_dali/DALI_haitiancreole_weighted.json", by_item(DALI))
    write_json(folder / "xcopa_dali/BAS_haitiancreole_lasttoken.json", by_item(DALI[::-1]))
    write_json(folder / "belebele_dalistrong_2option/DALI_swh_Latn_lasttoken.json", by_item(DALI, first=1))
    runs, told = imported_runs(tmp_path / "release", cache)
    assert told == "" and runs["xcopa"].spec.poolings == ("last_token", "weighted_mean")
    rates = tables.rates(runs["xcopa"]).set_index("pooling")["rate"]
    assert rates["last_token"].tolist() == [0.75, 0.25] and rates["weighted_mean"].tolist() == [0.25, 0.75]
    assert runs["xcopa"].languages() == ["ht"] and runs["xcopa"].spec.model == "unknown model"
    assert (runs["belebele"].spec.protocol, runs["belebele"].facts["n_options"]) == ("2 options", 2)
    assert set(tables.rates(runs["belebele"])["metric"]) == {"dali_s"}


def test_every_page_reads_an_imported_run(
    release: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", "published", str(release), "--cache", str(cache), "--json"]) == 0
    ids = json.loads(capsys.readouterr().out)["runs"]
    monkeypatch.setenv("CROSSALIGN_CACHE", str(cache))
    for identity in ids:
        page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        page.query_params["run"] = identity
        page.run()
        assert not page.exception and not page.error
        assert any("decisions without similarities" in c.value for c in page.caption)
        assert main(["summary", identity, "--cache", str(cache)]) == 0
        assert main(["export", identity, "--cache", str(cache), "--out", str(cache.parent / identity)]) == 0
        found = pq.read_table(cache.parent / identity / "instance_alignment.parquet")
        assert found["margin"].null_count == len(found) > 0
    assert main(["verify", "--cache", str(cache)]) == 0


def test_an_export_joins_languages_with_and_without_samples(release: Path, cache: Path) -> None:
    shutil.rmtree(release / "accuracy_outputs/Small/xcopa_unnormalized_5shot/it")
    run = imported_runs(release, cache)[0]["xcopa"]  # it has decisions only, sw has samples
    tables.export(run, cache.parent / "out")
    found = pq.read_table(cache.parent / "out/instances.parquet").to_pylist()
    assert [(r["language"], r["gold"], len(r["options"])) for r in found] == [("it", None, 0)] * 4 + [
        ("sw", gold, 2) for gold in (0, 1, 0, 0)
    ]
