"""The released results themselves, where they lie beside the checkout: what the importer reads is what was published."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SHARED

from crossalign import accuracy, imported, relations, tables
from crossalign.importers.published import import_release
from crossalign.statistics import pearson, spearman
from crossalign.store.parts import verify
from crossalign.store.runs import Run, list_runs

ROOT = Path(__file__).parents[1]
REFERENCE = SHARED / "reference"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not REFERENCE.is_dir(), reason="the released results are not beside this checkout"),
]

COHORTS = {
    "zh": (333, 74, 38, 55), "id": (334, 57, 54, 55), "it": (360, 60, 33, 47), "sw": (231, 115, 54, 100),
    "ta": (257, 118, 36, 89), "th": (253, 83, 47, 117), "tr": (294, 86, 31, 89), "vi": (335, 60, 41, 64),
}  # fmt: skip
"""Items by right in English and the language, in English only, in the language only, in neither."""

DALI = {"zh": (0.486, 8), "id": (0.680, 8), "it": (0.740, 8), "sw": (0.350, 8), "ta": (0.580, 16), "th": (0.502, 16),
        "tr": (0.486, 8), "vi": (0.652, 8)}  # fmt: skip
"""Highest rate and its layer."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "cache"
    report = import_release(REFERENCE, folder)
    assert report.left_out == []
    return folder


@pytest.fixture(scope="module")
def runs(cache: Path) -> dict[str, Run]:
    return {r.spec.task: r for r in list_runs(cache)[0] if "release" in r.facts["imported"]["origin"]}


def test_everything_is_imported_quickly_and_in_little_memory(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from crossalign.__main__ import main; where = sys.argv[1:]; "
        "assert main(['import', 'published', where[0], '--cache', where[2]]) == 0; "
        "assert main(['import', 'lm-eval', where[1], '--cache', where[2]]) == 0; "
        "used = resource.getrusage(resource.RUSAGE_SELF); "
        # ru_maxrss would count what the test's own process held when it started this one.
        "held = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')); "
        "print(used.ru_utime + used.ru_stime, int(held.split()[1]) / 1024)"
    )
    folders = [str(REFERENCE), str(REFERENCE / "lm_eval_logs"), str(tmp_path / "a")]
    done = subprocess.run(
        [sys.executable, "-c", code, *folders], cwd=ROOT, capture_output=True, text=True, check=True
    )  # fmt: skip
    seconds, megabytes = map(float, done.stdout.splitlines()[-1].split())
    assert seconds < 20 and megabytes < 700
    found, problems = list_runs(tmp_path / "a")
    assert len(found) == 4 and not problems and all(verify(r) == [] for r in found)


def test_each_task_has_its_languages(runs: dict[str, Run]) -> None:
    assert sorted(runs) == ["belebele", "flores", "xcopa"]
    assert runs["xcopa"].languages() == "et ht id it qu sw ta th tr vi zh".split()
    assert len(runs["belebele"].languages()) == 26 and runs["belebele"].languages()[0] == "eng_Latn"
    assert len(runs["flores"].languages()) == 116
    assert runs["xcopa"].spec.model_identity == "commit:d04e592bb4f6aa9cfee91e2e20afa771667e1d4b"


@pytest.mark.parametrize("code", COHORTS)
def test_cohorts_are_the_published_ones(runs: dict[str, Run], code: str) -> None:
    own, english = tables.instances(runs["xcopa"], code), tables.pivot_instances(runs["xcopa"], code)
    both = own.merge(english, on="instance_id", suffixes=("", "_en"))
    assert len(both) == 500 and (both["gold"] == both["gold_en"]).all()
    pairs = both.groupby(["correct_en", "correct"]).size()
    assert tuple(pairs[p] for p in ((True, True), (True, False), (False, True), (False, False))) == COHORTS[code]


def test_best_layers_are_the_published_ones(runs: dict[str, Run]) -> None:
    best = tables.best_layers(tables.rates(runs["xcopa"])).set_index(["metric", "language"])
    found = {c: (round(best.loc[("dali", c), "rate"], 3), best.loc[("dali", c), "layer"]) for c in DALI}
    assert found == DALI


def test_accuracy_from_the_items_is_the_reported_one(runs: dict[str, Run]) -> None:
    run = runs["xcopa"]
    shown = tables.languages(run).set_index("language")["accuracy"]
    for code in run.languages():
        told = accuracy.reported(run, code, "acc")
        assert told is not None and told.n == 500 and shown[code] == pytest.approx(told.value, abs=1e-12)


def test_language_level_accuracy_has_the_interval_of_its_items(runs: dict[str, Run]) -> None:
    row = tables.languages(runs["belebele"]).set_index("language").loc["spa_Latn"]
    assert (row["accuracy"], row["n"]) == (0.82, 900)
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx((0.7936, 0.8437), abs=1e-4)
    frame = tables.instance_alignment(runs["belebele"], "spa_Latn")
    rates = frame.groupby(["metric", "layer"])["aligned"].mean().astype(float)
    stored = tables.rates(runs["belebele"], ["spa_Latn"]).set_index(["metric", "layer"])["rate"]
    pd.testing.assert_series_equal(rates, stored.sort_index(), check_names=False, check_index_type=False)


def test_quality_of_all_sentences_is_the_mean_of_single_ones(runs: dict[str, Run]) -> None:
    for code in runs["flores"].languages():
        scores = imported.external_scores(runs["flores"], code)
        for _, group in scores[~scores["metric"].str.endswith("_median")].groupby(["direction", "metric"]):
            whole, single = (group[group["sentence_id"].isna() == w]["score"].to_numpy() for w in (True, False))
            assert len(single) == 100 and whole == pytest.approx([np.mean(single)], abs=1e-4)
    assert len(imported.translations(runs["flores"], "tha_Thai")) == 200


def test_a_damaged_copy_keeps_what_is_sound(tmp_path: Path) -> None:
    copy = shutil.copytree(REFERENCE / "xling_alignment/accuracy_outputs", tmp_path / "r/accuracy_outputs")
    (path,) = copy.rglob("samples_xcopa_it_*")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:200_000])
    next(copy.rglob("samples_xcopa_sw_*")).unlink()
    report = import_release(tmp_path / "r", tmp_path / "cache")
    assert len(report.left_out) == 2 and all("samples_xcopa_it_" in text for text in report.left_out)
    (run,) = [r for r in list_runs(tmp_path / "cache")[0] if r.spec.task == "xcopa"]
    assert 10 < len(tables.instances(run, "it")) < 500 and len(tables.instances(run, "sw")) == 0
    assert tables.languages(run).set_index("language").loc[["it", "sw"], "accuracy"].tolist() == [0.786, 0.57]
    assert any("Accuracy of sw is known for the language only" in text for text in imported.missing(run))


def test_mexa_on_flores_against_the_accuracy_of_a_task_is_as_published(runs: dict[str, Run]) -> None:
    facts = relations.with_accuracy(tables.languages(runs["flores"]), tables.languages(runs["belebele"]))
    rates = tables.rates(runs["flores"])
    for rule, published in (("max", (0.8649, 0.8575)), ("mean", (0.9267, 0.8524))):
        points = relations.language_points(facts, rates[rates["layer"] < 32], rule)
        both = points[points["accuracy"].notna()]
        x, y = both["rate"].to_numpy(float), both["accuracy"].to_numpy(float)
        assert len(both) == 25 and (round(pearson(x, y).r, 4), round(spearman(x, y).r, 4)) == published
