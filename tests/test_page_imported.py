"""Pages of imported runs: decisions without margins, languages without samples, accuracy alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from foreign import by_item, write_json, write_logs, xcopa_samples
from opening import figure, opened, said
from streamlit.testing.v1 import AppTest

from crossalign.__main__ import main
from crossalign.importers.lm_eval import import_logs
from crossalign.importers.published import import_release
from crossalign.schema import UserError
from crossalign.store.runs import list_runs
from crossalign.ui.reading import GOLD

N, LAYERS = 40, 6
PAGES = ("languages", "layers", "instances", "instance", "space", "compare", "methods")


def decisions(seed: int) -> list[list[int]]:
    """[layer][item]."""
    return (np.random.default_rng(seed).random((LAYERS, N)) < 0.5).astype(int).tolist()


def scores(seed: int) -> list[tuple[float, float]]:
    return [tuple(row) for row in -5 * np.random.default_rng(seed).random((N, 2))]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Kind → cache and run: decisions with samples (Thai without), decisions without any sample, accuracy alone."""
    folder = tmp_path_factory.mktemp("imported")
    release, cache = folder / "release", folder / "cache"
    logs, alignment = release / "accuracy_outputs/Small", release / "alignment_outputs/Small"
    for seed, (name, language) in enumerate(
        (("it", "it"), ("en_it", "en"), ("sw", "sw"), ("en_sw", "en"), ("th", "th"))
    ):
        samples = {f"xcopa_{name}": xcopa_samples(language, scores(seed))}
        kept = {"without_samples": samples} if name == "th" else {}
        write_logs(logs / f"xcopa_unnormalized_5shot/{name}/org__small", samples, shots=5, **kept)
    for seed, name in enumerate(("italian", "swahili", "thai")):
        write_json(alignment / f"xcopa_dali/DALI_{name}_lasttoken.json", by_item(decisions(seed)))
        mexa = {str(i): row for i, row in enumerate([*decisions(seed + 9), [0] * N])}
        write_json(alignment / f"xcopa_mexa/{name}.json", mexa)
    for seed, name in enumerate(("spa_Latn", "swh_Latn")):
        write_json(alignment / f"belebele_dali/DALI_{name}_lasttoken.json", by_item(decisions(seed), first=1))
        samples = {f"belebele_{name}": xcopa_samples("it", scores(seed))}
        write_logs(logs / f"belebele_5shot/{name}/org__small", samples, shots=5, without_samples=samples)
    import_release(release, cache)
    write_logs(folder / "logs", {f"xcopa_{c}": xcopa_samples(c, scores(3)) for c in ("it", "sw")})
    import_logs(folder / "logs", cache)
    found = {r.spec.task + ("" if r.spec.shots else " alone"): (cache, r.run_id) for r in list_runs(cache)[0]}
    return {"decisions": found["xcopa"], "no samples": found["belebele"], "accuracy": found["xcopa alone"]}


def page(runs: dict[str, tuple[Path, str]], kind: str, name: str, **query: str) -> AppTest:
    cache, run = runs[kind]
    app = opened(cache, name, run=run, **query)
    assert not app.exception and not app.error, [e.value for e in app.error]
    return app


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("kind", ["decisions", "no samples", "accuracy"])
def test_every_page_shows_something_or_says_why_not(runs: dict[str, tuple[Path, str]], kind: str, name: str) -> None:
    app = page(runs, kind, name)
    assert app.title[0].value.lower() == name
    assert app.get("plotly_chart") or app.info or app.dataframe or name == "methods"
    if kind != "accuracy":
        assert "decisions without similarities" in said(app)


