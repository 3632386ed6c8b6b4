"""Makes the published figures in `crossalign/reference` from the released results of the DALI paper.

    python benchmarks/reference_table.py DIR [--out FOLDER]

DIR is a copy of github.com/Kartik21/XLingAlignment or a part of it. Only counts over whole languages are kept, no instance.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from release import METRICS, PIVOT, Released, read_release

from crossalign import reference
from crossalign.schema import UserError

HEADER = """# {what} of Llama-3.1-8B (base, 5-shot, last token), counted over the results released with
# Ravisankar, Han, Wiegreffe, Carpuat, arXiv 2504.09378: github.com/Kartik21/XLingAlignment, commit aaab982.
# Made by benchmarks/reference_table.py. {how}
"""

N_INSTANCES = {"xcopa": 500, "belebele": 900}


def accuracy_rows(task: str, released: Released) -> list[list]:
    """task, language, right answers, instances; with the pivot where all languages share one."""
    n, shares, pivot = N_INSTANCES[task], dict(released.accuracy), PIVOT[task]
    if pivot:
        shares[pivot] = next(iter(released.pivot_accuracy.values()))
    return [[task, code, round(share * n), n] for code, share in sorted(shares.items())]


def alignment_rows(task: str, released: Released) -> list[list]:
    """task, language, metric, instances, then aligned instances at each layer; short rows lack the last layers."""
    rows = []
    for metric in METRICS:
        for code, decisions in sorted(released.decisions[metric].items()):
            counts = [int(count) for count in decisions.sum(axis=0)]
            rows.append([task, code, metric, len(decisions), *counts])
    return rows


def write(path: Path, header: str, rows: list[list]) -> None:
    """A CSV with comment lines; rows are filled up to the same length."""
    width = max(map(len, rows))
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(header)
        csv.writer(file, lineterminator="\n").writerows([*row, *[""] * (width - len(row))] for row in rows)


def main() -> int:
    """Writes both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="the release: holds accuracy_outputs, alignment_outputs"
    )
    parser.add_argument("--out", type=Path, default=Path(reference.__file__).parent, metavar="FOLDER")
    options = parser.parse_args()
    try:
        released = {task: read_release(options.folder, task) for task in reference.TASKS}
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    accuracy = [row for task, found in released.items() for row in accuracy_rows(task, found)]
    alignment = [row for task, found in released.items() for row in alignment_rows(task, found)]
    layers = [str(layer) for layer in range(max(map(len, alignment)) - 4)]
    header = HEADER.format(what="Right answers", how="Unnormalised accuracy of lm-evaluation-harness times n.")
    write(options.out / "accuracy.csv", header, [["task", "language", "correct", "n"], *accuracy])
    header = HEADER.format(what="Aligned instances", how="A column per layer; mexa is MEXA on 100 FLORES sentences.")
    write(options.out / "alignment.csv", header, [["task", "language", "metric", "n", *layers], *alignment])
    return 0


if __name__ == "__main__":
    sys.exit(main())
