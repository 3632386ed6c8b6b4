"""What a user asks to be translated, checked before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from crossalign import tasks
from crossalign.planning import Observer, Plan, RunRequest, Silent, numerics
from crossalign.schema import Instance, RunSpec, Translation, UserError, content_digest
from crossalign.translation.prompts import LENGTH_RATIO, Direction, Pair, direction_of, language_name, plain_prompt

DIRECTIONS = ("en-xx", "xx-en", "both")
"""From the pivot, into the pivot, or both ways."""

PROMPTS = ("plain", "chat")
SPLITS = ("dev", "test")
BLEU = ("flores200", "by-script")

CPU_TOKENS, GPU_TOKENS = 16384, 65536
"""Default tokens whose keys and values are held at once."""


@dataclass(frozen=True, slots=True)
class TranslationRequest(RunRequest):
    """What the user asks for; None means the default.

    Attributes:
        direction: of `DIRECTIONS`; "en" stands for the pivot.
        prompt: "plain" or "chat"; by default the tokenizer's chat template where it has one.
        shots_from: "dev" or "test"; by default the task's development split where it has one.
        length_ratio: tokens of the translation per character of the source, at most.
        bleu: tokenizer of BLEU; by default flores200 where sacrebleu has it on disk.
    """

    direction: str = "both"
    prompt: str | None = None
    shots_from: str | None = None
    length_ratio: float = LENGTH_RATIO
    bleu: str | None = None


@dataclass
class TranslationPlan(Plan):
    """A checked request: all sentences are loaded and the run's spec is known."""

    default_tokens: ClassVar = (CPU_TOKENS, GPU_TOKENS)

    sentences: dict[str, list[Instance]] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def how(self) -> Translation:
        """How sentences are translated."""
        assert self.spec.translation is not None
        return self.spec.translation

    def shots(self, direction: Direction) -> list[Pair]:
        """The solved examples of a direction."""
        return [Pair(*both) for both in zip(*(self.examples[code] for code in direction), strict=True)]

    def load(self, language: str) -> tasks.Loaded:
        """The sentences of a part: the source is the premise, the reference the continuation of the plain prompt."""
        direction = direction_of(language)
        shots = self.shots(direction)
        instances = tuple(
            Instance(s.instance_id, p.group, s.premise, "", (), None, plain_prompt(direction, shots, s.premise), (t,))
            for p, s, t in zip(
                self.sentences[self.spec.pivot],
                self.sentences[direction.source],
                (i.premise for i in self.sentences[direction.target]),
                strict=True,
            )
        )
        return tasks.Loaded(instances, {"used_as_shots": len(shots)})


def plan_translation(request: TranslationRequest, observer: Observer | None = None) -> TranslationPlan:
    """Checks everything that can be checked before a model is loaded.

    Raises:
        UserError: anything in the request or in the sentences that cannot be done.
    """
    observer = observer or Silent()
    task = tasks.find_task(request.task)
    pivot = tasks.find_language(task, request.pivot or task.pivot)
    _check(request, task)
    languages = _languages(request, task, pivot)
    observer.say(f"Reading {task.title}")
    shots_from = request.shots_from or ("dev" if task.dev else "test")
    sentences, examples = _sentences(request, task, [pivot, *languages], shots_from)
    device, dtype, identity = numerics(request)
    spec = RunSpec(
        model=request.model,
        model_identity=identity,
        task=task.name,
        protocol=task.protocols[0],
        pivot=pivot,
        data_digest=_digest(sentences[pivot], examples[pivot]),
        shots=request.shots,
        limit=_limit(request, task),
        poolings=(),
        dtype=dtype,
        device=device.split(":")[0].replace("auto", "cuda"),
        translation=Translation(
            _prompt(request), shots_from if request.shots else "", request.length_ratio, _bleu(request)
        ),
    )
    loaded = tasks.Loaded(tuple(sentences[pivot]), {})
    parts = [d.part for code in languages for d in _directions(request.direction, pivot, code)]
    reader = tasks.reader(task, request.data)
    return TranslationPlan(request, task, reader, loaded, parts, spec, device, observer, sentences, examples)


def _check(request: TranslationRequest, task: tasks.Task) -> None:
    if task.n_options:
        known = ", ".join(t.name for t in tasks.TASKS.values() if not t.n_options)
        raise UserError(f"{task.title} holds questions, not parallel sentences; tasks that can be translated: {known}.")
    if request.shots_from == "dev" and not task.dev:
        raise UserError(f"{task.title} has no development split for examples: use --shots-from test.")
    choices = (
        ("direction", request.direction, DIRECTIONS),
        ("prompt", request.prompt, PROMPTS),
        ("split", request.shots_from, SPLITS),
        ("tokenizer for BLEU", request.bleu, BLEU),
    )
    for what, value, known in choices:
        if value is not None and value not in known:
            raise UserError(f"There is no {what} {value!r} here; there are: {', '.join(known)}.")
    numbers = (
        ("--shots", request.shots, 0),
        ("--limit", request.limit, 0),
        ("--batch-tokens", request.batch_tokens, 1),
        ("--length-ratio", request.length_ratio, 0.01),
    )
    for option, number, least in numbers:
        if number is not None and not least <= number < 1e9:
            raise UserError(f"{option} {number}: give a number from {least}.")


