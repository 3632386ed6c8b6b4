"""XStoryCloze: choose the right ending of a four-sentence story; 2 options, 11 languages."""

from __future__ import annotations

from crossalign.schema import Instance
from crossalign.tasks.records import Origin, Row, Task, counted_from_one

REVISION = "refs/convert/parquet"
"""The Hub's own conversion: the commits of the repository hold a loading script, which is not run."""

LANGUAGES = ("en", "ar", "es", "eu", "hi", "id", "my", "ru", "sw", "te", "zh")


def _origin(language: str, split: str) -> Origin:
    test = (f"xstorycloze/{language}.jsonl", f"{language}.jsonl", f"xstorycloze/{language}.eval.jsonl")
    dev = (f"xstorycloze/{language}.train.jsonl", f"{language}.train.jsonl")
    hub_split = "eval" if split == "test" else "train"
    files = test if split == "test" else dev
    return Origin("juletxara/xstory_cloze", language, hub_split, REVISION, files)


def _instance(row: Row, language: str, protocol: str) -> Instance:
    story = " ".join(row[f"input_sentence_{i}"] for i in range(1, 5))
    endings = (row["sentence_quiz1"], row["sentence_quiz2"])
    identity = str(row["story_id"])
    gold = counted_from_one(row["answer_right_ending"])
    return Instance(identity, identity, story, story, endings, gold, story, endings)


TASK = Task(
    name="xstorycloze",
    title="XStoryCloze",
    languages=LANGUAGES,
    pivot="en",
    n_options=2,
    protocols=("options",),
    origin=_origin,
    instance=_instance,
    source="Lin et al. 2022, XGLM (CC BY-SA 4.0)",
)