@pytest.mark.parametrize("with_mexa", [False, True])
def test_as_published_a_layer_is_left_out_only_where_it_is_known_to_come_after_the_norm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_mexa: bool
) -> None:
    from crossalign.ui import analyses, data

    rising = [[int(item < 6 * layer) for item in range(N)] for layer in range(LAYERS)]
    for name in ("italian", "swahili"):
        write_json(tmp_path / f"alignment_outputs/Small/xcopa_dali/DALI_{name}_lasttoken.json", by_item(rising))
        if with_mexa:
            rows = {str(i): row for i, row in enumerate(rising)}
            write_json(tmp_path / f"alignment_outputs/Small/xcopa_mexa/{name}.json", rows)
    import_release(tmp_path, tmp_path / "cache")
    monkeypatch.setenv("CROSSALIGN_CACHE", str(tmp_path / "cache"))
    run = data.run_tables(list_runs(tmp_path / "cache")[0][0].run_id)
    chosen = data.Selection(run.run_id, "dali", "last_token", "max_published", language="it")
    assert run.n_layers == LAYERS - 1
    best = LAYERS - 2 if with_mexa else LAYERS - 1
    assert data.layers_of(run, chosen) == {"it": best, "sw": best}
    assert analyses.cohort_curves(run, chosen, "it", "rate").deltas["layer"][0] == best


def test_methods_say_of_an_import_only_what_it_holds(runs: dict[str, tuple[Path, str]]) -> None:
    texts = {kind: said(page(runs, kind, "methods")).replace("\\", "") for kind in runs}
    assert all("computed elsewhere and imported" in t and "pooled in float32" not in t for t in texts.values())
    assert (
        "decided there too, at layers 0 (embeddings) to 6" in texts["decisions"] and "· 6 layers" in texts["decisions"]
    )
    assert "letters A to D are scored" in texts["no samples"] and "letters A to D" not in texts["decisions"]
    assert "decided there" not in texts["accuracy"] and "0 layers" not in texts["accuracy"]
    assert "scored under the protocol 'harness'" in texts["accuracy"]


def test_instances_are_those_of_the_decisions(runs: dict[str, tuple[Path, str]]) -> None:
    app = page(runs, "decisions", "instances", language="it")
    assert app.selectbox(key="value").value == "layers_aligned" and "margin" not in app.selectbox(key="value").options
    assert "Odds ratio" in app.metric[0].label and "n = 40" in app.metric[0].delta
    assert len(app.get("plotly_chart")) == 4 and sum(len(t.x) for t in figure(app, "crossed").data) > 0
    assert not [w for w in app.number_input if w.key in ("from", "to")]
    listed = app.dataframe[-1].value
    assert len(listed) == N and listed["text"].str.len().gt(0).all() and set(listed["aligned"]) == {"yes", "no"}
    fewer = page(runs, "decisions", "instances", language="it", aligned="aligned").dataframe[-1].value
    assert set(fewer["aligned"]) == {"yes"} and len(fewer) == (listed["aligned"] == "yes").sum()
    dropped = page(runs, "decisions", "instances", language="it", effect="auc")
    assert "Left out of the link" in said(dropped)
    area = page(runs, "decisions", "instances", language="it", effect="auc_layers").metric[0]
    assert "AUC of aligned layers" in area.label and "undefined" not in area.value


