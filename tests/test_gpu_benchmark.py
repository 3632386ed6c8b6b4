"""The GPU benchmark runs anywhere: here with a tiny model on a CPU."""

from __future__ import annotations

import re

import gpu
import numpy as np
import pytest
import torch

from crossalign.forward import agreement
from crossalign.forward.encoding import Encoder

TINY = ["--size", "tiny", "--device", "cpu", "--passages", "2", "--batch-tokens", "500", "2000"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter texts and measurements than the benchmark's."""
    monkeypatch.setattr(gpu, "PASSAGE", 40)
    monkeypatch.setattr(gpu, "matrix_speed", lambda hidden, device, dtype, seconds: 1e9)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_measures_and_finds_the_passes_equal(capsys: pytest.CaptureFixture, dtype: str) -> None:
    assert gpu.main([*TINY, "--dtype", dtype]) == 0
    said = capsys.readouterr().out
    assert "within the tolerances" in said
    assert len(re.findall(r"batches of \d+: [\d,]+ tokens/s .* \d+% of the ceiling, .* GB", said)) == 2
    assert torch.get_default_dtype() == torch.float32


def test_it_fails_where_trees_disagree(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    right = Encoder.encode

    def shifted(self: Encoder, *arguments: object) -> agreement.Encoded:
        encoded = right(self, *arguments)
        return encoded._replace(logliks=encoded.logliks + 0.01)

    monkeypatch.setattr(Encoder, "encode", shifted)
    assert gpu.main([*TINY, "--dtype", "float32"]) == 1
    assert "OUTSIDE" in capsys.readouterr().out


def test_its_texts_have_the_shape_of_belebele() -> None:
    model = gpu.build("tiny", "float32", "cpu")
    groups = gpu.texts(model, 3)
    assert [len(group) for group in groups] == [gpu.QUESTIONS * (2 * gpu.K + 1)] * 3
    pooled, scored = gpu.sizes(groups)
    assert sorted(r.pooled for g in groups for r in g if r.pooled >= 0) == list(range(pooled))
    assert sorted(r.scored for g in groups for r in g if r.scored >= 0) == list(range(scored))
    linear = sum(p.numel() for n, p in model.decoder.named_parameters() if "proj" in n)
    head = 64 * 512 * 3 * gpu.QUESTIONS
    assert np.isclose(gpu.operations(model, 10, groups), 2 * (10 * linear + head))
