"""Faster kernels: prepacked linear layers on a CPU, norms and gates with fewer passes over memory."""

from __future__ import annotations

import ctypes
import inspect
import math
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional

WORTH = 1.05
"""Prepacked layers are used when they are at least this many times as fast; a measurement may be off by some hundredths."""

MOST_ROWS = 512
"""Rows that kernels are measured on at most: what is asked is a ratio."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK, KEPT_FREE = 1 << 26, 1 << 27
"""Blocks up to 64 MB come from the heap, which gives memory back when more than 128 MB at its end are free, unless more is
asked for."""


class PrepackedLinear(nn.Module):
    """A linear layer whose float32 weight is stored once, in oneDNN's blocked order."""

    def __init__(self, linear: nn.Linear, rows: int) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), rows)
        self.bias = linear.bias

    @property
    def weight(self) -> torch.Tensor:
        """The weight in its usual order, for models that read it besides calling the layer."""
        return self.packed.to_dense()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same as `torch.nn.functional.linear`, to rounding."""
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")


def choose_linear(model: nn.Module, rows: int) -> tuple[str, str]:
    """Measures both kernels on the model's largest hidden layer: ("onednn" or "torch", why).

    In processor time of one thread, by turns: other work on the machine must not decide.
    """
    layers = [m for m in model.modules() if type(m) is nn.Linear and m.weight.device.type == "cpu"]
    hidden = [m for m in layers if max(m.weight.shape) < 65_536] or layers
    if not hidden or hidden[0].weight.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return "torch", "no float32 linear layers on a CPU"
    layer = max(hidden, key=lambda m: m.weight.numel())
    rows = min(rows, MOST_ROWS)
    x = torch.randn(rows, layer.in_features)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            packed = PrepackedLinear(layer, rows)
            error = (packed(x) - layer(x)).abs().max() / layer(x).abs().max()
            turns = [[seconds(partial(kernel, x), 2, time.thread_time) for kernel in (layer, packed)] for _ in range(4)]
    except (RuntimeError, AttributeError, NotImplementedError) as failure:
        return "torch", f"prepacked layers are not available ({type(failure).__name__})"
    finally:
        torch.set_num_threads(threads)
    plain, prepacked = (min(column) for column in zip(*turns, strict=True))
    gain = plain / prepacked
    if not error < 1e-4:
        return "torch", f"prepacked layers differ by {error:.1e}"
    return ("onednn" if gain >= WORTH else "torch"), f"prepacked layers are {gain:.2f} times as fast"


def prepack(model: nn.Module, rows: int, but: nn.Module | None = None) -> None:
    """Replaces every float32 `nn.Linear` of the model by its prepacked form, in place; the old weights are freed.

    Args:
        but: a layer that stays as it is.
    """
    with torch.inference_mode():
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if type(child) is nn.Linear and child.weight.dtype == torch.float32 and child is not but:
                    setattr(module, name, PrepackedLinear(child, rows))
        # What is left (embeddings, norms) still refers to the mapped weight file and would keep all of it in memory.
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()


class FusedNorm(nn.Module):
    """An RMS norm with fewer passes over memory than the half dozen of the model's class, and with one rounding."""

    weight: nn.Parameter

    def __init__(self, weight: nn.Parameter, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = weight, eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """States → states of root mean square 1, times the weight."""
        if not _summed_otherwise(x):
            return functional.rms_norm(x, list(self.weight.shape), self.weight, self.eps)
        # On a CPU that function makes as many passes as the class.
        return (x * inverse_rms(x, self.eps)).mul_(self.weight)


def inverse_rms(x: torch.Tensor, eps: float) -> torch.Tensor:
    """One over the root mean square of each state [..., 1]; x is passed over once."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()


def _summed_otherwise(x: torch.Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32


class InPlaceSwiGLU(nn.Module):
    """A SwiGLU feed-forward layer that gates in place: fewer passes over its largest tensor, the same bits."""

    def __init__(self, gate_proj: nn.Linear, up_proj: nn.Linear, down_proj: nn.Linear) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = gate_proj, up_proj, down_proj

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """States → what the layer adds to them."""
        return self.down_proj(functional.silu(self.gate_proj(x), inplace=True).mul_(self.up_proj(x)))


@torch.inference_mode()
def fuse_layers(model: nn.Module) -> int:
    """Replaces norms and gated layers by ones that pass over memory fewer times, in place.

    An RMS norm where a fused one gives the same values up to the last digits of its precision, a gated layer where one
    in place gives the same bits. Layers of another formula (Gemma's norm adds 1 to its weight) stay. Returns how many
    were replaced.
    """
    known: dict[tuple[type, type], bool] = {}
    found = [
        (module, name, spare)
        for module in model.modules()
        for name, child in module.named_children()
        # A hook, as accelerate's, belongs to the module as it is.
        if not hasattr(child, "_hf_hook") and (spare := _fused(child) or _gated(child, known)) is not None
    ]
    for module, name, spare in found:
        setattr(module, name, spare)
    return len(found)


def _fused(norm: nn.Module) -> FusedNorm | None:
    eps, weight = getattr(norm, "variance_epsilon", getattr(norm, "eps", None)), getattr(norm, "weight", None)
    if "RMSNorm" not in type(norm).__name__ or not isinstance(eps, float) or not isinstance(weight, nn.Parameter):
        return None
    if len(inspect.signature(norm.forward).parameters) != 1:  # one takes a gate besides
        return None
    fused = FusedNorm(weight, eps)
    x = torch.linspace(-3, 5, 4 * weight.numel(), device=weight.device).reshape(4, -1)
    x[:2] *= math.sqrt(eps)  # so small that the place and the size of eps show
    x = x.to(weight.dtype)
    mine, theirs = fused(x), norm(x)
    # Only the formula for a CPU sums the squares in another order, which shows in the last digits of long vectors.
    near = torch.finfo(weight.dtype).eps * (8 if _summed_otherwise(x) else 2)
    return fused if mine.dtype == theirs.dtype and torch.allclose(mine, theirs, rtol=near, atol=0) else None


def _gated(layer: nn.Module, known: dict[tuple[type, type], bool]) -> InPlaceSwiGLU | None:
    """The verdict on a class's first layer holds for the others: trying each would read all of a large model."""
    products = [getattr(layer, name, None) for name in ("gate_proj", "up_proj", "down_proj")]
    linears = [product for product in products if type(product) is nn.Linear]
    if isinstance(layer, InPlaceSwiGLU) or len(linears) < len(products):
        return None
    spare, weight = InPlaceSwiGLU(*linears), linears[0].weight
    kind = type(layer), type(getattr(layer, "act_fn", None))
    if kind not in known:
        x = torch.linspace(-3, 5, 4 * weight.shape[1], device=weight.device).reshape(4, -1).to(weight.dtype)
        known[kind] = weight.device.type != "meta" and torch.equal(spare(x), layer(x))
    return spare if known[kind] else None


def keep_heap(free: int = KEPT_FREE) -> None:
    """Makes glibc keep freed memory instead of returning it to the system at once.

    Activations of a batch on a CPU, and states while they are aligned, are tens of megabytes; without this every layer
    maps and faults fresh pages, which costs up to a third of the time of a small model. What is free now, left by loading
    or by another run in this process, is given back first. Other C libraries are left alone.

    Args:
        free: most bytes at the heap's end that are kept.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.malloc_trim(0)
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)
        libc.mallopt(M_TRIM_THRESHOLD, free)
    except (OSError, AttributeError):
        return


def seconds(work: Callable[[], object], repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> float:
    """Best of a few runs after a warm-up."""
    work()
    best = float("inf")
    for _ in range(repeats):
        start = clock()
        work()
        best = min(best, clock() - start)
    return best
