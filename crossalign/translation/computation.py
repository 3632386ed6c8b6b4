"""Computes one direction of a translation run: batches of outputs, then their scores and flags."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from crossalign import tasks
from crossalign.forward.decoding import Tokens
from crossalign.forward.generation import Generator, Job
from crossalign.forward.generation_check import choose_way
from crossalign.forward.kernels import choose_linear, keep_heap, prepack
from crossalign.forward.texts import open_ended
from crossalign.memory import FULL_AT_START, enough_memory
from crossalign.provenance import provenance
from crossalign.schema import SCHEMA_VERSION, Execution, Instance, Manifest, UserError, content_digest
from crossalign.store import parts
from crossalign.store.drafts import read_batch, save_batch
from crossalign.store.files import write_table
from crossalign.store.runs import Run, list_runs
from crossalign.translation.columns import Output, translation_columns
from crossalign.translation.planning import TranslationPlan
from crossalign.translation.prompts import chat_messages, direction_of, most_tokens

_FULL = (
    "The memory does not hold the keys and values of {} tokens: run the same command again with --batch-tokens {}; "
    "finished batches are kept."
)

DECODED_ROWS = 32
"""Rows of a step for which linear layers are chosen on a CPU."""

KEPT_FREE = 1 << 30
"""Bytes of freed memory that are kept: finished rows leave a batch by a copy of the other rows' keys and values, which are
hundreds of megabytes. Given back and faulted in again each time, they take a third of the time of a small model."""

SAMPLED = 64
"""Sentences from which the shortest, a middle and the longest are taken to check the fast way."""


def start(plan: TranslationPlan) -> tuple[Execution, dict[str, Any]]:
    """Loads the model and decides how the run is computed; called once in a run's life."""
    model = plan.model
    prompts = sorted((p for p in _prompts(plan, plan.languages[0], SAMPLED) if p), key=len)
    sample = [prompts[i] for i in sorted({0, len(prompts) // 2, len(prompts) - 1})] if prompts else []
    fitting = [p for p in sample if len(p) + 16 <= model.max_length]
    with enough_memory(FULL_AT_START):
        way, why = choose_way(model, fitting) if fitting else ("batches", "no prompt fits into the model")
    plan.observer.say(f"Generation: {way} ({why}).")
    facts = {
        "n_layers": model.n_layers,
        "hidden_size": model.hidden_size,
        "n_options": 0,
        "n": len(plan.pivot.instances),
        "parameters": sum(p.numel() for p in model.model.parameters()),
        "max_length": model.max_length,
        "languages": plan.languages,
        "data": str(plan.request.data or ""),
        "note": plan.request.note,
    }
    linear, reason = choose_linear(model.decoder, DECODED_ROWS)
    return Execution(plan.batch_tokens, False, linear, f"{why}; {reason}", way), facts


def _prompts(plan: TranslationPlan, part: str, limit: int | None = None) -> list[Tokens]:
    """Token ids of the prompts of a part; empty where there is no source."""
    instances = plan.load(part).instances[:limit]
    texts = [i.prompt for i in instances]
    if plan.how.prompt == "chat":
        texts = [_chat(plan, part, i.premise) for i in instances]
        encoded = plan.model.tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
        tokens = [tuple(ids) for ids in encoded["input_ids"]]
    else:
        tokens = [open_ended(t, plan.model.end) for t in plan.model.tokenize(texts)]
    return [t if i.premise else () for t, i in zip(tokens, instances, strict=True)]


def _chat(plan: TranslationPlan, part: str, source: str) -> str:
    from jinja2 import TemplateError

    direction = direction_of(part)
    messages = chat_messages(direction, plan.shots(direction), source)
    try:
        return plan.model.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise UserError(f"The chat template of {plan.request.model} fails ({error}): use --prompt plain.") from None


class TranslationComputation:
    """Fills a translation run, direction by direction."""

    def __init__(self, run: Run, plan: TranslationPlan) -> None:
        self.run, self.plan = run, plan
        self.observer = plan.observer
        self.execution = replace(run.execution, batch_tokens=plan.request.batch_tokens or run.execution.batch_tokens)

    @cached_property
    def generator(self) -> Generator:
        if self.plan.spec.device == "cpu":
            keep_heap(KEPT_FREE)
        if self.execution.linear == "onednn":
            # With the head, which every new token needs: packed, few rows take it a tenth to a fifth less time.
            prepack(self.plan.model.model, DECODED_ROWS)
        return Generator(self.plan.model, self.execution.batch_tokens, self.execution.generation)

    def language(self, language: str) -> None:
        """Translates a direction and leaves its complete part in the cache. The caller holds its lock."""
        began = time.perf_counter()
        loaded = self.plan.load(language)
        outputs = self._scored_otherwise(language, loaded)
        reused = outputs is not None
        outputs = outputs or self._translated(language, loaded)
        generated = time.perf_counter()
        target, bleu = direction_of(language).target, self.plan.how.bleu
        columns = translation_columns(loaded.instances, outputs, target, bleu)
        with parts.writing_part(self.run, language) as folder:
            write_table(folder / "translations.parquet", columns.translations)
            write_table(folder / "quality.parquet", columns.quality)
            now = time.perf_counter()
            record = provenance(self.plan.device, self.execution.batch_tokens, now - began, "sacrebleu", "py3langid")
            record |= {"stages": {"generation": round(generated - began, 3), "scores": round(now - generated, 3)}}
            record |= {"language_check": columns.check, "reused_outputs": reused}
            record["prompt"] = next((i.prompt for i in loaded.instances if i.premise), "")
            parts.finish_part(self.run, folder, self._manifest(language, loaded, outputs, record))
        self._tell(language, loaded.instances, outputs, columns.translations)
        shutil.rmtree(self.run.work / language, ignore_errors=True)

    def _manifest(self, part: str, loaded: tasks.Loaded, outputs: Sequence[Output], record: dict[str, Any]) -> Manifest:
        counts = {
            "tokens_generated": sum(o.n_tokens for o in outputs),
            "tokens_prompt": sum(o.n_prompt for o in outputs),
        }
        for problem in sorted({o.problem for o in outputs} - {""}):
            counts[problem.replace(" ", "_")] = sum(o.problem == problem for o in outputs)
        return Manifest(
            run_id=self.run.run_id,
            language=part,
            schema_version=SCHEMA_VERSION,
            n=len(loaded.instances),
            n_options=0,
            n_layers=self.run.facts["n_layers"],
            hidden_size=self.run.facts["hidden_size"],
            content_digest=content_digest(loaded.instances),
            counts=loaded.counts | counts,
            provenance=record,
        )

    def _translated(self, part: str, loaded: tasks.Loaded) -> list[Output]:
        """Outputs of all sentences; batches that are there already are not run again."""
        prompts = _prompts(self.plan, part)
        ratio, longest = self.plan.how.length_ratio, self.plan.model.max_length
        limits = [
            min(most_tokens(i.premise, ratio), longest - len(p)) for i, p in zip(loaded.instances, prompts, strict=True)
        ]
        outputs = [_unfit(i, p, n) for i, p, n in zip(loaded.instances, prompts, limits, strict=True)]
        able = [n for n, output in enumerate(outputs) if output.text is None and not output.problem]
        jobs = [Job(prompts[n], limits[n]) for n in able]
        folder, key = self.run.work / part, self._key(loaded)
        batches = list(enumerate(self.generator.batches(jobs)))
        kept = {number: read_batch(folder, key, number, len(batch)) for number, batch in batches}
        missing = sum(len(batch) for number, batch in batches if kept[number] is None)
        with enough_memory(_FULL.format(self.generator.budget, max(1, self.generator.budget // 4))):
            shared = self.generator.shared([j.prompt for j in jobs]) if missing else None
            self.observer.stage(part, missing, "sentences")
            for number, batch in batches:
                rows = kept[number]
                if rows is None:
                    rows = self._batch([jobs[b] for b in batch], shared)
                    save_batch(folder, key, number, rows)
                    self.observer.advance(len(batch))
                for place, row in zip(batch, rows, strict=True):
                    outputs[able[place]] = Output(*row)
        return outputs

    def _batch(self, jobs: Sequence[Job], shared: Any) -> list[list[Any]]:
        written = self.generator.run(jobs, shared)
        rows = []
        for job, one in zip(jobs, written, strict=True):
            broken = one.stop == "nonfinite"
            text = None if broken else self.generator.text(one)
            problem = "nonfinite" if broken else ""
            rows.append(list(Output(text, one.stop, len(one.tokens), len(job.prompt), job.limit, problem)))
        return rows

    def _key(self, loaded: tasks.Loaded) -> str:
        """What a batch was computed from; another key means another computation."""
        made_of = [SCHEMA_VERSION, _without_scores(self.run), content_digest(loaded.instances)]
        made_of += [self.execution.batch_tokens, self.execution.generation]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def _scored_otherwise(self, part: str, loaded: tasks.Loaded) -> list[Output] | None:
        """The outputs of a run that differs in nothing but its scores, so that they are not generated again."""
        for other in list_runs(self.run.folder.parent, "translation")[0]:
            if other.run_id == self.run.run_id or _without_scores(other) != _without_scores(self.run):
                continue
            manifest = other.manifest(part)
            if manifest is not None and manifest.content_digest == content_digest(loaded.instances):
                table = parts.read_table(other, part, "translations.parquet").to_pylist()
                self.observer.say(f"{part}: the translations of {other.run_id} are scored anew")
                return [_output(row) for row in table]
        return None

    def _tell(
        self, part: str, instances: Sequence[Instance], outputs: Sequence[Output], columns: dict[str, Any]
    ) -> None:
        """Says which sentences have something wrong with them, each once, by the gravest."""
        told: dict[str, list[str]] = {}
        flags = [columns[name].to_pylist() for name in ("wrong_script", "off_target")]
        for instance, output, *wrong in zip(instances, outputs, *flags, strict=True):
            what = self._fault(instance, output) or next((w for w, one in zip(_WRONG, wrong, strict=True) if one), "")
            if what:
                told.setdefault(what, []).append(instance.instance_id)
        for what, names in told.items():
            few = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
            self.observer.say(f"{part}: {len(names)} of {len(outputs)} sentences {what}: {few}")

    def _fault(self, instance: Instance, output: Output) -> str:
        """What is wrong with how a sentence was run; nothing where it was translated, scored and ended by itself."""
        advice = ": use fewer --shots" if self.plan.spec.shots else ""
        if output.problem:
            return f"are left out ({output.problem}{advice if output.problem == 'too long' else ''})"
        if not instance.continuations[0]:
            return "are translated but not scored (empty reference)"
        if output.stop != "length":
            return ""
        if output.limit < most_tokens(instance.premise, self.plan.how.length_ratio):
            return f"are cut at the end of the model's {self.plan.model.max_length} tokens{advice}"
        return "reached the length limit and are cut"


_WRONG = ("have an output in another script than the language's", "have an output in another language")
"""Of the flags wrong_script and off_target."""


def _unfit(instance: Instance, prompt: Tokens, limit: int) -> Output:
    """The output of a sentence before it is run: with a problem where it cannot be."""
    if not instance.premise:
        return Output(None, "", 0, 0, 0, "empty source")
    return Output(None, "", 0, len(prompt), max(limit, 0), "too long" if limit < 1 else "")


def _output(row: dict[str, Any]) -> Output:
    """An output as it was before it was scored: a text that was only not scored has no problem of its own."""
    output = Output(*(row[name] for name in ("output", *Output._fields[1:])))
    return output if output.text is None else output._replace(problem="")


def _without_scores(run: Run) -> str:
    """Digest of everything that can change an output."""
    how = run.spec.translation
    return replace(run.spec, translation=replace(how, bleu="") if how else None).digest
