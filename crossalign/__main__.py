"""The command line: `python -m crossalign COMMAND --help` explains each command."""

from __future__ import annotations

import argparse
import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from crossalign.arguments import limit, port, words
from crossalign.schema import POOLINGS, UserError

UNUSABLE = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}
"""What the system says of a path given by mistake: it may not be entered, or cannot be one."""

# Threads that wait for each other should spin only briefly: on a machine with other work a longer spin takes the core
# from the thread that is waited for, and a pass takes ten times as long. libgomp reads this when torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

LEARN = "Start with: crossalign run --model MODEL --task xcopa --languages sw,it   (a Hub id or a local folder)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, or 2 with one sentence for a user's mistake."""
    parser = _parser()
    options = parser.parse_args(arguments)
    from crossalign.commands import COMMANDS
    from crossalign.ui.serving import serve

    try:
        return (COMMANDS | {"app": serve})[options.command](options)
    except UserError as error:
        print(f"crossalign: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in UNUSABLE or not error.filename:
            raise
        print(f"crossalign: Cannot use {error.filename}: {error.strerror}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("crossalign: stopped; the same command goes on from here.", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Tells a mistake the way every other mistake is told."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"crossalign: {message} (see `{self.prog} --help`).\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="crossalign",
        description="Where does a language model map a language onto English, and does that go with being right?",
        epilog=LEARN,
    )
    common = _Parser(add_help=False)
    common.add_argument(
        "--cache",
        type=Path,
        default=Path(os.environ.get("CROSSALIGN_CACHE", "cache")),
        help="folder of the cached runs (default: ./cache, or $CROSSALIGN_CACHE)",
    )
    common.add_argument("--json", action="store_true", help="print JSON for machines")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands, common)
    _add_translate(commands, common)
    _add_import(commands, common)
    _add_scores(commands, common)
    demo = commands.add_parser("demo", parents=[common], help="compute the default runs: offline, in a minute or two")
    demo.add_argument("--first", action="store_true", help="compute the first of them only")
    app = commands.add_parser("app", parents=[common], help="serve the dashboard on this machine")
    app.add_argument("--port", type=port, default=8501, metavar="N", help="default: 8501")
    app.add_argument("--demo", action="store_true", help="compute what is missing of the default runs meanwhile")
    commands.add_parser("list", parents=[common], help="the runs in the cache")
    summary = commands.add_parser("summary", parents=[common], help="a run's accuracy and alignment per language")
    summary.add_argument("run", metavar="RUN", help="run id, or its beginning")
    summary.add_argument(
        "--pooling", choices=POOLINGS, help="only this pooling (default: the run's first; with --json all)"
    )
    summary.add_argument(
        "--against", metavar="RUN", help="of a translation run: compare with another by paired bootstrap"
    )
    summary.add_argument("--scores", default="", metavar="NAME", help="accuracy by scores added with `import --run`")
    verify = commands.add_parser("verify", parents=[common], help="check every file of the cache against its checksum")
    verify.add_argument("run", metavar="RUN", nargs="?", help="run id, or its beginning (default: all runs)")
    _add_export(commands, common)
    return parser


