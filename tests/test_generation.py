"""Generation: the outputs of transformers' own `generate`, whatever the batch, the window, the class of model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import transformers
from conftest import byte_tokenizer, tiny_llama
from model_classes import CLASSES, COMMON, WINDOWED, longrope, random_model
from transformers import GenerationConfig

from crossalign.forward.generation import Generated, Generator, Job, shared_length
from crossalign.forward.generation_check import choose_way, reference
from crossalign.models import LanguageModel, describe

SHOTS = "English: The cat sat on the mat.\nSpanish: El gato.\n\n"
SOURCES = ["Water.", "The dog ran across the wide road today", "Hi", "One two three four", "A", "Nothing is better."]
NEWLINES = frozenset(range(6, 259, 9))
"""Ids that count as newlines here, so that random models stop at different times."""


def jobs_of(model: LanguageModel) -> list[Job]:
    prompts = model.tokenize([f"{SHOTS}English: {s}\nSpanish:" for s in SOURCES])
    return [Job(p, 6 + 5 * i) for i, p in enumerate(prompts)]


def generator_of(model: LanguageModel, budget: int = 10_000, way: str = "shared") -> Generator:
    generator = Generator(model, budget, way)
    generator._newlines = {i: i in NEWLINES for i in range(259)}
    return generator


def generated(generator: Generator, jobs: Sequence[Job]) -> list[Generated]:
    shared = generator.shared([j.prompt for j in jobs])
    results: dict[int, Generated] = {}
    for batch in generator.batches(jobs):
        results |= dict(zip(batch, generator.run([jobs[i] for i in batch], shared), strict=True))
    return [results[i] for i in range(len(jobs))]


@torch.inference_mode()
def transformers_generate(model: LanguageModel, jobs: Sequence[Job], stops: Sequence[int]) -> list[tuple[int, ...]]:
    """One left-padded batch of transformers' `generate`; what comes after the end or the limit is cut."""
    width = max(len(j.prompt) for j in jobs)
    ids, mask = torch.zeros(2, len(jobs), width, dtype=torch.long)
    for row, job in enumerate(jobs):
        ids[row, width - len(job.prompt) :], mask[row, width - len(job.prompt) :] = torch.tensor(job.prompt), 1
    settings = GenerationConfig(
        do_sample=False, eos_token_id=list(stops), pad_token_id=0, max_new_tokens=max(j.limit for j in jobs)
    )
    written = model.model.generate(ids, attention_mask=mask, generation_config=settings)[:, width:].tolist()
    results = []
    for row, job in zip(written, jobs, strict=True):
        end = next((n for n, token in enumerate(row) if token in stops), len(row))
        with_end = row[: end + (end < len(row) and row[end] in NEWLINES)]
        results.append(tuple(with_end[: job.limit]))
    return results


@pytest.mark.parametrize("name", CLASSES)
def test_outputs_are_those_of_transformers_generate(name: str) -> None:
    model = random_model(name)
    jobs = jobs_of(model)
    way, why = choose_way(model, [j.prompt for j in jobs[:3]])
    assert way == ("single" if name == "mamba" else "shared"), why
    generator = generator_of(model, way=way)
    got = generated(generator, jobs)
    if name == "mamba":  # its batches depend on their padding, also in transformers
        expected = [transformers_generate(model, [j], [*generator.ends, *NEWLINES])[0] for j in jobs]
    else:
        expected = transformers_generate(model, jobs, [*generator.ends, *NEWLINES])
    assert [one.tokens for one in got] == expected
    assert len({len(one.tokens) for one in got}) > 2, "rows stop alike: a weak test"


@pytest.mark.parametrize("name", WINDOWED)
@pytest.mark.parametrize("window", [48, 100, 130])
def test_sliding_windows_shorter_than_the_prompt_or_reached_while_writing(name: str, window: int) -> None:
    model = random_model(name, sliding_window=window)
    generator, jobs = generator_of(model), jobs_of(model)
    expected = transformers_generate(model, jobs, [*generator.ends, *NEWLINES])
    assert [one.tokens for one in generated(generator, jobs)] == expected


