"""Faster attention gives the same numbers, for the models that it is meant for, and is gone afterwards."""

import random
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from conftest import tiny_llama

from crossalign.forward import attention
from crossalign.forward.attention import (
    ROTATION,
    Block,
    blocks,
    in_blocks,
    rotated_in_place,
    skips_unseen_keys,
    without_unseen_keys,
)
from crossalign.forward.batching import filled
from crossalign.forward.token_tree import Request, TokenTree, chains, trees
from crossalign.models import describe

SIZES = {"vocab_size": 99, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}


def rows_of_trees(seed: int, count: int) -> list[TokenTree]:
    """Rows of several trees of texts over three letters, some of one long text."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        texts = [rng.choices((7, 8, 9), k=rng.randint(1, 9)) for _ in range(rng.randint(1, 60))]
        texts.append(rng.choices((7, 8, 9), k=rng.randint(1, 90)))
        made = trees([Request((i % 5, *text), pooled=i) for i, text in enumerate(texts)], linear_to_attention=50.0)
        rows += [row for batch in filled(made, 10_000, 10_000, 10_000) for row in batch.rows]
    return rows


def mask_of(rows: list[TokenTree], width: int, before: int = 0) -> torch.Tensor:
    """As the model gets it; padding sees itself, and all see what stands before."""
    allowed = np.tile(np.eye(width, dtype=bool), (len(rows), 1, 1, 1))
    for i, row in enumerate(rows):
        allowed[i, 0, : len(row), : len(row)] = row.mask()
    allowed = np.concatenate([np.ones((len(rows), 1, width, before), dtype=bool), allowed], axis=-1)
    return torch.zeros(allowed.shape).masked_fill(torch.from_numpy(~allowed), torch.finfo(torch.float32).min)


def test_blocks_by_hand():
    """Trees of 40, 30 and 20 tokens in a row of 96: the second 32 queries look back to the first tree, the third do not."""
    row = filled([chains([Request((n,) * n, pooled=0)])[0] for n in (20, 30, 40)], 96, 96, 96)[0].rows[0]
    assert blocks([row], 96) == ((0, 32, 0, 32), (32, 64, 0, 64), (64, 96, 40, 96))
    alone = chains([Request((1,) * 70, pooled=0)])[0]
    assert blocks([row, alone], 98) == ((0, 32, 0, 32), (32, 64, 0, 64), (64, 96, 0, 96), (96, 98, 0, 98))


@pytest.mark.parametrize("seed", range(8))
def test_a_block_leaves_out_no_key_that_is_seen(seed):
    rows = rows_of_trees(seed, 1 + seed % 3)
    width = max(map(len, rows)) + seed
    seen = mask_of(rows, width).eq(0).any(dim=0)[0].numpy()
    made = blocks(rows, width)
    assert [b.start for b in made[1:]] == [b.stop for b in made[:-1]] and (made[0].start, made[-1].stop) == (0, width)
    for start, stop, first, last in made:
        assert not seen[start:stop, :first].any() and not seen[start:stop, last:].any()
    assert blocks(rows, width, 9) == tuple(b._replace(first=0, last=b.stop + 9) for b in made)


@pytest.mark.parametrize("before", [0, 7])
@pytest.mark.parametrize("seed", range(6))
def test_leaving_out_unseen_keys_gives_the_same_attention(seed, before):
    torch.manual_seed(seed)
    rows = rows_of_trees(seed, 1 + seed % 3)
    width = max(map(len, rows)) + seed
    made = blocks(rows, width, before)
    query, key, value = (torch.randn(len(rows), 3, width + n, 8) for n in (0, before, before))
    mask = mask_of(rows, width, before)
    original = torch.nn.functional.scaled_dot_product_attention
    pairs, calls = [], []

    def counting(query, key, value, **settings):
        pairs.append(query.shape[-2] * key.shape[-2])
        return original(query, key, value, **settings)

    expected = original(query, key, value, attn_mask=mask)
    torch.nn.functional.scaled_dot_product_attention = counting
    try:
        with without_unseen_keys():
            patched = torch.nn.functional.scaled_dot_product_attention
            whole = patched(query, key, value, attn_mask=mask)
            calls.append(len(pairs))
            with in_blocks(made):
                got = patched(query, key, value, attn_mask=mask)
                calls.append(len(pairs))
                causal = patched(query, query, query, is_causal=True)
                calls.append(len(pairs))
    finally:
        torch.nn.functional.scaled_dot_product_attention = original
    assert len(made) > 1 and calls == [1, 1 + len(made), 2 + len(made)], "a pass that says nothing is left alone"
    assert sum(pairs[1:-1]) < pairs[0]
    torch.testing.assert_close(whole, expected, rtol=0, atol=0)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(causal, original(query, query, query, is_causal=True))


def test_blocks_are_those_of_the_thread_that_said_so():
    made, found = (Block(0, 32, 0, 32), Block(32, 64, 0, 64)), []
    query = torch.randn(1, 1, 64, 8)
    mask = torch.zeros(1, 1, 64, 64)
    original = torch.nn.functional.scaled_dot_product_attention
    with without_unseen_keys(), in_blocks(made):
        work = threading.Thread(
            target=lambda: found.append(
                torch.nn.functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)
            )
        )
        work.start()
        work.join()
        mine = torch.nn.functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)
    # The mask is open on purpose: blocks hide later keys, so both differ.
    torch.testing.assert_close(found[0], original(query, query, query, attn_mask=mask))
    assert not torch.allclose(mine, found[0])


def test_attention_is_itself_again_after_an_error():
    original = torch.nn.functional.scaled_dot_product_attention
    with pytest.raises(RuntimeError, match="stop"), without_unseen_keys(), in_blocks((Block(0, 8, 0, 8),)):
        raise RuntimeError("stop")
    assert torch.nn.functional.scaled_dot_product_attention is original
    assert attention._pass.blocks == ()


@pytest.mark.parametrize(("how", "served"), [("sdpa", True), ("eager", False)])
def test_a_model_with_an_attention_of_its_own_is_not_served(how, served):
    model = transformers.AutoModelForCausalLM.from_config(tiny_llama().config, attn_implementation=how)
    described = describe(model, None, "float32")
    assert skips_unseen_keys(described) is served
    assert not skips_unseen_keys(replace(described, device=torch.device("cuda")))


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
