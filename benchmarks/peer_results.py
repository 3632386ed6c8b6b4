"""Read what `peer_pipeline.py` left in a work folder, as plain arrays keyed by language code.

N instances, K options, L + 1 states (embeddings first, the last one after the final norm), width d.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np


def facts(work: Path) -> dict:
    """The run's task, languages, stems, options, instances, states, versions."""
    return json.loads((work / "run.json").read_text(encoding="utf-8"))


def samples(work: Path, language: str) -> list[dict]:
    """The sample lines lm-eval logged for one language, by document."""
    (path,) = (work / "lm_eval" / "out").rglob(f"samples_peer_{facts(work)['task']}_{language}_2*.jsonl")
    with path.open(encoding="utf-8") as lines:
        return sorted((json.loads(line) for line in lines), key=lambda sample: sample["doc_id"])


def loglikelihoods(work: Path) -> dict[str, dict[int, list[float]]]:
    """language -> {document index: summed log-likelihood (nats) of each option as lm-eval scored it}."""
    return {
        language: {
            sample["doc_id"]: [float(answer[0]) for answer in sample["filtered_resps"]]
            for sample in samples(work, language)
        }
        for language in facts(work)["languages"]
    }


def scored_texts(work: Path) -> dict[str, list[list[tuple[str, str]]]]:
    """language -> per document and option the (context, continuation) strings lm-eval scored."""
    return {
        language: [
            [(pair["arg_0"], pair["arg_1"]) for pair in sample["arguments"].values()]
            for sample in samples(work, language)
        ]
        for language in facts(work)["languages"]
    }


def predictions(work: Path) -> dict[str, np.ndarray]:
    """language -> [N] index of the option with the largest summed log-likelihood (lm-eval's `acc`)."""
    found = loglikelihoods(work)
    return {name: np.array([int(np.argmax(row)) for row in rows.values()]) for name, rows in found.items()}


class _Arrays(pickle.Unpickler):
    """Reads lists, dictionaries, text, numbers and numpy arrays; any other name in the file is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """What numpy needs to make an array."""
        allowed = {"numpy": {"ndarray", "dtype"}}
        allowed |= {key: {"_reconstruct", "scalar"} for key in ("numpy._core.multiarray", "numpy.core.multiarray")}
        if name not in allowed.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} is no array")
        return super().find_class(module, name)


def load_states(path: Path, pooling: str) -> np.ndarray:
    """[N, L+1, d] float32 of one state file; pooling "last_token" or "weighted" (only MEXA's extractor).

    The published extractors write pickles, which can run code when read: nothing but arrays is let in.
    """
    with path.open("rb") as file:
        layers = _Arrays(file).load()
    key = {"last_token": "embd_lasttoken", "weighted": "embd_weighted"}[pooling]
    if key not in layers[0][0]:
        raise ValueError(f"{path.name} has no {pooling} states: run the peers with MEXA's extractor")
    ordered = [sorted(layers[layer], key=lambda item: item["id"]) for layer in sorted(layers)]
    return np.array([[item[key] for item in items] for items in ordered]).transpose(1, 0, 2)


def option_states(work: Path, pooling: str = "last_token") -> dict[str, np.ndarray]:
    """language -> [N, K, L+1, d] pooled states of the option texts."""
    run, folder = facts(work), work / "states" / "options"
    names = [f"choice{k + 1}" for k in range(run["options"])]
    return {
        language: np.stack([load_states(folder / f"{stem}_{name}.pkl", pooling) for name in names], axis=1)
        for language, stem in run["stems"].items()
    }


def premise_states(work: Path, pooling: str = "last_token") -> dict[str, np.ndarray]:
    """language -> [N, L+1, d] pooled states of the premises."""
    folder = work / "states" / "premises"
    return {code: load_states(folder / f"{stem}.pkl", pooling) for code, stem in facts(work)["stems"].items()}


def decisions(work: Path, group: str) -> dict[str, np.ndarray]:
    """language -> [N, layers] 0/1 from DALI files {instance: {layer: 0/1}} (Belebele's count from 1)."""
    found = {}
    for path in sorted((work / group).glob("DALI_*_lasttoken.json")):
        rows = json.loads(path.read_text(encoding="utf-8"))
        table = [[rows[i][layer] for layer in sorted(rows[i], key=int)] for i in sorted(rows, key=int)]
        found[path.stem.removeprefix("DALI_").removesuffix("_lasttoken")] = np.array(table)
    return found


def dali(work: Path) -> dict[str, np.ndarray]:
    """language -> [N, layers] DALI decisions; layer 0 is the embeddings, the last state is left out."""
    return decisions(work, "dali")


def dali_s(work: Path) -> dict[str, np.ndarray]:
    """language -> [N, layers] DALI strong decisions, layers as in `dali`."""
    return decisions(work, "dali_s")


def mexa(work: Path) -> dict[str, np.ndarray]:
    """language -> [N, L+1] MEXA_T decisions, without the pivot against itself that the script also writes."""
    run = facts(work)
    found = {}
    for language in run["languages"]:
        if language != run["pivot"]:
            rows = json.loads((work / "mexa" / f"{language}.json").read_text(encoding="utf-8"))
            found[language] = np.array([rows[layer] for layer in sorted(rows, key=int)]).T
    return found