@pytest.mark.parametrize("budget", [1, 200, 400, 10_000])
@pytest.mark.parametrize("way", ["shared", "batches", "single"])
def test_neither_the_batches_nor_the_way_change_an_output(tiny_model: LanguageModel, budget: int, way: str) -> None:
    jobs = jobs_of(tiny_model)
    alone = [generated(generator_of(tiny_model, 1, "batches"), [job])[0] for job in jobs]
    assert generated(generator_of(tiny_model, budget, way), jobs) == alone


def test_every_output_is_the_greedy_one_by_plain_passes(tiny_model: LanguageModel) -> None:
    jobs = jobs_of(tiny_model)
    for job, one in zip(jobs, generated(generator_of(tiny_model), jobs), strict=True):
        tokens, _ = reference(tiny_model, job.prompt, max(1, len(one.tokens)))
        assert tokens[: len(one.tokens)] == one.tokens


def test_why_a_row_stops(tiny_model: LanguageModel) -> None:
    (job,) = jobs_of(tiny_model)[3:4]
    tokens, _ = reference(tiny_model, job.prompt, 5)
    assert len(set(tokens)) == 5, "choose another sentence: the steps must differ"
    generator = Generator(tiny_model, 10_000, "batches")
    generator._newlines = dict.fromkeys(range(259), False)
    assert generator.run([job._replace(limit=3)]) == [Generated(tokens[:3], "length")]
    generator._newlines[tokens[3]] = True
    assert generator.run([job._replace(limit=5)]) == [Generated(tokens[:4], "newline")]
    generator.ends = frozenset({tokens[2]})
    assert generator.run([job._replace(limit=5)]) == [Generated(tokens[:2], "end")]


def test_batches_hold_every_job_once_and_keep_to_the_budget(tiny_model: LanguageModel) -> None:
    jobs = [Job((1,) * (10 + i * 7 % 40), 5 + i % 9) for i in range(60)]
    for budget in (1, 100, 300, 5000):
        batches = Generator(tiny_model, budget).batches(jobs)
        assert sorted(i for b in batches for i in b) == list(range(60))
        for batch in batches:
            size = max(len(jobs[i].prompt) for i in batch) + max(jobs[i].limit for i in batch)
            assert len(batch) == 1 or len(batch) * size <= budget


def test_the_shared_beginning_leaves_a_token_to_every_prompt() -> None:
    assert shared_length([(1, 2, 3), (1, 2, 4)]) == 2
    assert shared_length([(1, 2), (1, 2, 4)]) == 1
    assert shared_length([(1, 2, 3), (1, 2, 3)]) == 2
    assert shared_length([(1,), (2,)]) == 0
    assert shared_length([(1, 2, 3)]) == 0


def test_the_text_is_the_first_line(tiny_model: LanguageModel) -> None:
    generator = Generator(tiny_model, 1)
    ids = tiny_model.tokenizer(" Hola.\n\nEnglish:", add_special_tokens=False)["input_ids"]
    assert generator.text(Generated(tuple(ids), "newline")) == "Hola."
    assert generator.text(Generated((*ids[:3], 2), "end")) == "Ho"
    assert generator.text(Generated((), "end")) == ""
    assert generator.has_newline(ids[6]) and not generator.has_newline(ids[5])


def test_logits_that_are_not_finite_stop_their_row_only() -> None:
    model = describe(tiny_llama(), byte_tokenizer(), "float32")
    with torch.no_grad():
        model.model.model.embed_tokens.weight[3 + 200] = torch.nan
    jobs = jobs_of(model)[:3]
    broken = [jobs[0], jobs[1]._replace(prompt=(*jobs[1].prompt[:-1], 3 + 200)), jobs[2]]
    expected = generated(generator_of(model, way="batches"), jobs)
    got = generated(generator_of(model), broken)
    assert got[1] == Generated((), "nonfinite")
    assert (got[0], got[2]) == (expected[0], expected[2])


