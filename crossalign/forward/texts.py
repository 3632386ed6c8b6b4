"""Tokenises a task's instances the way lm-evaluation-harness does, and turns them into requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from crossalign.forward.token_tree import Request
from crossalign.schema import Instance, UserError

Tokens = tuple[int, ...]


@runtime_checkable
class Tokenize(Protocol):
    """Texts → token ids with the tokenizer's default special tokens."""

    def __call__(self, texts: list[str]) -> list[Tokens]: ...


class TokenizedInstance(NamedTuple):
    """Token ids of all texts of an instance.

    Attributes:
        options: the embedded option texts.
        premise: the embedded premise.
        scored: prompt and continuation, one per option; equal to `options` where the two coincide.
        starts: first token of each continuation.
    """

    options: tuple[Tokens, ...]
    premise: Tokens
    scored: tuple[Tokens, ...]
    starts: tuple[int, ...]


def open_ended(tokens: Tokens, end: int | None) -> Tokens:
    """The tokens of a text that goes on: without the end-of-text token that some tokenizers put after every text."""
    return tokens[:-1] if end is not None and len(tokens) > 1 and tokens[-1] == end else tokens


def tokenized(instances: Sequence[Instance], tokenize: Tokenize, end: int | None = None) -> list[TokenizedInstance]:
    """Tokenises all texts of the instances.

    Scored texts follow lm-evaluation-harness 0.4: prompt and continuation are tokenised together and cut at the
    length of the tokenised prompt, whose own tokens stand before the rest; spaces at the prompt's end belong to the
    continuation. Where a token spans the boundary, the scored tokens therefore differ from those of the whole text.

    Args:
        end: the tokenizer's end-of-text token; one after a prompt or a continuation is left out, as it would stand before
            the option and be scored with it. Embedded texts keep it.

    Raises:
        UserError: a text that tokenises to nothing; the instance is named.
    """
    option_texts = [text for i in instances for text in i.option_texts]
    scored_texts = [f"{i.prompt} {c}" for i in instances for c in i.continuations]
    options = tokenize(option_texts)
    scored = options if scored_texts == option_texts else tokenize(scored_texts)
    premises = tokenize([i.premise for i in instances])
    prompts = tokenize([i.prompt.rstrip() for i in instances]) if scored else []
    scored, prompts = ([open_ended(tokens, end) for tokens in texts] for texts in (scored, prompts))
    result = []
    for index, instance in enumerate(instances):
        k = len(instance.options)
        mine = slice(index * k, (index + 1) * k)
        prompt = prompts[index] if k else ()
        joined = tuple(prompt + whole[len(prompt) :] for whole in scored[mine])
        one = TokenizedInstance(tuple(options[mine]), premises[index], joined, (len(prompt),) * k)
        _check(instance, one)
        result.append(one)
    return result


def _check(instance: Instance, one: TokenizedInstance) -> None:
    if not one.premise or not all(one.options):
        raise UserError(f"Instance {instance.instance_id!r} has a text that this tokenizer turns into no token at all.")
    for tokens, start, text in zip(one.scored, one.starts, instance.continuations, strict=True):
        if start < 1 or len(tokens) <= start:
            raise UserError(
                f"Instance {instance.instance_id!r}: the option {text[:40]!r} adds no token to its prompt with this "
                "tokenizer, so it has no log-likelihood."
            )


def requests_of(one: TokenizedInstance, index: int, max_length: int) -> tuple[list[Request], bool]:
    """The requests of the instance at `index` of a chunk, and whether one was left out as longer than the model.

    With K options the pooled states are numbered `index * (K + 1) + option`, the premise last; the
    log-likelihoods `index * K + option`.
    """
    k = len(one.options)
    premise = Request(one.premise, pooled=index * (k + 1) + k)
    requests = [premise]
    for option in range(k):
        pooled, scored, start = index * (k + 1) + option, index * k + option, one.starts[option]
        if one.scored[option] == one.options[option]:
            requests.append(Request(one.options[option], pooled, scored, start))
        else:
            requests.append(Request(one.options[option], pooled=pooled))
            requests.append(Request(one.scored[option], scored=scored, start=start))
    fitting = [r for r in requests if len(r.run) <= max_length]
    return fitting, len(fitting) < len(requests)