def test_a_layer_that_the_metric_lacks_is_said_and_not_answered_with_another(
    runs: dict[str, tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossalign.ui import data, pairs, summary

    cache, run_id = runs["decisions"]  # of its two metrics one has one layer more
    lacking = {"metric": "dali", "rule": "layer", "layer": str(LAYERS)}
    for name in ("instances", "instance", "languages"):
        app = opened(cache, name, run=run_id, **lacking)
        assert "Left out of the link, as this run does not offer it: layer=6" in said(app).replace("\\", "")
        assert app.slider(key="layer").max == LAYERS - 1
    app = opened(cache, "languages", run=run_id, metric="mexa_t", rule="layer", layer=str(LAYERS))
    assert app.slider(key="layer").value == LAYERS
    app = app.segmented_control(key="metric").set_value("dali").run()
    assert app.slider(key="layer").value == LAYERS - 1, "the nearest that is offered"
    monkeypatch.setenv("CROSSALIGN_CACHE", str(cache))
    run = data.run_tables(run_id)
    lacks = data.Selection(run_id, "dali", "last_token", "layer", LAYERS)
    topics = [[f.topic for f in summary.findings_of(run, s)] for s in (replace(lacks, layer=0), lacks)]
    assert set(topics[0]) - set(topics[1]) >= {"Over instances"} and "Largest gap" in topics[1]
    with pytest.raises(UserError, match="has no layer 6 of this metric"):
        pairs.paired(run, lacks, pairs.Other(run, lacks, ("A", "B")), "alignment")


def test_a_language_without_answers_does_not_take_those_of_the_others_away(
    runs: dict[str, tuple[Path, str]],
) -> None:
    alone = page(runs, "decisions", "instances", language="th")
    assert not alone.metric and "Accuracy of Thai was imported as a whole" in said(alone)
    together = page(runs, "decisions", "instances", language="th", of="all")
    assert "within 2 languages" in together.metric[-1].label and figure(together, "crossed").data


def test_languages_may_have_different_numbers_of_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release, cache = tmp_path / "release", tmp_path / "cache"
    for seed, (name, code) in enumerate((("italian", "it"), ("swahili", "sw"))):
        for one in (code, f"en_{code}"):
            samples = {f"xcopa_{one}": xcopa_samples(one[:2], scores(seed))}
            write_logs(release / f"accuracy_outputs/Small/xcopa_5shot/{one}/org__small", samples, shots=5)
        drawn = by_item(decisions(seed)[: LAYERS - seed])
        write_json(release / f"alignment_outputs/Small/xcopa_dali/DALI_{name}_lasttoken.json", drawn)
    report = import_release(release, cache)
    assert any("its last layer is" in note for note in report.notes)
    run_id = list_runs(cache)[0][0].run_id
    app = opened(cache, "instances", run=run_id, of="all")
    assert not app.exception and not app.error and figure(app, "by-layer").data
    assert main(["export", run_id, "--out", str(tmp_path / "out"), "--cache", str(cache)]) == 0
    assert (tmp_path / "out/report/index.html").is_file()


def test_beside_published_figures_stands_the_runs_own_accuracy(
    runs: dict[str, tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossalign.ui import analyses, data

    cache, run_id = runs["decisions"]
    monkeypatch.setenv("CROSSALIGN_CACHE", str(cache))
    run, other = data.run_tables(run_id), data.run_tables(runs["accuracy"][1])
    own = data.Selection(run_id, "dali", "last_token")
    borrowed = replace(own, accuracy_of=other.run.run_id, accuracy_version=other.version)
    assert not data.language_points(run, own)["accuracy"].equals(data.language_points(run, borrowed)["accuracy"])
    frames = [analyses.with_published(run, s, "xcopa").sort_values(["model", "language"]) for s in (own, borrowed)]
    assert frames[0]["accuracy"].tolist() == pytest.approx(frames[1]["accuracy"].tolist(), nan_ok=True)


@pytest.mark.parametrize("analysis", ["needed", "confidence", "pivot", "model"])
def test_every_analysis_works_on_decisions(runs: dict[str, tuple[Path, str]], analysis: str) -> None:
    app = page(runs, "decisions", "instances", language="sw", analysis=analysis, test="published")
    assert len(app.get("plotly_chart")) + len(app.dataframe) > 3


def test_an_instance_has_the_pivots_own_version_and_its_decisions(runs: dict[str, tuple[Path, str]]) -> None:
    app = page(runs, "decisions", "instance", language="sw", instance="3")
    bodies = [element.proto.body for element in app.get("html")]
    assert 'lang="en"' in bodies[0] and any('lang="sw"' in b for b in bodies) and "".join(bodies).count(GOLD) == 2
    drawn = figure(app, "margin-by-layer")
    assert drawn.layout.yaxis.ticktext == ("DALI", "MEXA_T") and sum(len(t.x) for t in drawn.data) == 2 * LAYERS + 1
    filled = {int(x) for t in drawn.data if t.name == "aligned" for x, y in zip(t.x, t.y, strict=True) if y == 0}
    assert filled == {layer for layer, row in enumerate(decisions(1)) if row[3]}
    assert "Share of aligned layers" in figure(app, "languages").layout.xaxis.title.text
    bare = page(runs, "decisions", "instance", language="th")
    assert any("texts of this instance were not imported" in i.value for i in bare.info)


def test_what_is_known_of_whole_languages_only_is_said(runs: dict[str, tuple[Path, str]]) -> None:
    app = page(runs, "no samples", "instances")
    assert (
        "Accuracy of Spanish was imported as a whole" in said(app)
        and not app.metric
        and len(app.dataframe[-1].value) == N
    )
    assert "not known which instances" in said(page(runs, "no samples", "layers"))
    assert page(runs, "no samples", "instance").title[0].value == "Instance"


def test_accuracy_alone_is_a_table(runs: dict[str, tuple[Path, str]]) -> None:
    app = page(runs, "accuracy", "instances")
    assert "accuracy only" in app.info[-1].proto.title and len(app.dataframe[0].value) == 2
    both = page(runs, "decisions", "compare", against=runs["accuracy"][1])
    assert "Accuracy" in said(both) and len(both.get("plotly_chart")) == 3


def test_the_download_of_an_instance_holds_its_decisions(
    runs: dict[str, tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossalign.ui import data, instances

    cache, run_id = runs["decisions"]
    monkeypatch.setenv("CROSSALIGN_CACHE", str(cache))
    run = data.run_tables(run_id)
    chosen = data.Selection(run_id, "dali", "last_token", language="sw")
    record = json.loads(json.dumps(instances.record_of(run, chosen, "sw", 3), allow_nan=False))
    assert record["aligned_by_layer"]["dali"] == [row[3] for row in decisions(1)]
    assert record["margins_by_layer"] == {} and len(record["texts"]) == 2


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "reference").is_dir(), reason="the released results are not beside this checkout")
def test_the_released_results_have_every_page(tmp_path: Path) -> None:
    import_release(SHARED / "reference", tmp_path)
    import_logs(SHARED / "reference/lm_eval_logs", tmp_path)
    for run in list_runs(tmp_path)[0]:
        for name in ("layers", "instances", "instance", "compare"):
            app = opened(tmp_path, name, run=run.run_id)
            assert not app.exception and not app.error, (run.run_id, name)
            assert app.get("plotly_chart") or app.info


def test_alignment_on_one_task_against_accuracy_on_another(runs: dict[str, tuple[Path, str]]) -> None:
    other = runs["accuracy"][1]
    app = page(runs, "decisions", "languages", **{"accuracy-of": other})
    assert app.selectbox(key="accuracy-of").value == other and app.query_params["accuracy-of"] == other
    assert figure(app, "scatter").layout.yaxis.title.text.startswith("Accuracy on xcopa")
    shown = {
        code for trace in figure(app, "scatter").data for (code,) in trace.customdata if trace.customdata is not None
    }
    assert shown == {"sw", "it"}  # Thai has accuracy in this run only
    assert page(runs, "decisions", "languages").selectbox(key="accuracy-of").value == runs["decisions"][1]


def test_the_accuracy_of_other_weights_is_not_offered_though_their_folder_has_the_same_name(
    runs: dict[str, tuple[Path, str]], tmp_path: Path
) -> None:
    cache = shutil.copytree(runs["decisions"][0], tmp_path / "cache")
    for number, path in enumerate(sorted(cache.glob("*/run.json"))):
        record = json.loads(path.read_text(encoding="utf-8"))
        record["spec"]["model_identity"] = f"files:{number}"
        path.write_text(json.dumps(record), encoding="utf-8")
    app = opened(cache, "languages", run=runs["decisions"][1])
    assert not app.exception and "accuracy-of" not in [box.key for box in app.selectbox]
