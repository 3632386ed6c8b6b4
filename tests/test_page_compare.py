"""Two runs beside each other: the pairing, the refusals, and two poolings of one run."""

from __future__ import annotations

from pathlib import Path

import pytest
from opening import figure, numbers, opened, said
from synthetic import Shape, synthetic_run
from test_comparison import rewritten

from crossalign.store.runs import list_runs

CODES = ("eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("compare") / "cache"
    synthetic_run(cache, CODES, Shape(n=40), model="example-org/small")
    synthetic_run(cache, CODES[:3], Shape(n=30, layers=9), model="example-org/large", seed=1)
    synthetic_run(cache, CODES[:2], Shape(n=12, options=0, task="flores"), seed=2)
    return cache


def run_id(cache: Path, word: str) -> str:
    return next(p.parent.name for p in cache.glob(f"*{word}*/run.json"))


def both(cache: Path, **query: str) -> dict[str, str]:
    return {"run": run_id(cache, "small"), "against": run_id(cache, "large")} | query


def test_accuracy_is_compared_on_the_instances_both_have(whole: Path) -> None:
    app = opened(whole, "compare", **both(whole))
    assert not app.exception and not app.error and app.title[0].value == "Compare"
    text = said(app).replace("\\", "")
    assert "Accuracy differs in" in text and "McNemar exact" in text and "n = 30" in text
    difference = figure(app, "differences").data[-1]
    assert sorted(c[0] for c in difference.customdata) == sorted(CODES[:3])
    assert len(figure(app, "outcomes").data) == 4
    curves = [t for t in figure(app, "curves").data if t.mode == "lines+markers"]
    assert {t.line.dash for t in curves} == {"solid", "dash"} and max(numbers(t.x).max() for t in curves) == 1, (
        "relative depth"
    )


def test_alignment_is_compared_at_each_runs_layer(whole: Path) -> None:
    app = opened(whole, "compare", **both(whole, quantity="alignment", rule="depth", depth="30"))
    assert not app.exception and not app.error
    assert "Alignment differs in" in said(app)
    assert sorted(c[0] for c in figure(app, "differences").data[-1].customdata) == sorted(CODES[1:3])
    names = [t.name for t in figure(app, "outcomes").data]
    assert names[0] == "both aligned" and names[-1] == "both not aligned"


def test_two_poolings_of_one_run(whole: Path) -> None:
    one = run_id(whole, "small")
    app = opened(whole, "compare", run=one, against=one, pooling="last_token", pooling_b="weighted_mean")
    assert not app.exception and not app.error
    assert "weighted mean" in said(app) and "Accuracy differs" not in said(app)
    assert app.query_params["pooling_b"] == "weighted_mean"
    same = opened(whole, "compare", run=one, against=one, pooling="last_token", pooling_b="last_token")
    assert same.query_params["pooling_b"] == "weighted_mean"


def test_a_run_of_another_task_is_not_offered(whole: Path) -> None:
    app = opened(whole, "compare", run=run_id(whole, "small"), against=run_id(whole, "flores"))
    assert not app.exception and not app.error
    assert app.query_params["against"] != run_id(whole, "flores")
    assert "Left out of the link" in said(app)


def test_other_instances_are_refused_in_one_sentence(tmp_path: Path) -> None:
    synthetic_run(tmp_path, CODES, Shape(n=12), model="example-org/small")
    synthetic_run(tmp_path, CODES, Shape(n=12), model="example-org/large", seed=1)
    run = next(r for r in list_runs(tmp_path)[0] if "large" in r.run_id)
    rewritten(run, "arb_Arab", "premise", ["Another text."])
    app = opened(tmp_path, "compare", **both(tmp_path))
    assert not app.exception and len(app.error) == 1
    assert "1 instances of arb_Arab have another text" in app.error[0].value.replace("\\", "")


def test_one_run_alone_says_the_next_step(tmp_path: Path) -> None:
    synthetic_run(tmp_path, CODES, Shape(n=12, poolings=("last_token",)))
    app = opened(tmp_path, "compare")
    assert not app.exception and not app.error
    assert "no other run" in app.info[0].proto.title


def test_hostile_names_and_values_stay_text(tmp_path: Path) -> None:
    synthetic_run(tmp_path, CODES, Shape(n=12), hostile=True)
    synthetic_run(tmp_path, CODES, Shape(n=12), hostile=True, seed=1)
    app = opened(tmp_path, "compare", against="../../etc/passwd", quantity="<script>", pooling_b="--help")
    assert not app.exception and not app.error
    text = said(app)
    assert "<script" not in text.replace(r"\<", "") and "](https" not in text
    assert len(app.get("plotly_chart")) == 3


def test_a_short_name_on_a_button_stays_text(tmp_path: Path) -> None:
    for seed, name in enumerate(("**m** :red[x]", "n")):
        synthetic_run(tmp_path, CODES[:2], Shape(n=12, options=2, task="xcopa"), model=name, seed=seed)
    labels = [b.content for group in opened(tmp_path, "layers").get("button_group") for b in group.proto.options]
    assert r"\*\*m\*\* \:red\[x\] · xcopa" in labels and not any("**m**" in label for label in labels)
