"""The shipped model is the one its card describes: it loads as any other, and it knows what it was shown."""

from __future__ import annotations

import errno
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from crossalign import tables
from crossalign.demo import MODEL, TASKS
from crossalign.miniature.control import NAME, control_folder
from crossalign.miniature.recipe import Recipe
from crossalign.miniature.train import train_tokenizer
from crossalign.pipeline import run
from crossalign.planning import RunRequest
from crossalign.schema import UserError
from crossalign.tasks import TASKS as ALL_TASKS
from crossalign.weights import has_weights

SHARES = Recipe().expected_shares()


def test_model_and_texts_are_small_enough_to_ship() -> None:
    size = sum(p.stat().st_size for p in MODEL.parent.rglob("*") if p.is_file() and p.suffix != ".pyc")
    assert size < 12e6


def test_recipe_shares_and_tokenizer_are_those_of_the_training_command() -> None:
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    assert config["training_shares"] == SHARES
    told = json.loads((MODEL / "training.json").read_text(encoding="utf-8"))["recipe"]
    mine = json.loads(json.dumps(asdict(Recipe())))
    assert told | {"seed": mine["seed"]} == mine
    stored = json.loads((MODEL / "tokenizer.json").read_text(encoding="utf-8"))
    made = json.loads(train_tokenizer(Recipe().vocabulary).backend_tokenizer.to_str())
    assert stored["model"] == made["model"]


def test_default_tasks_exist() -> None:
    assert set(TASKS) <= set(ALL_TASKS)


@pytest.fixture(scope="module")
def languages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    cache = tmp_path_factory.mktemp("miniature")
    request = RunRequest(str(MODEL), TASKS[0], languages=("es",), limit=64, cache=cache, device="cpu")
    frame = tables.languages(run(request))
    assert frame.set_index("language")["training_share"].to_dict() == {c: SHARES[c] for c in ("en", "es")}
    return frame.set_index("language")["accuracy"].to_dict()


def test_it_answers_what_it_was_shown_in_combinations_it_never_saw(languages: dict[str, float]) -> None:
    assert languages["en"] > 0.9
    assert languages["es"] > 0.8


def test_a_control_that_could_not_be_saved_is_made_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers writes the configuration before the weights; a folder with the first alone is no model."""
    with monkeypatch.context() as patch:
        patch.setattr("transformers.modeling_utils.safe_save_file", _full)
        with pytest.raises(UserError, match="disk is full"):
            control_folder(MODEL, tmp_path)
    broken = tmp_path / ".models" / NAME
    assert not broken.exists()
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    assert has_weights(control_folder(MODEL, tmp_path))
    assert {p.name for p in broken.parent.iterdir()} == {NAME, f".{NAME}.lock"}


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_control_knows_nothing(tmp_path: Path) -> None:
    folder = control_folder(MODEL, tmp_path)
    assert control_folder(MODEL, tmp_path) == folder
    finished = run(RunRequest(str(folder), TASKS[0], languages=("es",), limit=64, cache=tmp_path, device="cpu"))
    frame = tables.languages(finished).set_index("language")
    assert 0.3 < frame.loc["en", "accuracy"] < 0.7
    assert frame["training_share"].isna().all()
