"""The default runs: the miniature model on its four tasks, and the untrained control beside it."""

from __future__ import annotations

from pathlib import Path

from crossalign.miniature.control import control_folder
from crossalign.pipeline import prepare, run
from crossalign.planning import Observer, RunRequest
from crossalign.store.runs import Run
from crossalign.translation.planning import TranslationRequest

MODEL = Path(__file__).parent / "miniature" / "miniature-4m"
SENTENCES = "miniature-parallel"
TASKS = ("miniature-copa", "miniature-story", "miniature-reading", SENTENCES)

CONTROL_LANGUAGES = ("es", "sw")
"""Of a large and a small share: enough to stand beside the trained model."""

TRANSLATED = 24
"""Sentences of each language that are translated in both directions: few, as generating takes most of the time."""

LENGTH_RATIO = 1.0
"""Most tokens of a translation per character of its source, so that an output without end stops early."""

BATCH_TOKENS = 2048
"""Tokens of a forward pass: states as narrow as these keep a core busy only in large batches; 512 take a quarter longer."""

NOTE = (
    "The miniature model was trained for this project on a designed corpus in ten languages: how much text each language "
    "has, and which facts are withheld from it, is known. What it shows is an experiment, not a statement about large "
    "models."
)
CONTROL_NOTE = (
    "This model has random weights: it is the control against which the trained one is read. Its accuracy is at chance, "
    "and its alignment is what shared names and punctuation give without any training."
)


def demo(cache: Path, observer: Observer, first: bool = False) -> list[Run]:
    """Computes what the cache lacks of the default runs; needs nothing but the package.

    All runs are opened before the first is computed, the first one last: the dashboard opens with the newest run and
    lists the others, which fill while it is looked at.

    Args:
        first: only the first run is computed.
    """
    requests = _requests(cache)
    for request in reversed(requests):
        prepare(request, observer)
    return [run(request, observer) for request in requests[: 1 if first else None]]


def _requests(cache: Path) -> list[RunRequest | TranslationRequest]:
    """The default runs, in the order in which they are computed.

    States are kept for the task whose map the Space page opens with.
    """
    shared = {"cache": cache, "device": "cpu"}
    first, *others = TASKS
    # Without examples: the model was trained on single pairs, and five of them fill its context.
    few = {"shots": 0, "limit": TRANSLATED, "length_ratio": LENGTH_RATIO}
    large = {"batch_tokens": BATCH_TOKENS}
    return [
        RunRequest(str(MODEL), first, keep_states="float16", note=NOTE, **large, **shared),
        *(RunRequest(str(MODEL), task, note=NOTE, **large, **shared) for task in others),
        TranslationRequest(str(MODEL), SENTENCES, note=NOTE, **few, **shared),
        RunRequest(str(control_folder(MODEL, cache)), first, CONTROL_LANGUAGES, note=CONTROL_NOTE, **large, **shared),
    ]
