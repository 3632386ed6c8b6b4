"""Before a run: does the fast pass give what plain single-text passes give on this model?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch

from crossalign.forward.encoding import Encoded, Encoder
from crossalign.forward.texts import TokenizedInstance, requests_of
from crossalign.forward.token_tree import Request
from crossalign.memory import is_exhausted
from crossalign.models import LanguageModel
from crossalign.schema import UserError

TOLERANCES = {"float32": (1e-3, 1e-4), "bfloat16": (0.5, 0.1), "float16": (0.1, 0.02)}
"""dtype → (log-likelihood in nats, state relative to the layer's largest value). Half precisions round each matrix
product to 8 or 11 bits, so two orders of summation differ by this much without either being wrong."""


CHECKED_TOKENS = 1500
"""Instances are compared until they hold so many tokens: long ones cost seconds and show no more than short ones."""


class Agreement(NamedTuple):
    """Largest differences between a pass and plain single-text passes."""

    loglik: float
    state: float

    def within(self, dtype: str) -> bool:
        """Whether both differences are inside the tolerances (NaN is not)."""
        nats, relative = TOLERANCES[dtype]
        return self.loglik <= nats and self.state <= relative

    def __str__(self) -> str:
        return f"log-likelihoods differ by {self.loglik:.1e} nats, states by {self.state:.1e} of their largest value"


def choose_trees(
    model: LanguageModel, poolings: Sequence[str], sample: Sequence[TokenizedInstance]
) -> tuple[bool, str]:
    """Whether token trees may be used for this model, and why; falls back to plain batches, which are checked too.

    Raises:
        UserError: even plain batches differ from single texts, so no number of this model could be trusted.
    """
    requests = _enough([requests_of(one, i, model.max_length)[0] for i, one in enumerate(sample)])
    if not requests:
        return False, "no text of the sample fits into the model, so token trees were not checked and are not used"
    n_options = len(sample[0].options)
    sizes = (len(sample) * (n_options + 1), len(sample) * n_options)
    try:
        expected = reference(model, poolings, requests, *sizes)
    except (ValueError, IndexError) as error:
        raise UserError(f"The hidden states of this model cannot be pooled ({error}): choose another model.") from None
    _check_causal(model, max(requests, key=lambda r: len(r.run)).run)
    budget = max(len(r.run) for r in requests) * 4
    failures = [] if model.takes_trees else ["it has layers that look at no mask, so trees are not used"]
    for with_trees in (True, False) if model.takes_trees else (False,):
        name = "token trees" if with_trees else "plain batches"
        try:
            encoder = Encoder(model, poolings, budget, with_trees)
            prefix = encoder.prefix(requests)
            # Most samples are too small for their trees to share a row, which those of the run may do.
            ways = (False, True) if with_trees else (False,)
            got = [encoder.encode(requests, *sizes, prefix, in_one_row) for in_one_row in ways]
        except (ValueError, TypeError, RuntimeError, AttributeError, IndexError) as error:
            if is_exhausted(error):
                raise
            failures.append(f"{name} are refused by the model ({type(error).__name__})")
            continue
        agreement = Agreement(*np.maximum.reduce([difference(one, expected) for one in got]).tolist())
        if agreement.within(model.dtype):
            return with_trees, "; ".join([*failures, f"{name} agree with single texts: {agreement}"])
        failures.append(f"{name} disagree: {agreement}")
    raise UserError(f"No way of running this model agrees with single texts ({'; '.join(failures)}).")


def _enough(made: Sequence[list[Request]]) -> list[Request]:
    """The requests of the first instances, until they hold `CHECKED_TOKENS`."""
    before = np.cumsum([0, *(sum(len(r.run) for r in requests) for requests in made)])
    some = [requests for requests, tokens in zip(made, before, strict=False) if tokens < CHECKED_TOKENS]
    return [r for requests in some for r in requests]


@torch.inference_mode()
def _check_causal(model: LanguageModel, tokens: tuple[int, ...]) -> None:
    """Refuses a model whose tokens see later ones (BERT and the like): its likelihoods would have read the answer."""
    half = max(1, len(tokens) // 2)
    ids = torch.tensor([tokens], device=model.device)
    whole = model.decoder(input_ids=ids, use_cache=False).last_hidden_state[0, :half].float()
    alone = model.decoder(input_ids=ids[:, :half], use_cache=False).last_hidden_state[0].float()
    difference = float((whole - alone).abs().max() / alone.abs().max().clamp(min=1e-30))
    if half < len(tokens) and difference > 10 * TOLERANCES[model.dtype][1]:
        raise UserError(
            f"This is not a causal language model: the states of a text change by {difference:.1e} of their largest "
            "value with what follows; choose a model that reads from left to right."
        )


@torch.inference_mode()
def reference(
    model: LanguageModel, poolings: Sequence[str], requests: Sequence[Request], n_pooled: int, n_scored: int
) -> Encoded:
    """The slow, plain way, written from the definitions: one text a pass, the model's own logits over all positions.

    Texts that differ only in a last token that need not be run (the letters after one prompt) are one text.
    """
    pooled = {p: np.full((model.n_layers + 1, n_pooled, model.hidden_size), np.nan, np.float32) for p in poolings}
    logliks = np.full(n_scored, np.nan)
    for run, same in groupby(sorted(requests, key=lambda r: r.run), key=lambda r: r.run):
        ids = torch.tensor([run], device=model.device)
        output = model.model(input_ids=ids, output_hidden_states=True, use_cache=False)
        for request in same:
            if request.scored >= 0:
                targets, first = request.tokens[request.start :], request.start - 1
                logprobs = output.logits[0, first : first + len(targets)].float().log_softmax(-1)
                logliks[request.scored] = sum(logprobs[i, token].item() for i, token in enumerate(targets))
            if request.pooled >= 0:
                for layer, state in enumerate(output.hidden_states):
                    for pooling in poolings:
                        pooled[pooling][layer, request.pooled] = _pool(state[0].float().cpu().numpy(), pooling)
    return Encoded(pooled, logliks, (0, 0))


def _pool(states: np.ndarray, pooling: str) -> np.ndarray:
    if pooling == "last_token":
        return states[-1]
    weights = np.arange(1, len(states) + 1) if pooling == "weighted_mean" else np.ones(len(states))
    return (weights[:, None] * states).sum(0) / weights.sum()


def difference(got: Encoded, expected: Encoded) -> Agreement:
    """Largest differences of the pooled states and log-likelihoods that `expected` has; a NaN in `got` counts as NaN."""
    relative = 0.0
    for pooling, states in expected.pooled.items():
        for mine, theirs in zip(got.pooled[pooling], states, strict=True):
            run = np.isfinite(theirs).all(axis=-1)
            if run.any():
                largest = max(float(np.abs(theirs[run]).max()), 1e-30)
                # Not max(): it would drop a NaN.
                relative = float(np.maximum(relative, np.abs(mine[run] - theirs[run]).max() / largest))
    scored = np.isfinite(expected.logliks)
    nats = float(np.abs(got.logliks - expected.logliks)[scored].max()) if scored.any() else 0.0
    return Agreement(nats, relative)