def _add_export(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    export = commands.add_parser(
        "export",
        parents=[common],
        help="write a run's tables as Parquet and CSV, and a report that opens without a server",
        description="Writes tables of languages, rates, instances, options and decisions (of a translation run: of "
        "directions, translations and their alignment, and the input for COMET), and DIR/report/index.html: the run's "
        "findings, figures, tables, definitions and provenance as static pages, for sharing and printing.",
    )
    export.add_argument("run", metavar="RUN", help="run id, or its beginning")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the tables and the report")
    export.add_argument("--no-report", dest="report", action="store_false", help="only the tables")
    export.add_argument(
        "--metric", default="", metavar="M", help="alignment metric of the report (default: the run's first)"
    )
    export.add_argument("--pooling", default="", metavar="P", help="pooling of the report (default: the run's first)")


def _add_run(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    run = commands.add_parser(
        "run",
        parents=[common],
        help="score and align a model on a task; goes on where it was stopped",
        description="Computes, in one pass over each text, option log-likelihoods and hidden states of all layers, "
        "aligns every language with the pivot, and leaves a run in the cache.",
        epilog="Example: crossalign run --model ./my-llama --task belebele --data ./data --languages swh_Latn,spa_Latn",
    )
    _add_choices(run.add_argument)
    _add_computation(run.add_argument)


def _add_translate(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    translate = commands.add_parser(
        "translate",
        parents=[common],
        help="translate parallel sentences from and to the pivot, and score them; goes on where it was stopped",
        description="Translates greedily, in batches that share the few-shot examples, and scores each sentence and "
        "language (chrF++, BLEU, wrong language, copied, empty, cut).",
        epilog="Example: crossalign translate --model ./my-llama --task flores --data ./data --languages swh_Latn,spa_Latn "
        "--shots 5 --direction en-xx",
    )
    add = translate.add_argument
    add("--model", required=True, metavar="M", help="Hub id, or a folder written by save_pretrained")
    add("--task", default="flores", metavar="T", help="a task of parallel sentences (default: flores)")
    add("--languages", type=words, default=(), metavar="a,b", help="codes, comma-separated (default: all)")
    add("--direction", choices=("en-xx", "xx-en", "both"), default="both", help="en is the pivot (default: both)")
    add("--shots", type=int, default=5, metavar="K", help="translated examples before each sentence (default: 5)")
    add(
        "--shots-from",
        choices=("dev", "test"),
        help="split of the examples; of test they are left out (default: dev if any)",
    )
    add("--limit", type=limit, metavar="N", help="first N sentences, or 'all' (default: flores: 100, as in the papers)")
    add("--data", type=Path, metavar="DIR", help="read local files in the upstream schema instead of the Hub")
    add("--pivot", metavar="CODE", help="language that is translated from and into (default: the task's English)")
    add(
        "--prompt",
        choices=("plain", "chat"),
        help="default: the tokenizer's chat template where it has one, else plain",
    )
    add(
        "--length-ratio",
        type=float,
        default=3.0,
        metavar="R",
        help="a translation has at most 16 + R x characters of the source tokens (default: 3)",
    )
    add(
        "--bleu",
        choices=("flores200", "by-script"),
        help="tokenizer of BLEU (default: flores200 where sacrebleu has it on disk, which needs one download; else 13a, zh or characters by script)",
    )
    _add_execution(
        add,
        "tokens held at once, prompts and translations (default: 16384 on a CPU, 65536 on a GPU); lower it if memory runs out",
    )


def _add_scores(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    scores = commands.add_parser(
        "scores",
        parents=[common],
        help="add COMET or COMETKIWI scores made elsewhere to a translation run",
        description="COMET runs in an environment of its own: `crossalign export RUN --out DIR` writes its input to "
        "DIR/comet, benchmarks/score_with_comet.py makes FILE from it. Files of the DALI paper's release "
        "(scores by English name of the language) are read with --metric and --direction.",
    )
    scores.add_argument("run", metavar="RUN", help="run id, or its beginning")
    scores.add_argument("file", metavar="FILE", type=Path, help="JSON file with the scores")
    scores.add_argument(
        "--metric", choices=("comet", "cometkiwi"), help="what the scores are, where the file does not say"
    )
    scores.add_argument("--direction", choices=("en-xx", "xx-en"), help="whose they are, where the file does not say")


def _add_import(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    importing = commands.add_parser("import", help="take over results that were computed elsewhere")
    sources = importing.add_subparsers(dest="source", required=True, metavar="SOURCE")
    published = sources.add_parser(
        "published", parents=[common], help="released results in the layout of the DALI paper, or a part of them"
    )
    logs = sources.add_parser(
        "lm-eval", parents=[common], help="logs of lm-evaluation-harness 0.4.5 or later (results and samples)"
    )
    for source in (published, logs):
        source.add_argument("folder", type=Path, metavar="DIR", help="folder with the results")
    logs.add_argument("--run", metavar="RUN", help="add the accuracy to this cached run of the same model and items")
    logs.add_argument(
        "--time", default="", metavar="T", help="of repeated evaluations those whose time begins so, not the newest"
    )


def _add_choices(add: Callable[..., object]) -> None:
    """What is run: everything here but the model's name can change a number."""
    add("--model", required=True, metavar="M", help="Hub id, or a folder written by save_pretrained")
    add(
        "--task",
        required=True,
        metavar="T",
        help="xcopa, xstorycloze, belebele, flores, or miniature-copa, -story, -reading, -parallel",
    )
    add(
        "--languages",
        type=words,
        default=(),
        metavar="a,b",
        help="codes, comma-separated (default: all; the pivot is always added)",
    )
    add("--pivot", metavar="CODE", help="language to align with (default: the task's English)")
    add("--data", type=Path, metavar="DIR", help="read local files in the upstream schema instead of the Hub")
    add(
        "--limit",
        type=limit,
        metavar="N",
        help="first N instances, or 'all' (default: all; flores: 100, as in the papers)",
    )
    add(
        "--shots",
        type=int,
        default=0,
        metavar="K",
        help="solved examples before each prompt: the first K of the development split, or of the test split (then left out) where there is none",
    )
    add(
        "--protocol",
        metavar="P",
        help="belebele: letters (A-D, as published) or options (texts); xcopa: options, or harness (lm-evaluation-harness to the letter)",
    )
    add(
        "--connectors",
        choices=("repaired", "data"),
        default="repaired",
        help="xcopa: cause/effect repaired against English COPA, or as in the data",
    )
    add(
        "--pooling",
        dest="poolings",
        type=words,
        default=("last_token", "weighted_mean"),
        metavar="a,b",
        help=f"of {', '.join(POOLINGS)} (default: last_token,weighted_mean)",
    )


def _add_computation(add: Callable[..., object]) -> None:
    """How it is run."""
    _add_execution(add, "tokens of one pass (default: 1024 on a CPU, 8192 on a GPU); lower it if memory runs out")
    add(
        "--keep-states",
        choices=("none", "float16", "float32"),
        default="none",
        help="keep pooled hidden states (for maps and later metrics)",
    )
    add("--estimate", action="store_true", help="only say what the run would cost: tokens, memory, disk, time")


def _add_execution(add: Callable[..., object], batch_tokens: str) -> None:
    add(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="default: float32 on a CPU, bfloat16 on a GPU (float16 on one without it)",
    )
    add(
        "--device",
        metavar="D",
        help="cpu, cuda, cuda:1, or auto for a model larger than one GPU (default: cuda if there is one)",
    )
    add("--batch-tokens", type=int, metavar="N", help=batch_tokens)


def run_command_line() -> None:
    """Entry point of the installed `crossalign` command."""
    # Imports make half a million objects that stay: looking for garbage among them after every 700 is a ninth of the start.
    gc.set_threshold(50_000)
    status = main()
    from crossalign.ui.serving import leave

    leave(status)


if __name__ == "__main__":
    run_command_line()
