"""What the Methods page says is what the functions say."""

from __future__ import annotations

import inspect

import pytest

from crossalign import alignment, definitions
from crossalign.alignment import ALIGNMENT_METRICS


def test_every_metric_is_defined_with_its_margin_chance_and_source() -> None:
    found = {d.label: d for d in definitions.metrics(4, 100)}
    assert list(found) == [m.label for m in ALIGNMENT_METRICS.values()]
    for definition in found.values():
        headings = dict(definition.items)
        assert {"Margin", "Chance", "Source"} <= set(headings), definition.label
        assert definition.summary and ">>>" not in str(definition)
    assert found["DALI"].chance == pytest.approx(1 / 1820)
    assert found["MEXA_T"].chance == pytest.approx(1 / 199)


def test_the_text_is_that_of_the_docstring() -> None:
    definition = definitions.of(alignment.dali, "DALI")
    doc = " ".join((inspect.getdoc(alignment.dali) or "").split())
    assert definition.summary in doc
    for heading, text in definition.items:
        assert f"{heading}: {text}" in doc


@pytest.mark.parametrize(
    "entry", [*definitions.BESIDE, *definitions.SCORING, *definitions.STATISTICS], ids=lambda d: d.label
)
def test_every_other_quantity_has_a_text_without_code(entry: definitions.Definition) -> None:
    assert len(entry.summary) > 20
    text = entry.summary + " ".join(t for _, t in entry.items)
    assert ">>>" not in text and "Args:" not in text and "Returns:" not in text


def test_poolings_are_read_without_loading_torch() -> None:
    text = str(definitions.poolings())
    assert all(name in text for name in ("last_token", "weighted_mean", "mean:"))


def test_no_options_no_chance() -> None:
    assert all(d.chance != d.chance for d in definitions.metrics(0, 0))
