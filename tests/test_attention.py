"""Faster attention gives the same numbers, for the models that it is meant for, and is gone afterwards."""

import sys

import pytest
import torch
import transformers
from conftest import tiny_llama

from crossalign.forward.attention import ROTATION, rotated_in_place, without_later_keys

SIZES = {"vocab_size": 99, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}


@pytest.mark.parametrize("length", [64, 65, 97, 128, 150])
def test_skipping_later_keys_gives_the_same_attention(length):
    torch.manual_seed(length)
    query, key, value = (torch.randn(2, 3, length, 8) for _ in range(3))
    allowed = torch.rand(2, 1, length, length).gt(0.4).tril() | torch.eye(length, dtype=torch.bool)
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    original = torch.nn.functional.scaled_dot_product_attention
    expected = original(query, key, value, attn_mask=mask)
    with without_later_keys():
        patched = torch.nn.functional.scaled_dot_product_attention
        got = patched(query, key, value, attn_mask=mask)
        causal = patched(query, key, value, is_causal=True)
    assert patched is not original
    assert torch.nn.functional.scaled_dot_product_attention is original
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(causal, original(query, key, value, is_causal=True))


def test_attention_is_itself_again_after_an_error():
    original = torch.nn.functional.scaled_dot_product_attention
    with pytest.raises(RuntimeError, match="stop"), without_later_keys():
        raise RuntimeError("stop")
    assert torch.nn.functional.scaled_dot_product_attention is original


def tiny(name, **settings):
    torch.manual_seed(7)
    config = getattr(transformers, f"{name}Config")(**SIZES, pad_token_id=0, **settings)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


def rotation_of(model):
    return getattr(sys.modules[type(model).__module__], ROTATION)


FEW_KEYS = {"num_key_value_heads": 2, "head_dim": 8}
ROTATED = [
    ("Llama", FEW_KEYS, True),
    ("Qwen3", FEW_KEYS, True),
    ("Gemma2", FEW_KEYS, True),
    ("Mistral", FEW_KEYS, True),
    ("GPTNeoX", {}, True),
    ("Phi3", {"num_key_value_heads": 2, "partial_rotary_factor": 0.5}, True),
    ("Cohere", {"num_key_value_heads": 2}, False),
]


@pytest.mark.parametrize(("name", "settings", "quicker"), ROTATED)
def test_positions_rotated_in_place_give_the_same_states(name, settings, quicker):
    """Cohere rotates neighbours, not halves; GPT-NeoX and Phi rotate a part of each head."""
    model, original = tiny(name, **settings), None
    ids = torch.arange(3, 43).reshape(2, 20)
    positions = torch.arange(20).roll(3).expand(2, -1)
    original = rotation_of(model)
    with torch.inference_mode():
        before = model(ids, position_ids=positions, output_hidden_states=True)
        with rotated_in_place(model):
            assert (rotation_of(model) is not original) is quicker
            after = model(ids, position_ids=positions, output_hidden_states=True)
    assert rotation_of(model) is original
    for a, b in zip((*before.hidden_states, before.logits), (*after.hidden_states, after.logits), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("axis", "shape"), [(1, (2, 3, 5, 8)), (2, (2, 5, 3, 8))])
def test_angles_may_differ_between_the_halves_of_a_head_and_heads_stand_on_either_axis(axis, shape):
    """A check against the definition: every pair (first half, second half) is rotated by its own angle."""
    model = tiny_llama()
    torch.manual_seed(3)
    q, k, cos, sin = torch.randn(shape), torch.randn(shape), torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    kept = q.clone()
    with rotated_in_place(model):
        rotated, _ = rotation_of(model)(q, k, cos, sin, unsqueeze_dim=axis)
    for batch, head, token, place in torch.cartesian_prod(*map(torch.arange, (2, 3, 5, 8))).tolist():
        at = (batch, head, token) if axis == 1 else (batch, token, head)
        other = -q[(*at, place + 4)] if place < 4 else q[(*at, place - 4)]
        expected = q[(*at, place)] * cos[batch, token, place] + other * sin[batch, token, place]
        torch.testing.assert_close(rotated[(*at, place)], expected)
    assert torch.equal(q, kept)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_are_rotated_by_the_models_own_function(dtype):
    model = tiny_llama()
    q, k, cos, sin = (torch.randn(1, 2, 5, 8).to(dtype) for _ in range(4))
    expected = rotation_of(model)(q, k, cos[:, 0], sin[:, 0])
    with rotated_in_place(model):
        got = rotation_of(model)(q, k, cos[:, 0], sin[:, 0])
    assert all(torch.equal(a, b) and a.dtype == dtype for a, b in zip(got, expected, strict=True))


def test_a_function_with_other_arguments_or_another_result_stays(monkeypatch):
    model = tiny_llama()
    home, original = sys.modules[type(model).__module__], rotation_of(model)
    for other in (lambda q, k, cos, sin: original(q, k, cos, sin), lambda q, k, cos, sin, unsqueeze_dim=1: (q, k)):
        monkeypatch.setattr(home, ROTATION, other)
        with rotated_in_place(model):
            assert rotation_of(model) is other


def test_positions_are_rotated_as_before_after_an_error():
    model = tiny_llama()
    original = rotation_of(model)
    with pytest.raises(RuntimeError, match="stop"), rotated_in_place(model):
        assert rotation_of(model) is not original
        raise RuntimeError("stop")
    assert rotation_of(model) is original
