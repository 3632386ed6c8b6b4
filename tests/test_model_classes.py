"""Tiny random models of many classes: is the fast pass right, and is a model that it is wrong for found out?"""

import dataclasses

import numpy as np
import pytest
import torch
import transformers
from conftest import byte_tokenizer, tiny_llama
from model_classes import CLASSES, COMMON, WINDOWED, longrope, random_model

from crossalign.forward import agreement
from crossalign.forward.agreement import choose_trees, reference
from crossalign.forward.encoding import Encoder
from crossalign.forward.texts import requests_of, tokenized
from crossalign.models import LanguageModel, describe
from crossalign.schema import POOLINGS, Instance, UserError

PASSAGE = "The man walked along the river and it rained all day."
SHOTS = "Question: is water wet? Answer: yes. Question: is fire cold? Answer: no. "

WITHOUT_TREES = ("bloom", "mamba")
"""One counts positions from a mask of two dimensions, the other has no attention at all."""


def _question(context: str, options: tuple[str, ...], prompt: str = "") -> Instance:
    return Instance("q", "g", context, context, options, 0, prompt or context, options)


QUESTIONS = [
    _question(PASSAGE, ("He opened his umbrella.", "He fell asleep.")),
    _question("She was late", ("so she ran.", "so."), f"{SHOTS}She was late"),
    _question("It was cold", ("and dark.", "again."), f"{SHOTS}It was cold"),
]


def _difference(
    model: LanguageModel, questions, with_trees: bool, batch_tokens: int, use_prefix: bool = False
) -> float:
    """Largest difference of a state or log-likelihood to plain single-text passes; NaN counts as infinitely far."""
    texts = tokenized(questions, model.tokenize)
    requests = [r for i, one in enumerate(texts) for r in requests_of(one, i, model.max_length)[0]]
    encoder = Encoder(model, POOLINGS, batch_tokens, with_trees)
    prefix = encoder.prefix(requests) if use_prefix else None
    assert not use_prefix or prefix is not None
    got = encoder.encode(requests, 3 * len(questions), 2 * len(questions), prefix)
    expected = reference(model, POOLINGS, requests, 3 * len(questions), 2 * len(questions))
    pairs = [(got.logliks, expected.logliks)] + [(got.pooled[p], expected.pooled[p]) for p in POOLINGS]
    return max(float(np.nan_to_num(np.abs(a - b), nan=np.inf).max()) for a, b in pairs)


@pytest.mark.parametrize("name", CLASSES)
def test_trees_are_chosen_where_a_model_takes_them_and_the_numbers_are_those_of_single_texts(name):
    model = random_model(name)
    with_trees, why = choose_trees(model, POOLINGS, tokenized(QUESTIONS, model.tokenize))
    assert with_trees == (name not in WITHOUT_TREES), why
    for batch_tokens in (1, 512, 100_000):
        assert _difference(model, QUESTIONS, with_trees, batch_tokens) < 1e-3
    if with_trees:
        assert _difference(model, QUESTIONS, with_trees, 100_000, use_prefix=True) < 1e-3


def test_that_trees_may_share_a_row_is_found_out_though_those_of_the_sample_need_not():
    """Sentences of one length are a batch without padding, each a row of its own; others of the run share one."""
    sentences = [_question(text, ()) for text in ("A cat sat.", "A dog ran.", "It rained.")]
    for name, taken in (("bloom", False), ("llama", True)):
        model = random_model(name)
        assert choose_trees(model, POOLINGS, tokenized(sentences, model.tokenize))[0] is taken


@pytest.mark.parametrize(("tokens", "instances"), [(1, 1), (400, 2), (1500, 3)])
def test_instances_are_compared_until_there_are_enough_tokens(monkeypatch, tokens, instances):
    model, compared = random_model("llama"), []
    texts = tokenized(QUESTIONS, model.tokenize)
    sizes = [sum(len(r.run) for r in requests_of(t, i, 512)[0]) for i, t in enumerate(texts)]
    assert sizes[0] < 400 < sizes[0] + sizes[1] and sum(sizes) < 1500

    def counting(model, poolings, requests, *sizes):
        compared.append(sum(len(r.run) for r in requests))
        return reference(model, poolings, requests, *sizes)

    monkeypatch.setattr(agreement, "reference", counting)
    monkeypatch.setattr(agreement, "CHECKED_TOKENS", tokens)
    assert choose_trees(model, POOLINGS, texts)[0]
    assert compared == [sum(sizes[:instances])]


