"""The output head by itself gives the model's own log-probabilities, by columns only where it is a linear layer."""

import pytest
import torch
from model_classes import CLASSES, random_model

from crossalign.forward import head as heads
from crossalign.forward.head import Head

OTHERWISE = {"gemma2", "cohere"}
"""One bounds its logits, the other scales them."""


def _decoded(model, n: int = 40):
    """A pass's output, its last states, and float64 log-probabilities by the model's own way."""
    ids = torch.randint(3, 259, (1, n), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        output = model.decoder(input_ids=ids, use_cache=False)
        whole = model.model(input_ids=ids, use_cache=False).logits[0].double().log_softmax(-1)
    return output, output.last_hidden_state[0], whole


def _pairs(n: int):
    """Some states twice and some not at all, with the first and the last token of the vocabulary, in no order."""
    made = torch.Generator().manual_seed(5)
    rows = torch.cat([torch.randint(0, n, (60,), generator=made), torch.tensor([0, n - 1])])
    return rows, torch.cat([torch.randint(0, 259, (60,), generator=made), torch.tensor([0, 258])])


def _logprobs(head: Head, output, states, rows, tokens):
    with torch.inference_mode(), head.alone():
        return head.logprobs(output, states, rows, tokens)


@pytest.fixture
def by_columns(monkeypatch):
    """Counts the blocks of states that go by columns."""
    sizes: list[int] = []
    original = heads._by_columns
    monkeypatch.setattr(heads, "_by_columns", lambda *given: sizes.append(len(given[1])) or original(*given))
    return sizes


@pytest.mark.parametrize("rows_at_once", [7, 512])
@pytest.mark.parametrize("columns_bytes", [1, 4 * 40 * 100, 1 << 22])
@pytest.mark.parametrize("name", ["llama", "phi", "gpt2"])
def test_blocks_of_any_size_give_the_log_probabilities_of_the_model(
    name, rows_at_once, columns_bytes, monkeypatch, by_columns
):
    monkeypatch.setattr(heads, "COLUMN_BYTES", columns_bytes)
    monkeypatch.setattr(heads, "COLUMN_ROWS", rows_at_once)
    model = random_model(name)
    if name == "phi":  # which has a bias
        torch.nn.init.normal_(model.model.lm_head.bias, generator=torch.Generator().manual_seed(1))
    output, states, whole = _decoded(model)
    rows, tokens = _pairs(len(states))
    got = _logprobs(Head(model.model, model.decoder), output, states, rows, tokens)
    torch.testing.assert_close(got, whole[rows, tokens], rtol=0, atol=2e-6)
    assert sum(by_columns) == len(states)
    assert max(by_columns) <= rows_at_once


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"mamba"}))
def test_only_a_head_that_is_a_linear_layer_goes_by_columns(name, by_columns):
    model = random_model(name)
    output, states, whole = _decoded(model)
    rows, tokens = _pairs(len(states))
    got = _logprobs(Head(model.model, model.decoder), output, states, rows, tokens)
    torch.testing.assert_close(got, whole[rows, tokens], rtol=0, atol=5e-6)
    assert bool(by_columns) == (name not in OTHERWISE)


def test_a_cap_that_small_logits_do_not_reach_is_seen(by_columns):
    model = random_model("gemma2", initializer_range=1e-4)
    output, states, _ = _decoded(model)
    _logprobs(Head(model.model, model.decoder), output, states, *_pairs(len(states)))
    assert not by_columns


def test_a_head_with_hooks_or_of_another_precision_is_called(by_columns):
    model = random_model("llama")
    output, states, _ = _decoded(model)
    seen: list[int] = []
    handle = model.model.lm_head.register_forward_hook(lambda *_: seen.append(1))
    _logprobs(Head(model.model, model.decoder), output, states, *_pairs(len(states)))
    assert seen and not by_columns
    handle.remove()
    half = model.model.to(torch.bfloat16)
    output, states, _ = _decoded(model)
    _logprobs(Head(half, model.decoder), output, states, *_pairs(len(states)))
    assert not by_columns


@pytest.mark.parametrize("impossible", [False, True])
def test_large_logits_and_impossible_tokens_are_no_trouble(impossible, monkeypatch, by_columns):
    monkeypatch.setattr(heads, "COLUMN_BYTES", 1 << 12)
    model = random_model("phi")
    with torch.no_grad():
        model.model.lm_head.weight *= 1e3
        if impossible:  # all of some blocks: minus infinity minus itself would be NaN
            model.model.lm_head.bias[50:200] = -torch.inf
    output, states, whole = _decoded(model)
    rows = torch.arange(len(states)).repeat_interleave(259)
    tokens = torch.arange(259).repeat(len(states))
    got = _logprobs(Head(model.model, model.decoder), output, states, rows, tokens)
    torch.testing.assert_close(got, whole[rows, tokens], rtol=1e-6, atol=1e-2)
    assert bool(by_columns) == (not impossible)
    assert torch.isneginf(got).any() == impossible


def test_a_state_that_is_undefined_leaves_the_others_as_they_are(by_columns):
    model = random_model("llama")
    output, states, whole = _decoded(model)
    rows, tokens = _pairs(len(states))
    states = states.clone()
    states[3] = torch.nan
    got = _logprobs(Head(model.model, model.decoder), output, states, rows, tokens)
    assert by_columns
    assert torch.equal(got.isnan(), rows == 3)
    torch.testing.assert_close(got[rows != 3], whole[rows, tokens][rows != 3], rtol=0, atol=2e-6)


def test_the_decoder_runs_as_ever_afterwards():
    model = random_model("llama")
    before = model.decoder.forward
    output, states, _ = _decoded(model)
    _logprobs(Head(model.model, model.decoder), output, states, *_pairs(len(states)))
    assert model.decoder.forward == before
    assert "forward" not in vars(model.decoder)
