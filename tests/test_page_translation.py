"""The pages of translations: whole, without alignment, partial, empty, imported and hostile; figures, filter, drill-down."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from opening import chosen, figure, opened, said, table_key
from synthetic import HOSTILE, MODEL, Shape, synthetic_run
from synthetic_translation import synthetic_translation

from crossalign.importers.published import import_release
from crossalign.translation.sentences import SCALES
from crossalign.ui.instance_list import NEXT

FIVE = ("eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn", "tha_Thai")
OTHERS = FIVE[1:]
N = 40


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Translations in both directions, their alignment, and the same model on a task with answers."""
    cache = tmp_path_factory.mktemp("translation") / "cache"
    alignment = synthetic_run(cache, FIVE, Shape(n=N, options=0, task="flores"))
    synthetic_run(cache, FIVE, Shape(n=24))
    synthetic_translation(alignment, OTHERS)
    return cache


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported COMET scores with decisions and texts, as the DALI paper released them."""
    root = tmp_path_factory.mktemp("release")
    rng = np.random.default_rng(0)
    quality = root / "translation_outputs" / "M" / "flores_100" / "sentence"
    decisions = root / "alignment_outputs" / "M" / "flores_mexa"
    for folder in (quality, decisions):
        folder.mkdir(parents=True)
    names = {
        "swh_Latn": "swahili",
        "deu_Latn": "german",
        "tha_Thai": "thai",
        "spa_Latn": "spanish",
        "fra_Latn": "french",
    }
    for direction in ("entoxx", "xxtoen"):
        for metric in ("COMET", "COMETKIWI"):
            scores = {
                name: {"scores": rng.uniform(0.4 + 0.1 * k, 0.9, N).tolist()} for k, name in enumerate(names.values())
            }
            (quality / f"{direction}_M_flores_{metric}_sample.json").write_text(json.dumps(scores))
    texts = [{"src": f"Source {i}", "mt": f"Ausgabe {i} <b>", "ref": f"Referenz {i}"} for i in range(N)]
    (quality / "english_M--german.json").write_text(json.dumps(texts))
    for k, code in enumerate(list(names)[:4]):
        drawn = {str(layer): rng.binomial(1, 0.2 + 0.15 * k, N).tolist() for layer in range(5)}
        (decisions / f"{code}.json").write_text(json.dumps(drawn))
    import_release(root, root / "cache")
    return root / "cache"


def notes(app) -> str:
    """The messages of a page with their titles."""
    return "\n".join(str(message.proto) for message in app.info)


def test_the_page_sets_quality_against_alignment_over_languages_and_sentences(whole: Path) -> None:
    app = opened(whole, "translation", language="swh_Latn")
    assert not app.exception and not app.error and app.title[0].value == "Translation"
    for key in ("quality", "correlation-by-layer", "forest", "means", "along", "by-alignment", "rates", "accuracy"):
        assert figure(app, key).data, key
    coefficients = app.dataframe[0].value
    assert coefficients["coefficient"].head(3).tolist() == ["Pearson", "Spearman", "Kendall"]
    assert coefficients.loc[0, ["low", "high", "p", "n"]].notna().all() and coefficients.loc[0, "n"] == 4
    labels = [m.label.replace("\\", "") for m in app.metric]
    assert labels == [
        "Rank-biserial r: Swahili",
        "Rank-biserial r: within 4 languages",
        "Within sentences: points of chrF++",
    ]
    assert all("n = " in m.delta and "p " in m.delta for m in app.metric)
    text = said(app).replace("\\", "")
    assert "MEXA among the 40 sentences" in text and "5 examples, plain prompt, greedy" in text
    assert not [m.value for m in app.markdown if "example" not in m.value], "the header, and nothing by accident"
    alts = [c.proto.alt for c in app.get("plotly_chart")]
    assert all(alts) and "chrF++ from the pivot against MEXA, best layer for 4 languages" in alts[0]


def test_every_score_in_both_directions_is_tested_and_corrected(whole: Path) -> None:
    frame = opened(whole, "translation").dataframe[1].value
    assert set(frame["direction"]) == {"en-xx", "xx-en"} and set(frame["score"]) == {"chrf", "bleu"}
    assert len(frame) == 8 and (frame["p_holm"] >= frame["p"]).all()


def test_both_figures_of_sentences_are_of_those_that_were_chosen(whole: Path) -> None:
    for of, codes in (("one", ["swh_Latn"]), ("all", OTHERS)):
        app = opened(whole, "translation", language="swh_Latn", of=of)
        app = app.toggle(key="by-alignment-table").set_value(True).run()
        table = next(f.value for f in app.dataframe if {"aligned", "chrf"} <= set(f.value))
        assert set(table["language"]) == set(codes) and (abs(table["chrf"].mean()) < 1e-6) == (of == "all")
        title = figure(app, "by-alignment").layout.yaxis.title.text
        assert ("− mean of the language" in title) == (of == "all")


def test_the_link_holds_every_control(whole: Path) -> None:
    query = {
        "direction": "xx-en", "score": "bleu", "rule": "layer", "layer": "2", "scale": "ranks", "colour": "script",
        "language": "arb_Arab", "effect": "difference", "by": "layers_aligned", "of": "all", "smooth": "1",
        "fault": "empty", "find": "river", "aligned": "aligned", "faults": "copied", "score-from": "1.5", "score-to": "99.0",
        "pooling": "weighted_mean",
    }  # fmt: skip
    app = opened(whole, "translation", **query)
    assert not app.exception and not app.error
    assert query.items() <= app.query_params.items()
    assert "Left out" not in said(app)
    other = opened(whole, "translation", **app.query_params)
    assert other.query_params == app.query_params and said(other) == said(app)
    names = {t.name for t in figure(app, "along").data}
    assert (
        "smooth" in names
        and "BLEU into the pivot − mean of the language" in figure(app, "along").layout.yaxis.title.text
    )


def test_only_languages_with_sentences_of_the_direction_are_offered(whole: Path, tmp_path: Path) -> None:
    cache = shutil.copytree(whole, tmp_path / "cache")
    shutil.rmtree(next(cache.glob("*/parts/swh_Latn-eng_Latn")))
    for page in ("translation", "sentence"):
        for direction, count in (("xx-en", 3), ("en-xx", 4)):
            app = opened(cache, page, language="swh_Latn", direction=direction)
            assert not app.exception and not app.error
            assert len(app.selectbox(key="language").options) == count


def test_one_damaged_run_of_translations_hides_no_other(whole: Path, tmp_path: Path) -> None:
    cache = shutil.copytree(whole, tmp_path / "cache")
    part = next(cache.glob("*/parts/swh_Latn-eng_Latn"))
    (part / "translations.parquet").write_bytes(b"nothing")
    app = opened(cache, "overview")
    assert not app.exception and app.error and "crossalign verify" in app.error[0].value.replace("\\", "")
    assert app.selectbox(key="run").options and len(app.dataframe) >= 1


def test_the_list_is_filtered_and_leads_to_a_sentence(whole: Path) -> None:
    app = opened(whole, "translation", language="deu_Latn")
    listed = app.dataframe[-1].value
    assert len(listed) == N and "not translated" in set(listed["wrong"].dropna())
    few = opened(whole, "translation", language="deu_Latn", faults="copied").dataframe[-1].value
    assert few["instance_id"].tolist() == ["passage-1#1"] and (few["source"] == few["output"]).all()
    app = chosen(app, table_key(app), rows=[7])
    assert app.title[0].value == "Sentence"
    assert app.query_params["sentence"] == listed["instance_id"][7] and app.query_params["language"] == "deu_Latn"


def test_a_sentence_shows_its_texts_with_the_differences_marked(whole: Path) -> None:
    app = opened(whole, "sentence", language="arb_Arab", sentence="passage-5#1", translations="")
    assert not app.exception and not app.error
    source, reference, output = (e.proto.body for e in app.get("html"))
    assert 'lang="eng-Latn"' in source and 'lang="arb-Arab"' in reference and 'dir="auto"' in output
    assert "<del style=" in reference and "<ins style=" in output and "font-weight:600" in output
    assert "underline dashed" in reference, "told by more than colour"
    assert figure(app, "margin-by-layer").data and len(figure(app, "languages").data[0].y) == 4
    text = said(app).replace("\\", "")
    assert "chrF++ " in text and "aligned, margin" in text and "Dashed line" in text
    app.button(key=NEXT).click().run()
    assert app.query_params["sentence"] == "passage-5#2"


def test_a_sentence_that_was_not_translated_says_so(whole: Path) -> None:
    app = opened(whole, "sentence", language="deu_Latn", sentence="passage-2#2")
    assert not app.exception
    assert "output: not translated" in said(app).replace("\\", "") and ">–<" in app.get("html")[2].proto.body


def test_imported_scores_without_margins_are_shown(released: Path) -> None:
    app = opened(released, "translation", language="deu_Latn")
    assert not app.exception and not app.error
    assert app.query_params["score"] == "comet" and app.query_params["by"] == "layers_aligned"
    text = said(app).replace("\\", "")
    assert "imported scores" in text and "4 of 5 languages have it" in text and "No task accuracy" in notes(app)
    assert "not known" in text
    assert figure(app, "forest").data and len(figure(app, "quality").data[-1].x) == 4
    assert app.dataframe[-1].value["output"].notna().all()
    french = opened(released, "translation", language="fra_Latn")
    assert not french.exception and not french.error and "have no alignment" in said(french)
    app = opened(released, "sentence", language="deu_Latn", sentence="3")
    assert "Ausgabe" in app.get("html")[2].proto.body and "&lt;b&gt;" in app.get("html")[2].proto.body
    assert "No margins are known" in notes(app)


def test_without_alignment_quality_is_shown_and_the_next_command_told(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = shutil.copytree(whole, tmp_path / "cache")
    for folder in cache.glob("flores_*"):
        shutil.rmtree(folder)
    app = opened(cache, "translation")
    assert not app.exception and not app.error
    assert "There is no alignment" in notes(app)
    arguments = "--task flores --languages deu_Latn,arb_Arab,swh_Latn,tha_Thai --pivot eng_Latn --limit 40"
    assert app.code[0].value == f"python -m crossalign run --model example-org/synthetic-8b {arguments}"
    assert figure(app, "quality").data and not app.metric
    app = opened(cache, "sentence")
    assert not app.exception and not app.error and "No margins are known" in notes(app)
    for path in cache.glob("*/run.json"):  # as if the model and the sentences were folders of this machine
        record = json.loads(path.read_text())
        record["facts"] |= {"data": "/home/someone/flores"}
        record["spec"] |= {"model": "/home/someone/synthetic-8b", "model_identity": "files:0"}
        path.write_text(json.dumps(record))
    told = opened(cache, "translation").code[0].value
    assert "--model /home/someone/synthetic-8b --" in told and "--data /home/someone/flores --" in told
    monkeypatch.setenv("CROSSALIGN_HOSTED", "1")
    hosted = f"--model synthetic-8b {arguments.replace('--pivot', '--data flores --pivot')}"
    assert opened(cache, "translation").code[0].value == f"python -m crossalign run {hosted}"


def test_runs_without_translations_tell_how_to_translate(tmp_path: Path) -> None:
    synthetic_run(tmp_path / "cache", FIVE[:3], Shape(n=12))
    for page in ("translation", "sentence"):
        app = opened(tmp_path / "cache", page)
        assert "No translations are cached yet" in notes(app)
        assert f"crossalign translate --model {MODEL}" in app.code[0].value


def test_a_partial_run_says_which_directions_are_missing(tmp_path: Path) -> None:
    alignment = synthetic_run(tmp_path / "cache", FIVE[:3], Shape(n=12, options=0, task="flores"))
    synthetic_translation(alignment, FIVE[1:3], directions=("xx-en",), missing=("eng_Latn-swh_Latn",))
    app = opened(tmp_path / "cache", "translation")
    assert not app.exception and not app.error
    assert "Not translated yet: eng_Latn-swh_Latn" in app.info[0].value.replace("\\", "")
    assert app.query_params["direction"] == "xx-en"


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    alignment = synthetic_run(tmp_path / "cache", FIVE[:3], Shape(n=12, options=0, task="flores"), hostile=True)
    synthetic_translation(alignment, FIVE[1:3], directions=("en-xx",), hostile=True)
    app = opened(tmp_path / "cache", "translation")
    assert not app.exception and not app.error
    text = said(app)
    assert "<script" not in text and "**bold**" not in text and "](https" not in text
    for number in range(len(HOSTILE)):
        app = opened(tmp_path / "cache", "sentence", sentence=f"passage-{number // 2}#{number % 2 + 1}")
        assert not app.exception and not app.error
        bodies = [e.proto.body for e in app.get("html")]
        assert html.escape(HOSTILE[number]) in bodies[0]
        assert not any(sign in body for body in bodies for sign in ("<script", "<img", "<b>"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("translations", "../../etc"),
        ("direction", "<script>"),
        ("score", "comet"),
        ("language", "xxx"),
        ("sentence", "-1"),
    ],
)
def test_what_is_not_offered_is_dropped_and_named(whole: Path, key: str, value: str) -> None:
    app = opened(whole, "sentence", **{key: value})
    assert not app.exception and not app.error
    assert "Left out of the link" in said(app) and app.query_params[key] != value


def test_the_overview_lists_translations_with_their_findings(whole: Path, released: Path, tmp_path: Path) -> None:
    app = opened(whole, "overview")
    assert not app.exception and not app.error
    text = said(app).replace("\\", "")
    for direction in ("from English", "into English"):
        assert f"**Over languages, {direction}.** MEXA (best layer) and chrF++ over 4 languages: r = " in text
        assert f"**Over sentences, {direction}.** Within languages, aligned sentences (MEXA, best layer) are" in text
    listed = app.dataframe[0].value
    assert listed[["done", "instances"]].to_numpy().tolist() == [[4, N]]
    assert listed["directions"].tolist() == ["from the pivot and into the pivot"] and listed["computed"].notna().all()
    text = said(opened(released, "overview")).replace("\\", "")
    assert "MEXA (best layer) and COMET over 4 languages: r = " in text
    cache = shutil.copytree(whole, tmp_path / "cache")
    for folder in cache.iterdir():
        if json.loads((folder / "run.json").read_text())["spec"]["translation"] is None:
            shutil.rmtree(folder)
    app = opened(cache, "overview")
    assert not app.exception and "chrF++ is" in said(app).replace("\\", "") and len(app.dataframe) == 1
    assert "no alignment of the same sentences" in said(app) and "No runs are cached yet" in notes(app)


def test_scores_have_names() -> None:
    assert list(SCALES) == ["chrf", "bleu", "comet", "cometkiwi"]
    assert pd.Series(SCALES).is_unique