@pytest.mark.parametrize("name", WINDOWED)
@pytest.mark.parametrize("batch_tokens", [1, 100_000])
def test_texts_beyond_a_sliding_window_fall_back_by_themselves(name, batch_tokens):
    """The first question's texts are 54 to 78 tokens long; the others fit into the window of 48 and stay trees."""
    model = random_model(name, sliding_window=48)
    assert model.window == 48
    questions = [QUESTIONS[0], *[_question("She was so late again", ("so she ran.", "so she sat."))] * 2]
    assert _difference(model, questions, True, batch_tokens) < 1e-3
    whole = Encoder(model, POOLINGS, batch_tokens, True)
    texts = tokenized(questions[1:], model.tokenize)
    requests = [r for i, one in enumerate(texts) for r in requests_of(one, i, 512)[0]]
    separate = sum(len(r.run) for r in requests)
    assert whole.encode(requests, 6, 4).tokens[0] < separate


@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_does_not_keep_a_model_from_trees(name):
    """Long and short texts in one sample: the long ones are run apart, so the pass as a whole is right."""
    model = random_model(name, sliding_window=64)
    questions = [QUESTIONS[0], _question("She was late", ("so she ran.", "so."))]
    with_trees, why = choose_trees(model, POOLINGS, tokenized(questions, model.tokenize))
    assert with_trees, why


@pytest.mark.parametrize("name", WINDOWED)
def test_prompts_beyond_a_sliding_window_have_no_prefix(name):
    model = random_model(name, sliding_window=48)
    texts = tokenized(QUESTIONS[1:], model.tokenize)
    flat = [r for i, one in enumerate(texts) for r in requests_of(one, i, 512)[0]]
    assert Encoder(model, POOLINGS, 1000, True).prefix(flat) is None
    assert Encoder(random_model(name), POOLINGS, 1000, True).prefix(flat) is not None


def test_local_attention_that_the_config_names_otherwise_is_not_missed():
    """GPT-Neo has a window that is not called sliding_window; a sample of short texts cannot show it."""
    settings = {"num_layers": 2, "num_hidden_layers": 2, "num_heads": 4, "window_size": 16}
    config = transformers.GPTNeoConfig(**(COMMON | settings | {"attention_types": [[["global", "local"], 1]]}))
    torch.manual_seed(0)
    model = describe(transformers.GPTNeoForCausalLM(config).eval(), byte_tokenizer(), "float32")
    with_trees, _ = choose_trees(model, POOLINGS, tokenized([_question("a", ("bc", "x"))], model.tokenize))
    assert _difference(model, QUESTIONS, with_trees, 1000) < 1e-3


def test_a_model_whose_last_state_has_another_width_is_refused_in_a_sentence():
    """OPT-350m projects its last state to the width of the embeddings, so there is no one hidden size."""
    model = random_model("opt", word_embed_proj_dim=16)
    with pytest.raises(UserError):
        choose_trees(model, POOLINGS, tokenized(QUESTIONS, model.tokenize))


def _bent(forward_inputs=None, change_output=None) -> LanguageModel:
    """A Llama whose decoder treats its inputs or its states in a way of its own."""
    model = tiny_llama()
    decoder = model.get_decoder()
    plain = decoder.forward

    def forward(*args, **inputs):
        if forward_inputs:
            inputs = forward_inputs(dict(inputs))
        output = plain(*args, **inputs)
        return change_output(output, inputs) if change_output else output

    decoder.forward = forward
    return describe(model, byte_tokenizer(), "float32")


def _is_tree(inputs) -> bool:
    return inputs.get("attention_mask") is not None and inputs["attention_mask"].dim() == 4


def _refuse_trees(inputs):
    if _is_tree(inputs):
        raise ValueError("masks have two dimensions here")
    return inputs


BENT = {
    "ignores the mask": lambda inputs: inputs | {"attention_mask": None} if _is_tree(inputs) else inputs,
    "ignores the positions": lambda inputs: inputs | {"position_ids": None} if _is_tree(inputs) else inputs,
    "refuses the mask": _refuse_trees,
}


@pytest.mark.parametrize("how", BENT)
def test_a_model_that_trees_are_wrong_for_falls_back_to_plain_batches(how):
    model = _bent(BENT[how])
    with_trees, why = choose_trees(model, POOLINGS, tokenized(QUESTIONS, model.tokenize))
    assert not with_trees
    assert ("refused" in why) == (how == "refuses the mask")
    assert "plain batches agree" in why
    assert _difference(model, QUESTIONS, with_trees, 500) < 1e-3


