"""What the peers read: one run's settings, lm-eval task files and the extractor's text files.

The lm-eval tasks include lm-eval's own definitions and change only where the data lie, so prompt, choices,
target and delimiter stay lm-eval's; only Belebele by the answers' texts, which lm-eval does not define, has prompt
and choices of its own. The plain texts for the extractor use the same XCOPA functions.
Nothing here needs lm-eval in the running interpreter: its task helpers are loaded from their files.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

STOPS = ".。．!?！？।"
GROUPS = ("lm_eval", "extract_options", "extract_premises", "dali", "dali_s", "mexa")


@dataclass(frozen=True)
class Task:
    """What the peers hard-code about a task.

    pivot: code of English in the data. stem: its name in the scripts' files. instances: the number the
    scripts loop over. split: lm-eval's name of the scored split. definition: lm-eval's file, per language.
    """

    pivot: str
    stem: str
    options: int
    instances: int
    split: str
    definition: str


TASKS = {
    "xcopa": Task("en", "english", 2, 500, "test", "xcopa/default_{}.yaml"),
    "xstorycloze": Task("en", "english", 2, 1511, "eval", "xstorycloze/default_{}.yaml"),
    "belebele": Task("eng_Latn", "eng_Latn", 4, 900, "test", "belebele/belebele_{}.yaml"),
}

OPTION_TEXTS = {
    "doc_to_text": "{{flores_passage}} {{question}}",
    "doc_to_choice": "{{[mc_answer1, mc_answer2, mc_answer3, mc_answer4]}}",
}
"""What changes in lm-eval's Belebele when it scores the answers' texts and not their letters."""


@dataclass(frozen=True)
class PeerRun:
    """One run of all peers. `languages` includes the pivot; `work` must be new or empty.

    limit: first instances only. layers: how many states DALI covers, default as upstream (all but the last).
    mexa_scripts: use MEXA's own extractor, which also gives position-weighted means. pooling: which of the
    two compute_mexa reads, "last_token" or "weighted". pivot_delimiter: lm-eval's COPA has two spaces before
    an option; "" leaves one. keep_letters: lm-eval's XCOPA drops the last character of a premise even where
    it is no full stop (Thai, Tamil); True keeps it in the extractor's texts. protocol: of Belebele, "letters" as
    lm-eval defines it, or "options": the texts of the answers after passage and question. only: stage groups to run.
    """

    model: Path
    task: str
    languages: tuple[str, ...]
    data: Path
    scripts: Path
    python: Path
    work: Path
    limit: int | None = None
    layers: int | None = None
    mexa_scripts: Path | None = None
    pooling: str = "last_token"
    pivot_delimiter: str = " "
    keep_letters: bool = False
    protocol: str = "letters"
    device: str = "cpu"
    batch_size: int = 16
    only: tuple[str, ...] = GROUPS

    @property
    def spec(self) -> Task:
        """The task's fixed facts."""
        return TASKS[self.task]

    @property
    def others(self) -> list[str]:
        """The languages without the pivot."""
        return [language for language in self.languages if language != self.spec.pivot]

    def stem(self, language: str) -> str:
        """The name the scripts use for a language in file names."""
        return self.spec.stem if language == self.spec.pivot else language

    def source(self, language: str) -> Path:
        """The data file of a language, upstream schema."""
        if self.task != "xcopa":
            return self.data / self.task / f"{language}.jsonl"
        folder = "copa_en" if language == self.spec.pivot else f"xcopa/{language}"
        return self.data / folder / f"test.{language}.jsonl"

    def rows(self, language: str) -> list[dict]:
        """The rows of a language, cut at `limit`."""
        with self.source(language).open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines][: self.limit]


