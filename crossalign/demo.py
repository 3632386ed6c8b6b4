"""The default runs: the miniature model on its four tasks, and the untrained control beside it."""

from __future__ import annotations

from pathlib import Path

from crossalign.miniature.control import control_folder
from crossalign.pipeline import run, translate
from crossalign.planning import Observer, RunRequest
from crossalign.store.runs import Run
from crossalign.translation.planning import TranslationRequest

MODEL = Path(__file__).parent / "miniature" / "miniature-5m"
SENTENCES = "miniature-parallel"
TASKS = ("miniature-copa", "miniature-story", "miniature-reading", SENTENCES)

CONTROL_LANGUAGES = ("es", "id", "sw")
"""Of a large, a middle and a small share: enough to stand beside the trained model."""

TRANSLATED = 24
"""Sentences of each language that are translated in both directions: few, as generating takes most of the time."""

LENGTH_RATIO = 1.0
"""Most tokens of a translation per character of its source, so that an output without end stops early."""

NOTE = (
    "The miniature model was trained for this project on a designed corpus in ten languages: how much text each language "
    "has, and which facts are withheld from it, is known. What it shows is an experiment, not a statement about large "
    "models."
)
CONTROL_NOTE = (
    "This model has random weights: it is the control against which the trained one is read. Its accuracy is at chance, "
    "and its alignment is what shared names and punctuation give without any training."
)


def demo(cache: Path, observer: Observer) -> list[Run]:
    """Computes what the cache lacks of the default runs; needs nothing but the package.

    States are kept for the task whose map the Space page opens with. The first task comes last: the dashboard opens with
    the newest run.
    """
    shared = {"cache": cache, "device": "cpu"}
    control = str(control_folder(MODEL, cache))
    runs = [run(RunRequest(control, TASKS[0], CONTROL_LANGUAGES, note=CONTROL_NOTE, **shared), observer)]
    # Without examples: the model was trained on single pairs, and five of them fill its context.
    few = {"shots": 0, "limit": TRANSLATED, "length_ratio": LENGTH_RATIO}
    runs.append(translate(TranslationRequest(str(MODEL), SENTENCES, note=NOTE, **few, **shared), observer))
    for task in reversed(TASKS):
        keep = "float16" if task == TASKS[0] else "none"
        runs.append(run(RunRequest(str(MODEL), task, keep_states=keep, note=NOTE, **shared), observer))
    return runs