def test_a_model_that_a_prefix_is_wrong_for_is_found_out():
    """Its trees are right, but it does not look at keys and values that were computed before."""
    model = _bent(lambda inputs: inputs | {"past_key_values": None, "attention_mask": _own_tokens(inputs)})
    with_trees, _ = choose_trees(model, POOLINGS, tokenized(QUESTIONS, model.tokenize))
    texts = tokenized(QUESTIONS[1:], model.tokenize)
    requests = [r for i, one in enumerate(texts) for r in requests_of(one, i, model.max_length)[0]]
    encoder = Encoder(model, POOLINGS, 1000, with_trees)
    got = encoder.encode(requests, 6, 4, encoder.prefix(requests))
    np.testing.assert_allclose(got.logliks, reference(model, POOLINGS, requests, 6, 4).logliks, atol=1e-3)


def _own_tokens(inputs):
    """The mask without the columns of the cache."""
    mask = inputs.get("attention_mask")
    return mask[..., -inputs["input_ids"].shape[1] :] if _is_tree(inputs) else mask


def _other_under_a_mask(factor: float):
    """States are multiplied where a mask comes with the tokens, as it does in batches and trees."""

    def change(output, inputs):
        if inputs.get("attention_mask") is not None:
            output.last_hidden_state = output.last_hidden_state * factor
            output.hidden_states = tuple(s * factor for s in output.hidden_states or ())
        return output

    return change


SENTENCES = [Instance(str(i), "g", f"{PASSAGE} {i}") for i in range(3)]


@pytest.mark.parametrize("texts", [QUESTIONS, SENTENCES], ids=["questions", "sentences"])
@pytest.mark.parametrize("factor", [1.1, float("nan")], ids=["other numbers", "NaN"])
def test_a_model_for_which_nothing_agrees_is_refused(factor, texts):
    model = _bent(change_output=_other_under_a_mask(factor))
    with pytest.raises(UserError, match="single texts"):
        choose_trees(model, POOLINGS, tokenized(texts, model.tokenize))


def test_trees_that_could_not_be_compared_are_not_used():
    model = dataclasses.replace(random_model("llama"), max_length=2)
    assert not choose_trees(model, POOLINGS, tokenized(QUESTIONS, model.tokenize))[0]
    assert not choose_trees(model, POOLINGS, [])[0]


def test_a_full_memory_is_no_disagreement(monkeypatch):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("out of memory")

    model = random_model("llama")
    monkeypatch.setattr(Encoder, "encode", fail)
    with pytest.raises(torch.OutOfMemoryError):
        choose_trees(model, POOLINGS, tokenized(QUESTIONS, model.tokenize))


HYBRID = {"num_key_value_heads": 2, "head_dim": 16, "hidden_size": 64}
LINEAR = {
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Lfm2", {"num_key_value_heads": 2, "layer_types": ["conv", "full_attention", "conv"]}),
        (
            "Qwen3Next",
            HYBRID | LINEAR | {"num_experts": 0, "layer_types": ["linear_attention"] * 2 + ["full_attention"]},
        ),
    ],
)
def test_layers_that_carry_a_state_take_no_trees_however_little_the_sample_shows(name, settings):
    """In bfloat16 the tolerance is wide enough for a wrong tree to pass."""
    config = getattr(transformers, f"{name}Config")(**COMMON | settings)
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForCausalLM")(config).to(torch.bfloat16).eval()
    described = describe(model, byte_tokenizer(), "bfloat16")
    assert not choose_trees(described, POOLINGS, tokenized(QUESTIONS, described.tokenize))[0]


@pytest.mark.parametrize("with_trees", [True, False])
@pytest.mark.parametrize("shots", ["", SHOTS])
def test_long_texts_leave_the_position_factors_of_short_ones_alone(with_trees, shots):
    model = longrope()
    assert (model.short_length, random_model("phi3").short_length) == (64, None)
    questions = [_question("Is it?", ("Yes", "No")), _question(PASSAGE * 2, ("Yes it is.", "No"))]
    if shots:
        questions = [dataclasses.replace(q, prompt=f"{shots[:40]}{q.prompt}") for q in questions]
    assert _difference(model, questions, with_trees, 1000) < 1e-3


def test_a_decoder_may_have_another_number_of_layers_than_its_encoder():
    shape = {
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 3,
        "decoder_ffn_dim": 64,
        "decoder_attention_heads": 4,
    }
    model = transformers.BartForCausalLM(transformers.BartConfig(**COMMON | shape, is_decoder=True)).eval()
    described = describe(model, byte_tokenizer(), "float32")
    assert described.n_layers == 3
    choose_trees(described, POOLINGS, tokenized(QUESTIONS, described.tokenize))


def test_half_precision_agrees_with_its_own_single_texts():
    model = describe(tiny_llama().to(torch.bfloat16), byte_tokenizer(), "bfloat16")
    with_trees, why = choose_trees(model, POOLINGS, tokenized(QUESTIONS, model.tokenize))
    assert with_trees, why
