"""A training that is stopped loses at most a phase, and ends with the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from crossalign.demo import MODEL
from crossalign.miniature import train as training
from crossalign.miniature.recipe import REVISION, WHOLE, Recipe
from crossalign.miniature.train import train

SHORT = (replace(WHOLE, lines=24, lesson=None, batch_tokens=512), replace(REVISION, lines=16, batch_tokens=512))
RECIPE = Recipe(phases=SHORT, hidden=16, layers=1, heads=2, intermediate=24, warm_up=2)


def trained(kept: Path, report=lambda line: None, recipe: Recipe = RECIPE) -> dict[str, torch.Tensor]:
    model, phases = train(recipe, AutoTokenizer.from_pretrained(MODEL), torch.float32, kept, report)
    assert [phase["products"] for phase in phases] == ["float32"] * len(recipe.phases)
    assert all(phase.keys() == set(training.TOLD) for phase in phases)
    return model.state_dict()


def test_a_stopped_training_goes_on_after_its_last_whole_phase(tmp_path: Path) -> None:
    whole, said = trained(tmp_path / "whole"), []

    def stops_in_the_second(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped", stops_in_the_second)
    assert len(list((tmp_path / "stopped").iterdir())) == 1
    resumed = trained(tmp_path / "stopped", said.append)
    assert said[2] == "Phase 1 is there already"
    assert len(said) == 4 and said[3].startswith("line")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_another_recipe_finds_nothing_of_this_one(tmp_path: Path) -> None:
    said: list[str] = []
    trained(tmp_path)
    trained(tmp_path, said.append, replace(RECIPE, seed=2))
    trained(tmp_path, said.append, replace(RECIPE, phases=(SHORT[1],)))
    assert said and not [line for line in said if "already" in line]


@pytest.mark.parametrize("faster", [torch.float32, torch.bfloat16])
def test_products_are_in_the_precision_in_which_they_are_faster(
    monkeypatch: pytest.MonkeyPatch, faster: torch.dtype
) -> None:
    monkeypatch.setattr(training, "seconds", lambda work: 1.0 if work.args[0].dtype == faster else 2.0)
    assert training.faster_products() == faster
