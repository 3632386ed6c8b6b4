"""Before translations: does the fast way of generating give the logits of plain single passes on this model?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float

from crossalign.forward.agreement import TOLERANCES
from crossalign.forward.decoding import Tokens
from crossalign.forward.generation import MIN_SHARED, Generator, Job, shared_length
from crossalign.memory import is_exhausted
from crossalign.models import LanguageModel

STEPS = 4
"""Tokens after the prompt whose logits are compared."""

NAMES = {"shared": "the shared beginning", "batches": "batches of whole prompts"}


def choose_way(model: LanguageModel, prompts: Sequence[Tokens]) -> tuple[str, str]:
    """How this model may generate, and why: "shared", "batches", or "single" where neither can be trusted.

    The prompts should differ in length, so that padding is put to the test.
    """
    expected = [reference(model, prompt, STEPS) for prompt in prompts]
    ways = ["shared", "batches"] if shared_length(prompts) >= MIN_SHARED else ["batches"]
    failures = []
    for way in ways:
        try:
            difference = _difference(Generator(model, 1, way), prompts, expected)
        except (ValueError, TypeError, RuntimeError, AttributeError, IndexError, KeyError) as error:
            if is_exhausted(error):
                raise
            failures.append(f"{NAMES[way]}: refused by the model ({type(error).__name__})")
            continue
        told = f"logits differ by {difference:.1e} of their largest value from single passes"
        if difference <= TOLERANCES[model.dtype][1]:
            return way, "; ".join([*failures, f"{NAMES[way]}: {told}"])
        failures.append(f"{NAMES[way]}: {told}")
    return "single", "; ".join([*failures, "one prompt at a time with transformers' own generate"])


@torch.inference_mode()
def reference(
    model: LanguageModel, prompt: Tokens, steps: int
) -> tuple[Tokens, Float[torch.Tensor, "step vocabulary"]]:
    """The slow, plain way: the whole text so far in a pass of its own for each token. Tokens and their logits."""
    tokens, logits = list(prompt), []
    for _ in range(steps):
        ids = torch.tensor([tokens], device=model.device)
        logits.append(model.model(input_ids=ids, use_cache=False).logits[0, -1].float())
        tokens.append(int(logits[-1].argmax()))
    return tuple(tokens[len(prompt) :]), torch.stack(logits)


def _difference(
    generator: Generator, prompts: Sequence[Tokens], expected: Sequence[tuple[Tokens, torch.Tensor]]
) -> float:
    """Largest difference of a logit on the way of the reference ÷ the largest logit; NaN counts as infinite.

    Prompts whose own reference is not finite say nothing about the way; without any other there is no difference.
    """
    sound = [place for place, (_, logits) in enumerate(expected) if logits.isfinite().all()]
    prompts, expected = [prompts[i] for i in sound], [expected[i] for i in sound]
    if not sound:
        return 0.0
    decoding = generator.decoding([Job(p, STEPS) for p in prompts], generator.shared(prompts))
    largest = max(float(logits.abs().max()) for _, logits in expected)
    worst = 0.0
    for step in range(STEPS):
        wanted = torch.stack([logits[step] for _, logits in expected])
        difference = float((decoding.logits - wanted).abs().nan_to_num(nan=torch.inf).max())
        worst = max(worst, difference / max(largest, 1e-30))
        decoding.step([tokens[step] for tokens, _ in expected])
    return worst
