"""How much faster than transformers' own batched `generate`? The same prompts, the same stopping rule, both in one process.

    python benchmarks/translate.py --model FOLDER --data DIR --language spa_Latn --limit 32 --shots 5

Both sides get the same token ids; `generate` runs them sorted by length, in left-padded batches, with every token that
holds a newline as an end. Make a model with `bench_model.py`: its weights are random, so it never stops by itself, and
every row runs to its limit, which leaves out what dropping finished rows saves. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from transformers import GenerationConfig

from crossalign.forward.generation import Generated, Generator, Job
from crossalign.forward.generation_check import choose_way
from crossalign.forward.kernels import keep_heap
from crossalign.models import LanguageModel, load
from crossalign.translation.computation import CPU_TOKENS, GPU_TOKENS
from crossalign.translation.planning import TranslationRequest, plan_translation
from crossalign.translation.prompts import direction_of, most_tokens

Result = TypeVar("Result")


def ours(generator: Generator, jobs: Sequence[Job]) -> list[Generated]:
    """All prompts as a run does them, the shared beginning included."""
    shared = generator.shared([j.prompt for j in jobs])
    results: dict[int, Generated] = {}
    for batch in generator.batches(jobs):
        results |= dict(zip(batch, generator.run([jobs[i] for i in batch], shared), strict=True))
    return [results[i] for i in range(len(jobs))]


@torch.inference_mode()
def theirs(model: LanguageModel, jobs: Sequence[Job], stops: list[int], size: int) -> list[tuple[int, ...]]:
    """transformers' `generate` on left-padded batches; a batch runs to the largest limit in it, then is cut."""
    order = sorted(range(len(jobs)), key=lambda i: -len(jobs[i].prompt))
    results: dict[int, tuple[int, ...]] = {}
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        width = max(len(jobs[i].prompt) for i in batch)
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(batch):
            prompt = jobs[i].prompt
            ids[row, width - len(prompt) :], mask[row, width - len(prompt) :] = torch.tensor(prompt), 1
        limit = max(jobs[i].limit for i in batch)
        settings = GenerationConfig(do_sample=False, eos_token_id=stops, pad_token_id=0, max_new_tokens=limit)
        written = model.model.generate(
            ids.to(model.device), attention_mask=mask.to(model.device), generation_config=settings
        )
        for row, i in enumerate(batch):
            results[i] = tuple(written[row, width:].tolist()[: jobs[i].limit])
    return [results[i] for i in range(len(jobs))]


def timed(work: Callable[[], Result]) -> tuple[Result, tuple[float, float]]:
    """The result, wall seconds, and processor seconds of this process (which other work disturbs less)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def main() -> None:
    """Prints seconds, tokens per second and the share of identical outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--language", default="spa_Latn")
    parser.add_argument("--limit", type=int, default=32)
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--ratio", type=float, default=0.25, help="tokens per character of the source, at most")
    parser.add_argument("--batch", type=int, default=16, help="rows of a batch of generate")
    parser.add_argument("--batch-tokens", type=int)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    request = TranslationRequest(
        options.model, "flores", (options.language,), data=options.data, limit=options.limit, shots=options.shots,
        direction="en-xx", shots_from="test", prompt="plain",
    )  # fmt: skip
    planned = plan_translation(request)
    part = planned.languages[0]
    model = load(options.model, planned.spec.dtype, planned.device)
    instances = planned.load(part).instances
    jobs = [
        Job(prompt, most_tokens(i.premise, options.ratio))
        for prompt, i in zip(model.tokenize([i.prompt for i in instances]), instances, strict=True)
    ]
    lengths = sorted(jobs, key=lambda j: len(j.prompt))
    if planned.spec.device == "cpu":
        keep_heap()
    way, why = choose_way(model, [lengths[0].prompt, lengths[len(lengths) // 2].prompt, lengths[-1].prompt])
    budget = options.batch_tokens or (CPU_TOKENS if planned.spec.device == "cpu" else GPU_TOKENS)
    generator = Generator(model, budget, way)
    stops = [*generator.ends, *(i for i in range(len(model.tokenizer)) if generator.has_newline(i))]
    mine, my_seconds = timed(lambda: ours(generator, jobs))
    peers, their_seconds = timed(lambda: theirs(model, jobs, stops, options.batch))
    tokens = sum(len(one.tokens) for one in mine)
    same = sum(other[: len(one.tokens)] == one.tokens for one, other in zip(mine, peers, strict=True))
    print(f"{direction_of(part)}: {len(jobs)} prompts, {sum(len(j.prompt) for j in jobs)} tokens, {tokens} written")
    print(f"way: {way} ({why})")
    for name, (wall, cpu) in (("crossalign", my_seconds), (f"generate, {options.batch} rows", their_seconds)):
        print(f"  {name:20} {wall:8.1f} s  {cpu:8.1f} s of processor time  {tokens / wall:8.0f} tokens/s")
    ratios = [theirs / mine for mine, theirs in zip(my_seconds, their_seconds, strict=True)]
    print(f"  ratio {ratios[0]:.1f} x ({ratios[1]:.1f} x by processor time), identical outputs {same} of {len(jobs)}")


if __name__ == "__main__":
    main()