def test_a_row_at_the_end_of_the_models_positions_disturbs_nobody() -> None:
    model = random_model("gpt2", n_positions=64)
    jobs = [Job(tuple(range(100, 160)), 4), *(Job(tuple(range(100 + i, 130 + i)), 30) for i in range(9))]
    alone = [generated(generator_of(model, way="batches"), [job])[0] for job in jobs]
    assert generated(generator_of(model, way="batches"), jobs) == alone


def test_local_attention_that_the_config_names_otherwise_is_not_padded() -> None:
    settings = {"num_layers": 2, "num_hidden_layers": 2, "num_heads": 4, "window_size": 48}
    config = transformers.GPTNeoConfig(**COMMON | settings, attention_types=[[["global", "local"], 1]])
    torch.manual_seed(0)
    model = describe(transformers.GPTNeoForCausalLM(config).eval(), byte_tokenizer(), "float32")
    generator, jobs = generator_of(model), jobs_of(model)
    assert [one.tokens for one in generated(generator, jobs)] == transformers_generate(
        model, jobs, [*generator.ends, *NEWLINES]
    )


def test_texts_that_outgrow_their_position_factors_are_those_of_transformers_alone() -> None:
    model = longrope()
    jobs = [Job(tuple(range(100, 130)), 10), Job(tuple(range(100, 160)), 12), Job(tuple(range(100, 190)), 8)]
    generator = generator_of(model)
    expected = [transformers_generate(model, [job], [*generator.ends, *NEWLINES])[0] for job in jobs]
    assert [one.tokens for one in generated(generator, jobs)] == expected


def test_settings_of_the_model_change_nothing(tiny_model: LanguageModel) -> None:
    model = describe(tiny_llama(), byte_tokenizer(), "float32")
    model.model.generation_config.repetition_penalty, model.model.generation_config.no_repeat_ngram_size = 3.0, 2
    jobs = jobs_of(tiny_model)
    assert generated(generator_of(model, way="single"), jobs) == generated(generator_of(tiny_model), jobs)
    assert model.model.generation_config.repetition_penalty == 3.0


@pytest.mark.parametrize("way", ["shared", "batches", "single"])
def test_logits_that_are_never_finite_are_no_translation(way: str) -> None:
    llama = tiny_llama()
    with torch.no_grad():
        llama.model.layers[1].mlp.down_proj.weight.fill_(float("nan"))
    model = describe(llama, byte_tokenizer(), "float32")
    assert {one.stop for one in generated(generator_of(model, way=way), jobs_of(model))} == {"nonfinite"}


def test_a_model_that_padding_changes_is_found_and_runs_alone() -> None:
    """Positions counted in the input, not among real tokens: batches of unequal prompts would be wrong."""

    model = describe(tiny_llama(), byte_tokenizer(), "float32")
    inner = model.model.forward

    def forward(input_ids, attention_mask=None, past_key_values=None, use_cache=None, **more):
        seen = past_key_values.get_seq_length() if past_key_values is not None else 0
        places = torch.arange(seen, seen + input_ids.shape[1])[None].expand(len(input_ids), -1)
        return inner(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=places * 7 % 50,
            past_key_values=past_key_values, use_cache=use_cache,
        )  # fmt: skip

    model.model.forward = forward
    way, why = choose_way(model, [j.prompt for j in jobs_of(model)[:3]])
    assert way == "single" and "differ" in why


def test_half_precision_is_compared_within_its_own_rounding() -> None:
    model = describe(tiny_llama().to(torch.bfloat16), byte_tokenizer(), "bfloat16")
    way, why = choose_way(model, [j.prompt for j in jobs_of(model)[:3]])
    assert way == "shared", why
