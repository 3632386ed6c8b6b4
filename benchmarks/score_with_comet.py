"""Scores exported translations with COMET and COMETKIWI, in an environment of its own (COMET needs older libraries).

    python -m venv comet-env && comet-env/bin/pip install unbabel-comet
    crossalign export RUN --out tables/
    comet-env/bin/python benchmarks/score_with_comet.py tables/comet --out scores.json --gpus 1
    crossalign scores RUN scores.json

The models are downloaded from the Hub on first use; wmt22-cometkiwi-da asks for an accepted licence and a token.
Nothing of crossalign is imported here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

MODELS = {"comet": "Unbabel/wmt22-comet-da", "cometkiwi": "Unbabel/wmt22-cometkiwi-da"}


def main() -> None:
    """Writes metric → model, scores by part, and the digest of each file that was scored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder `comet` that `crossalign export` wrote")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for `crossalign scores`")
    parser.add_argument("--metrics", nargs="+", choices=tuple(MODELS), default=list(MODELS))
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--gpus", type=int, default=0)
    options = parser.parse_args()
    from comet import download_model, load_from_checkpoint

    files = {path.stem: path for path in sorted(options.folder.glob("*.json"))}
    result = {}
    for metric in options.metrics:
        model = load_from_checkpoint(download_model(MODELS[metric]))
        scores, digests = {}, {}
        for part, path in files.items():
            content = path.read_bytes()
            rows = json.loads(content)
            print(f"{metric} {part}: {len(rows)} sentences", flush=True)
            given = [
                {k: row[k] for k in (("src", "mt", "ref") if metric == "comet" else ("src", "mt"))} for row in rows
            ]
            predicted = model.predict(given, batch_size=options.batch_size, gpus=options.gpus) if rows else None
            scores[part] = [float(s) for s in predicted.scores] if predicted else []
            digests[part] = hashlib.sha256(content).hexdigest()
        result[metric] = {"model": MODELS[metric], "scores": scores, "inputs": digests}
        options.out.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
