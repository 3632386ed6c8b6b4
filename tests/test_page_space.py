"""The map of states: what it reads, how it says that there are none, and what a click tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from opening import chosen, figure, numbers, opened, said
from synthetic import Shape, synthetic_run

from crossalign.store import parts
from crossalign.store.files import write_arrays
from crossalign.store.runs import Run

CODES = ("eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn")
HIDDEN = 8


def with_states(run: Run, codes: tuple[str, ...] = CODES) -> Run:
    """Gives the parts of a made-up run states; those of a language lie apart from those of another."""
    n, k, layers = run.facts["n"], run.facts["n_options"], range(run.facts["n_layers"] + 1)
    for place, code in enumerate(codes):
        rng = np.random.default_rng(place)
        arrays = (
            {f"options.{i}": (rng.normal(size=(n, k, HIDDEN)) + 9 * place).astype(np.float16) for i in layers}
            if k
            else {}
        )
        arrays |= {f"premises.{i}": rng.normal(size=(n, HIDDEN)).astype(np.float16) for i in layers}
        for pooling in run.spec.poolings:
            name = parts.states_file(pooling)
            parts.add_file(run, code, name, lambda path, arrays=arrays: write_arrays(path, arrays))
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("space") / "cache"
    with_states(synthetic_run(cache, CODES, Shape(n=30, layers=3)))
    return cache


def test_a_map_of_options_with_translations_joined(whole: Path) -> None:
    app = opened(whole, "space", count="20", languages=["swh_Latn", "deu_Latn"], layer="2")
    assert not app.exception and not app.error
    drawn = figure(app, "space")
    clouds = [t for t in drawn.data if t.mode == "markers" and t.customdata is not None]
    assert sum(len(numbers(t.x)) for t in clouds) == 20 * 4 * 3
    assert {t.name for t in clouds} >= {"Swahili, gold option", "English, other option"}
    lines = next(t for t in drawn.data if t.mode == "lines")
    assert np.isnan(numbers(lines.x)).sum() == 20 * 4 * 2
    assert "240 states of layer 2; they tell" in drawn.layout.xaxis.title.text


def test_the_map_is_that_of_the_stored_states(whole: Path) -> None:
    from crossalign.projection import principal_components
    from crossalign.store.runs import list_runs

    run = list_runs(whole)[0][0]
    stored = [parts.read_arrays(run, c, parts.states_file("last_token"))["premises.1"][:20] for c in CODES[:2]]
    wanted = principal_components(np.concatenate(stored)).coordinates
    app = opened(whole, "space", what="premises", count="20", languages=["swh_Latn"], layer="1")
    clouds = [t for t in figure(app, "space").data if t.mode == "markers" and t.customdata is not None]
    for cloud in clouds:
        assert np.allclose(
            np.column_stack([numbers(cloud.x), numbers(cloud.y)]),
            wanted[numbers(cloud.customdata).astype(int)],
            atol=1e-4,
        )


def test_a_centred_language_has_no_place_of_its_own(whole: Path) -> None:
    def gap(**query: str) -> float:
        app = opened(whole, "space", languages=["swh_Latn"], count="20", layer="1", **query)
        clouds = [t for t in figure(app, "space").data if t.mode == "markers" and t.customdata is not None]
        means = {
            name: np.mean(np.concatenate([numbers(t.x) for t in clouds if t.name.startswith(name)]))
            for name in ("English", "Swahili")
        }
        return abs(means["English"] - means["Swahili"])

    assert gap() > 10 and gap(centred="1") < 0.5


def test_a_click_names_the_instance_and_leads_to_it(whole: Path) -> None:
    app = opened(whole, "space", languages=["swh_Latn"], count="20")
    row = 20 * 4 + 4 * 3 + 1  # the second option of the fourth instance in Swahili
    app = chosen(app, "space", points=[{"customdata": row}])
    assert not app.exception
    assert "Instance passage-1#2 in Swahili" in said(app).replace("\\", "")
    assert len(app.get("page_link")) == 1


def test_a_marked_instance_stands_in_the_link(whole: Path) -> None:
    app = opened(whole, "space", languages=["swh_Latn"], count="20", mark="passage-3#1")
    assert app.query_params["mark"] == "passage-3#1"
    lines = [t for t in figure(app, "space").data if t.mode == "lines"]
    assert np.isnan(numbers(lines[-1].x)).sum() == 4 and lines[-1].line.width > lines[0].line.width


def test_without_states_the_page_says_how_to_keep_them(tmp_path: Path) -> None:
    synthetic_run(tmp_path, CODES, Shape(n=12))
    app = opened(tmp_path, "space")
    assert not app.exception and not app.error
    assert "kept no hidden states" in app.info[0].proto.title
    assert "--keep-states float16" in app.code[0].value and "--task belebele" in app.code[0].value


def test_languages_without_states_are_not_offered(tmp_path: Path) -> None:
    with_states(synthetic_run(tmp_path, CODES, Shape(n=12, layers=2)), CODES[1:3])
    app = opened(tmp_path, "space")
    assert not app.exception
    assert (
        sorted(app.multiselect(key="languages").options) == ["Arabic (arb_Arab)", "Swahili (swh_Latn)"]
        or len(app.multiselect(key="languages").options) == 2
    )
    assert all(t.mode == "markers" for t in figure(app, "space").data), "there is no pivot to join with"


def test_plain_sentences_have_a_map_too(tmp_path: Path) -> None:
    with_states(synthetic_run(tmp_path, CODES, Shape(n=24, options=0, layers=2, task="flores")))
    app = opened(tmp_path, "space", what="options")
    assert not app.exception and not app.error
    clouds = [t for t in figure(app, "space").data if t.mode == "markers" and t.customdata is not None]
    assert sum(len(numbers(t.x)) for t in clouds) == 24 * 4
    assert {t.marker.symbol for t in clouds} == {"circle"} and "Swahili" in {t.name for t in clouds}
    assert not any("option" in (t.name or "") for t in figure(app, "space").data), "a premise is no option"


def test_that_translations_are_joined_is_said_only_where_they_are(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossalign.figures import space

    assert "Translations are joined" in said(opened(whole, "space"))
    monkeypatch.setattr(space, "MOST_LINES", 10)
    app = opened(whole, "space")
    assert not app.exception and "Translations are joined" not in said(app)
    assert not any(t.mode == "lines" for t in figure(app, "space").data)


def test_hostile_and_damaged(tmp_path: Path) -> None:
    run = with_states(synthetic_run(tmp_path, CODES[:3], Shape(n=12, layers=2), hostile=True), CODES[:3])
    app = opened(tmp_path, "space", mark="<script>", what="../../etc", count="-1", map="rm -rf", layer="99")
    assert not app.exception and not app.error
    assert "<script" not in said(app).replace(r"\<", "")
    path = run.part_folder("swh_Latn") / parts.states_file("last_token")
    path.write_bytes(path.read_bytes()[:200])
    app = opened(tmp_path, "space", layer="2")
    assert not app.exception and "damaged" in app.error[0].value