def write_definitions(run: PeerRun, tasks: Path) -> list[str]:
    """Write one lm-eval task per language over the local data; returns the names. tasks: lm-eval's folder."""
    folder = run.work / "lm_eval" / "tasks"
    folder.mkdir(parents=True)
    names = []
    for language in run.languages:
        copa = run.task == "xcopa" and language == run.spec.pivot
        own = "super_glue/copa/default.yaml" if copa else run.spec.definition.format(language)
        texts = OPTION_TEXTS if run.task == "belebele" and run.protocol == "options" else {}
        delimiter = {"target_delimiter": run.pivot_delimiter} if copa else {}
        definition = {
            "include": str(tasks / own),
            "task": f"peer_{run.task}_{language}",
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": {run.spec.split: str(run.source(language).resolve())}},
            "training_split": None,
            "validation_split": None,
            "test_split": run.spec.split,
            "fewshot_split": None,
        }
        path = folder / f"{definition['task']}.yaml"
        path.write_text(json.dumps(definition | texts | delimiter, indent=1), encoding="utf-8")  # JSON is YAML
        names.append(definition["task"])
    return names


def load_module(path: Path) -> ModuleType:
    """Import one of lm-eval's task helpers from its file (those used here import nothing of lm-eval)."""
    found = importlib.util.spec_from_file_location(f"peer_{path.parent.name}", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def xstorycloze_texts(row: dict) -> tuple[str, list[str]]:
    """(four sentences, each story with its ending)."""
    story = " ".join(row[f"input_sentence_{number}"] for number in range(1, 5))
    return story, [f"{story} {row[f'sentence_quiz{number}']}" for number in (1, 2)]


def belebele_texts(row: dict) -> tuple[str, list[str]]:
    """(passage question, passage question option)."""
    asked = f"{row['flores_passage']} {row['question']}"
    return asked, [f"{asked} {row[f'mc_answer{number}']}" for number in range(1, 5)]


def wording(run: PeerRun, tasks: Path, language: str) -> Callable[[dict], tuple[str, list[str]]]:
    """The function row -> (premise, text of every option): plain texts without instruction."""
    if run.task != "xcopa":
        return {"xstorycloze": xstorycloze_texts, "belebele": belebele_texts}[run.task]
    pivot = language == run.spec.pivot
    module = load_module(tasks / ("super_glue/copa/utils.py" if pivot else "xcopa/utils.py"))
    to_text = module.doc_to_text if pivot else getattr(module, f"doc_to_text_{language}")

    def xcopa_texts(row: dict) -> tuple[str, list[str]]:
        premise = row["premise"].strip()
        if run.keep_letters and premise[-1] not in STOPS:
            premise += "."  # so that this is the character lm-eval's function drops
        context = to_text(row | {"premise": premise})
        return row["premise"], [f"{context} {module.convert_choice(row[key])}" for key in ("choice1", "choice2")]

    return xcopa_texts


def write_texts(run: PeerRun, tasks: Path) -> dict[str, dict[str, int]]:
    """Write options/<language>_choice<k>.txt and premises/<language>.txt, a text per line; returns counts.

    newline: texts in which a line break became a space. stripped: texts whose outer white space the
    extractor will strip. no_stop: XCOPA premises whose last character is no full stop.
    """
    for name in ("options", "premises"):
        (run.work / "texts" / name).mkdir(parents=True)
    counts = {}
    for language in run.languages:
        read, stem = wording(run, tasks, language), run.stem(language)
        pairs = [read(row) for row in run.rows(language)]
        columns = {f"premises/{stem}": [premise for premise, _ in pairs]}
        for k in range(run.spec.options):
            columns[f"options/{stem}_choice{k + 1}"] = [options[k] for _, options in pairs]
        count = Counter(instances=len(pairs), newline=0, stripped=0, no_stop=0)
        for name, column in columns.items():
            flat = [re.sub(r"\r\n|\r|\n", " ", text) for text in column]
            count["newline"] += sum(a != b for a, b in zip(column, flat, strict=True))
            count["stripped"] += sum(text != text.strip() for text in flat)
            path = run.work / "texts" / f"{name}.txt"
            path.write_text("".join(f"{text}\n" for text in flat), encoding="utf-8")
        if run.task == "xcopa":
            count["no_stop"] = sum(premise.strip()[-1] not in STOPS for premise, _ in pairs)
        counts[language] = dict(count)
    return counts
