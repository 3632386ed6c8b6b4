"""The pass of the training against transformers', states and gradients."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from crossalign.miniature.states import last_states, rms_norm, rotary

IDS = torch.randint(3, 40, (5, 9), generator=torch.Generator().manual_seed(2))
IDS[1:4, 6:] = 0


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(4)
    made = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=40,
            hidden_size=24,
            intermediate_size=32,
            num_hidden_layers=3,
            num_attention_heads=3,
            max_position_embeddings=16,
            tie_word_embeddings=True,
            pad_token_id=0,
        )
    )
    for name, weight in made.named_parameters():
        # Norms of ones and states near zero would hide mistakes.
        torch.nn.init.normal_(weight, mean=1.0 if "norm" in name else 0.0, std=0.3)
    return made


def both(model: LlamaForCausalLM, products: torch.dtype) -> list[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """States and gradients of every weight, ours first."""
    found = []
    for states_of in (last_states, lambda m, ids: m.model(input_ids=ids, use_cache=False).last_hidden_state):
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=products == torch.bfloat16):
            states = states_of(model, IDS)
        weight = torch.randn(states.shape, generator=torch.Generator().manual_seed(1)) * (IDS > 0)[..., None]
        (states * weight).sum().backward()
        found.append((states.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    return found


def in_float64(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """A copy whose norms, which transformers takes in float32 whatever the model's precision, are PyTorch's."""
    exact = deepcopy(model).double()
    for layer in (exact.model, *exact.model.layers):
        for name, norm in [(n, m) for n, m in layer.named_children() if isinstance(m, LlamaRMSNorm)]:
            plain = torch.nn.RMSNorm(norm.weight.shape, norm.variance_epsilon, dtype=torch.float64)
            plain.weight, plain.variance_epsilon = norm.weight, norm.variance_epsilon
            setattr(layer, name, plain)
    return exact


@pytest.mark.parametrize(
    ("dtype", "products", "off"),
    [
        (torch.float64, torch.float64, 1e-12),
        (torch.float32, torch.float32, 1e-5),
        (torch.float32, torch.bfloat16, 3e-2),
    ],
)
def test_states_and_gradients_are_those_of_transformers(
    model: LlamaForCausalLM, dtype: torch.dtype, products: torch.dtype, off: float
) -> None:
    (states, gradients), (reference, expected) = both(in_float64(model) if dtype == torch.float64 else model, products)
    assert states.dtype == dtype
    assert (states - reference)[IDS > 0].norm() < off * reference[IDS > 0].norm()
    assert gradients.keys() == expected.keys() and len(expected) == 3 * 9 + 2
    for name, theirs in expected.items():
        assert (gradients[name] - theirs).norm() < off * theirs.norm(), name


def test_no_token_sees_what_stands_after_it(model: LlamaForCausalLM) -> None:
    changed = IDS.clone()
    changed[:, 5:] = 7
    assert torch.equal(last_states(model, IDS)[:, :5], last_states(model, changed)[:, :5])


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)


def test_gradients_are_the_slopes_of_the_values() -> None:
    angle = drawn(4, 1, 3).repeat(1, 1, 2)
    x, y, weight = (t.requires_grad_() for t in (drawn(2, 4, 5), drawn(2, 4, 2, 6), drawn(5)))
    assert torch.autograd.gradcheck(lambda a, w: rms_norm(a, w, 1e-2), (x, weight))
    assert torch.autograd.gradcheck(lambda a: rotary(a, angle.cos(), angle.sin()), (y,))


def test_a_quarter_turn_takes_one_half_to_the_other() -> None:
    x, cos, sin = drawn(1, 2, 1, 4), torch.zeros(2, 1, 4).double(), torch.ones(2, 1, 4).double()
    first, second = x.chunk(2, dim=-1)
    assert torch.equal(rotary(x, cos, sin), torch.cat((-second, first), dim=-1))


def test_a_row_of_zeros_stays_zero() -> None:
    assert torch.equal(rms_norm(torch.zeros(1, 4), torch.ones(4), 1e-6), torch.zeros(1, 4))