def _limit(request: RunRequest, task: tasks.Task) -> int | None:
    return (task.default_limit if request.limit is None else request.limit) or None


def _languages(request: RunRequest, task: tasks.Task, pivot: str) -> list[str]:
    """The languages besides the pivot, each once."""
    wanted = [tasks.find_language(task, code) for code in request.languages]
    if not wanted:
        wanted = tasks.local_languages(task, request.data) if request.data else list(task.languages)
    languages = [code for code in dict.fromkeys(wanted) if code != pivot]
    if not languages:
        raise UserError(f"There is nothing to translate: name a language besides the pivot {pivot} with --languages.")
    for code in (pivot, *languages):
        language_name(code)
    return languages


def _directions(direction: str, pivot: str, code: str) -> list[Direction]:
    both = {"en-xx": Direction(pivot, code), "xx-en": Direction(code, pivot)}
    return [both[direction]] if direction in both else list(both.values())


def _sentences(
    request: RunRequest, task: tasks.Task, codes: Sequence[str], shots_from: str
) -> tuple[dict[str, list[Instance]], dict[str, list[str]]]:
    """Language → sentences to translate, and language → texts of the few-shot examples; the first code is the pivot."""
    read = tasks.reader(task, request.data)
    everything = {code: tasks.load_sentences(task, read, code, "test") for code in codes}
    _check_parallel(task, "", everything)
    shown = everything
    if request.shots and shots_from == "dev":
        shown = {code: tasks.load_sentences(task, read, code, "dev") for code in codes}
        _check_parallel(task, "dev, ", shown)
    shots = _shots(task, shown, request.shots)
    left_out = set(shots) if shown is everything else set()
    order = [i.instance_id for i in everything[codes[0]] if i.instance_id not in left_out][: _limit(request, task)]
    if not order:
        raise UserError(f"{task.title} has no sentences in {codes[0]} besides the few-shot examples.")
    by_id = {code: {i.instance_id: i for i in rows} for code, rows in everything.items()}
    examples = {code: {i.instance_id: i.premise for i in rows} for code, rows in shown.items()}
    return (
        {code: [rows[i] for i in order] for code, rows in by_id.items()},
        {code: [texts[i] for i in shots] for code, texts in examples.items()},
    )


def _check_parallel(task: tasks.Task, split: str, sentences: dict[str, list[Instance]]) -> None:
    """A line more or less in one language may have shifted all that follow, so nothing of it can be trusted."""
    pivot, *others = sentences
    wanted = {i.instance_id for i in sentences[pivot]}
    for code in others:
        different = sorted(wanted ^ {i.instance_id for i in sentences[code]})
        if different:
            raise UserError(
                f"{task.title}: {split}{code} has {len(sentences[code])} sentences and {pivot} {len(wanted)} (the first "
                f"id that only one of them has is {different[0]!r}); line n must be the same sentence in every language."
            )


def _shots(task: tasks.Task, shown: dict[str, list[Instance]], number: int) -> list[str]:
    """Ids of the first sentences that are not empty in any language."""
    pivot = next(iter(shown))
    empty = {i.instance_id for rows in shown.values() for i in rows if not i.premise}
    ids = [i.instance_id for i in shown[pivot] if i.instance_id not in empty][:number]
    if len(ids) < number:
        raise UserError(f"{task.title} has only {len(ids)} examples for --shots {number}.")
    return ids


def _digest(sentences: Sequence[Instance], examples: Sequence[str]) -> str:
    return content_digest([*sentences, *(Instance(str(n), "shot", text) for n, text in enumerate(examples))])


def _prompt(request: TranslationRequest) -> str:
    from crossalign import models

    if request.prompt == "plain":
        return "plain"
    has_template = models.has_chat_template(request.model)
    if request.prompt == "chat" and not has_template:
        raise UserError(f"The tokenizer of {request.model} has no chat template: use --prompt plain.")
    return "chat" if has_template else "plain"


def _bleu(request: TranslationRequest) -> str:
    from crossalign.translation.quality import has_flores200

    if request.bleu == "flores200" and not has_flores200():
        raise UserError(
            "sacrebleu does not have its flores200 tokenizer on this machine: run "
            "`python -c \"import sacrebleu; sacrebleu.BLEU(tokenize='flores200')\"` once with a connection, or use --bleu by-script."
        )
    return request.bleu or ("flores200" if has_flores200() else "by-script")
