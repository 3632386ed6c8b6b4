"""One pass over token trees gives what a plain pass over each single text gives."""

import dataclasses
import random
import threading

import numpy as np
import pytest
import torch
from conftest import VOCABULARY, byte_tokenizer, tiny_llama

from crossalign.forward import batching, encoding, workers
from crossalign.forward import head as head_module
from crossalign.forward.agreement import reference
from crossalign.forward.batching import WIDTHS
from crossalign.forward.encoding import MIN_PREFIX, Encoder
from crossalign.forward.pooling import all_finite
from crossalign.forward.texts import requests_of, tokenized
from crossalign.forward.token_tree import Request
from crossalign.forward.workers import overlapped, workers_for
from crossalign.models import describe
from crossalign.schema import POOLINGS, Instance

K = 2
PASSAGE = "A long passage which all of the questions of its group begin with, so that a tree is worth it."
SHOTS = "Question: is water wet? Answer: yes. Question: is fire cold? Answer: no. "


def _together(number: int) -> Instance:
    """Embedded and scored on the same texts."""
    context = f"{PASSAGE} Question {number}"
    return Instance(f"t{number}", "g", context, context, ("yes", f"not {number}"), 0, context, ("yes", f"not {number}"))


def _apart(number: int, shots: str = "") -> Instance:
    """Scored on letters after a prompt of its own."""
    context, prompt = f"{PASSAGE[number:]} So", f"{shots}Q{number}: {PASSAGE[:30]} A:"
    return Instance(f"a{number}", "g", context, context, ("one", "another one"), 1, prompt, ("A", "B"))


MIXED = [
    _together(0),
    _together(1),
    _apart(2),
    _apart(3),
    Instance("s", "h", "It", "It", ("is", "so"), 0, "It", ("is", "so")),
]


def _requests(model, instances) -> list[Request]:
    texts = enumerate(tokenized(instances, model.tokenize))
    return [r for i, one in texts for r in requests_of(one, i, model.max_length)[0]]


def _sizes(instances) -> tuple[int, int]:
    return len(instances) * (K + 1), len(instances) * K


def _encoded(model, instances, requests=None, batch_tokens=2000, with_trees=True, poolings=POOLINGS):
    requests = _requests(model, instances) if requests is None else requests
    return Encoder(model, poolings, batch_tokens, with_trees).encode(requests, *_sizes(instances))


def _expected(model, instances):
    return reference(model, POOLINGS, _requests(model, instances), *_sizes(instances))


def _assert_same(got, expected) -> None:
    np.testing.assert_allclose(got.logliks, expected.logliks, atol=1e-4)
    for pooling, states in expected.pooled.items():
        np.testing.assert_allclose(got.pooled[pooling], states, atol=1e-4, err_msg=pooling)


@pytest.fixture(scope="module")
def expected(tiny_model):
    """Plain single-text passes over the mixed instances; nothing in it is undefined."""
    found = _expected(tiny_model, MIXED)
    assert np.isfinite(found.logliks).all() and all(np.isfinite(p).all() for p in found.pooled.values())
    return found


def test_the_reference_pools_as_defined(tiny_model):
    """The slow side itself, against the definitions on the states of one text."""
    request = next(r for r in _requests(tiny_model, [_together(0)]) if r.scored == 1)
    with torch.inference_mode():
        output = tiny_model.model(torch.tensor([request.tokens]), output_hidden_states=True)
    found = _expected(tiny_model, [_together(0)])
    n = len(request.tokens)
    for layer, state in enumerate(s[0].numpy().astype(np.float64) for s in output.hidden_states):
        weighted = sum((t + 1) * state[t] for t in range(n)) / (n * (n + 1) / 2)
        for pooling, vector in {"last_token": state[n - 1], "mean": sum(state) / n, "weighted_mean": weighted}.items():
            np.testing.assert_allclose(found.pooled[pooling][layer, 1], vector, atol=1e-5)
    probabilities = output.logits[0].double().softmax(-1)
    slow = sum(float(probabilities[t - 1, request.tokens[t]].log()) for t in range(request.start, n))
    assert found.logliks[1] == pytest.approx(slow, abs=1e-4)


@pytest.mark.parametrize("with_trees", [True, False])
@pytest.mark.parametrize("batch_tokens", [1, 150, 400, 100_000])
def test_a_pass_equals_plain_single_texts_whatever_the_batch(tiny_model, expected, batch_tokens, with_trees):
    _assert_same(_encoded(tiny_model, MIXED, None, batch_tokens, with_trees), expected)


@pytest.mark.parametrize("skips", [True, False], ids=["keys skipped", "whole masks"])
def test_trees_that_share_a_row_do_not_see_each_other(tiny_model, expected, monkeypatch, skips):
    """Where attention to other trees costs nothing, or next to nothing, wide rows of several trees spare padding."""
    monkeypatch.setattr(encoding, "skips_unseen_keys", lambda model: skips)
    monkeypatch.setattr(batching, "ATTENTION_COST", 3.0 if skips else 1e-3)
    requests = _requests(tiny_model, MIXED)
    encoder = Encoder(tiny_model, POOLINGS, 1000, True)
    for in_one_row in (False, True):
        rows = [row for batch, _ in encoder.plan(requests, None, in_one_row) for row in batch.rows]
        assert len(rows) == 1 if in_one_row else max(len(row.requests) for row in rows) > 2
        _assert_same(encoder.encode(requests, *_sizes(MIXED), in_one_row=in_one_row), expected)


@pytest.mark.parametrize("budget", [64, 150, 512])
def test_passes_on_a_cpu_are_full_rows(tiny_model, budget):
    """Where keys of other trees are skipped, nothing is left to padding but the rounding of the width."""
    instances = [_apart(n) for n in range(30)]
    requests = _requests(tiny_model, instances)
    made = [batch for batch, _ in Encoder(tiny_model, POOLINGS, budget, True).plan(requests, None)]
    assert len(made) > 2 and all(batch.padded - len(batch.rows[0]) < WIDTHS for batch in made)
    trees = sum(int((row.depths == 0).sum()) for batch in made for row in batch.rows)
    assert len(made) < 0.6 * trees or budget == 64, "a tree that nearly fills a pass is alone"
    _assert_same(_encoded(tiny_model, instances, batch_tokens=budget), _expected(tiny_model, instances))


@pytest.mark.parametrize("count", [2, 5])
def test_passes_side_by_side_give_the_same_bits(tiny_model, count):
    """Every result at its place, and torch's threads as before."""
    threads, requests = torch.get_num_threads(), _requests(tiny_model, MIXED)
    alone, together = (Encoder(tiny_model, POOLINGS, 100, True, n).encode(requests, *_sizes(MIXED)) for n in (1, count))
    assert alone.tokens == together.tokens
    np.testing.assert_array_equal(alone.logliks, together.logliks)
    for pooling in POOLINGS:
        np.testing.assert_array_equal(alone.pooled[pooling], together.pooled[pooling])
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("with_trees", [True, False])
@pytest.mark.parametrize("shuffling", range(3))
def test_the_order_of_requests_changes_nothing(tiny_model, expected, shuffling, with_trees):
    requests = _requests(tiny_model, MIXED)
    random.Random(shuffling).shuffle(requests)
    _assert_same(_encoded(tiny_model, MIXED, requests, 500, with_trees), expected)


def test_instances_that_begin_alike_share_tokens_though_they_are_of_different_groups(tiny_model):
    instances = [dataclasses.replace(_together(n), group=str(n)) for n in range(2)]
    alone = sum(_encoded(tiny_model, [one]).tokens[0] for one in instances)
    together = _encoded(tiny_model, instances)
    assert together.tokens[0] <= alone - len(PASSAGE)
    _assert_same(together, _expected(tiny_model, instances))


def test_a_text_does_not_depend_on_what_it_is_padded_with(tiny_model):
    short = Instance("s", "g", "Ab", "Ab", ("c", "d"), 0, "Ab", ("c", "d"))
    alone = _encoded(tiny_model, [short], with_trees=False)
    for company in ([_together(0)], [_apart(1), _together(2), _apart(3)]):
        beside = _encoded(tiny_model, [short, *company], with_trees=False, batch_tokens=100_000)
        np.testing.assert_allclose(beside.logliks[:K], alone.logliks, atol=1e-4)
        for pooling in POOLINGS:
            np.testing.assert_allclose(beside.pooled[pooling][:, : K + 1], alone.pooled[pooling], atol=1e-4)


def test_relabelling_the_options_relabels_the_results(tiny_model):
    one = _apart(4)
    swapped = dataclasses.replace(one, options=one.options[::-1], continuations=one.continuations[::-1])
    first, second = _encoded(tiny_model, [one]), _encoded(tiny_model, [swapped])
    np.testing.assert_allclose(first.logliks, second.logliks[::-1], atol=1e-4)
    for pooling in POOLINGS:
        np.testing.assert_allclose(first.pooled[pooling], second.pooled[pooling][:, [1, 0, 2]], atol=1e-4)


def test_shared_tokens_are_run_once_and_counted(tiny_model):
    requests = _requests(tiny_model, [_together(0)])
    prefixes = {r.run[:n] for r in requests for n in range(1, len(r.run) + 1)}
    encoded = Encoder(tiny_model, POOLINGS, 2000, True).encode(requests, *_sizes([0]))
    assert encoded.tokens[0] == len(prefixes) <= encoded.tokens[1] < len(prefixes) + WIDTHS
    assert _encoded(tiny_model, [_together(0)], with_trees=False).tokens[0] == sum(len(r.run) for r in requests)


@pytest.fixture
def head(tiny_model):
    """Records the number of rows of every call of the output head."""
    rows: list[int] = []
    hook = tiny_model.model.lm_head.register_forward_hook(
        lambda module, inputs, output: rows.append(inputs[0].shape[:-1].numel())
    )
    yield rows
    hook.remove()


def test_logits_exist_only_where_a_token_is_predicted(tiny_model, head):
    requests = _requests(tiny_model, [_together(0)])
    _encoded(tiny_model, [_together(0)], requests)
    # " yes" and " not 0": 4 and 6 bytes; the space is predicted at one shared position, "y" and "n" at another.
    texts = {r.tokens[:t] for r in requests if r.scored >= 0 for t in range(r.start, len(r.tokens))}
    assert len(texts) == 4 + 6 - 2
    assert head == [len(texts)]


def test_without_a_scored_text_the_output_head_never_runs(tiny_model, head):
    sentences = [Instance(str(i), str(i), f"{PASSAGE} {i}") for i in range(3)]
    requests = _requests(tiny_model, sentences)
    # A sentence has no options: its state is number `index`.
    encoded = Encoder(tiny_model, POOLINGS, 200, True).encode(requests, 3, 0)
    assert head == []
    _assert_same(encoded, reference(tiny_model, POOLINGS, requests, 3, 0))


def test_score_only_requests_leave_no_states(tiny_model):
    instances = [_apart(1), _apart(2)]
    requests = [r for r in _requests(tiny_model, instances) if r.pooled < 0]
    encoded = _encoded(tiny_model, instances, requests)
    assert all(np.isnan(states).all() for states in encoded.pooled.values())
    np.testing.assert_allclose(encoded.logliks, _expected(tiny_model, instances).logliks, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_many_predicted_positions_go_through_the_head_in_parts(tiny_model, head, expected, monkeypatch, rows):
    _encoded(tiny_model, MIXED)
    positions = sum(head)
    head.clear()
    monkeypatch.setattr(head_module, "CPU_ROWS", (rows, rows))
    _assert_same(_encoded(tiny_model, MIXED), expected)
    assert sum(head) == positions
    assert max(head) <= rows


def _state_of(model) -> list:
    """What a pass might leave on a model besides its weights."""
    modules = [model.model, *model.model.modules()]
    return [(len(m._forward_hooks), len(m._forward_pre_hooks), "forward" in vars(m)) for m in modules]


def test_a_pass_leaves_the_model_as_it_was(tiny_model):
    before = _state_of(tiny_model)
    _encoded(tiny_model, MIXED)
    assert _state_of(tiny_model) == before

    def broken(module, inputs):
        raise RuntimeError("out of memory")

    handle = tiny_model.model.lm_head.register_forward_pre_hook(broken)
    for count in (1, 2):
        with pytest.raises(RuntimeError, match="out of memory"):
            Encoder(tiny_model, POOLINGS, 100, True, count).encode(_requests(tiny_model, MIXED), *_sizes(MIXED))
    handle.remove()
    assert _state_of(tiny_model) == before


@pytest.mark.parametrize("batch_tokens", [1, 300, 100_000])
def test_few_shot_examples_are_run_once_and_change_nothing(tiny_model, batch_tokens):
    instances = [_apart(i, SHOTS) for i in range(4)]
    requests = _requests(tiny_model, instances)
    encoder = Encoder(tiny_model, POOLINGS, batch_tokens, True)
    prefix = encoder.prefix(requests)
    # <s>, the examples and the "Q" of the next question are common; its number is not.
    assert len(prefix.tokens) == 1 + len(SHOTS) + 1
    with_cache = encoder.encode(requests, *_sizes(instances), prefix)
    without = encoder.encode(requests, *_sizes(instances))
    _assert_same(with_cache, without)
    _assert_same(with_cache, _expected(tiny_model, instances))
    assert with_cache.tokens[0] < without.tokens[0]


def test_texts_that_are_embedded_and_scored_do_not_use_the_prefix(tiny_model):
    instances = [_apart(0, SHOTS), _apart(1, SHOTS), _together(2)]
    requests = _requests(tiny_model, instances)
    encoder = Encoder(tiny_model, POOLINGS, 2000, True)
    prefix = encoder.prefix(requests)
    assert prefix is not None
    _assert_same(encoder.encode(requests, *_sizes(instances), prefix), _expected(tiny_model, instances))


@pytest.mark.parametrize(
    ("shots", "with_trees"),
    [("", True), ("x" * (MIN_PREFIX - 3), True), (SHOTS, False)],
    ids=["none", "short", "plain"],
)
def test_short_beginnings_and_plain_batches_have_no_prefix(tiny_model, shots, with_trees):
    # "none": the prompts share <s> and Q; "short": one token less than is worth it.
    requests = _requests(tiny_model, [_apart(i, shots) for i in range(3)])
    assert Encoder(tiny_model, POOLINGS, 2000, with_trees).prefix(requests) is None


def test_the_prefix_of_no_request_is_none(tiny_model):
    assert Encoder(tiny_model, POOLINGS, 2000, True).prefix([]) is None


def test_a_worker_for_every_thread_where_memory_and_positions_allow_it(tiny_model, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 12)
    assert workers_for(tiny_model, 512, "cpu") == 6, "two threads each: at most eight workers"
    states = 4 * 512 * tiny_model.hidden_size * (tiny_model.n_layers + 1)
    monkeypatch.setattr(workers, "WORKERS_BYTES", 3 * states)
    assert workers_for(tiny_model, 512, "cpu") == 3
    monkeypatch.setattr(workers, "WORKERS_BYTES", states - 1)
    assert workers_for(tiny_model, 512, "cpu") == 1
    monkeypatch.setattr(workers, "WORKERS_BYTES", 1 << 30)
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    assert workers_for(describe(tiny_llama(rope_parameters=rope), byte_tokenizer(), "float32"), 512, "cpu") == 1
    assert (workers_for(tiny_model, 512, "cuda"), workers_for(tiny_model, 512, "mps")) == (2, 1)


def test_each_item_is_worked_on_while_the_next_is_made():
    """The first is finished only once the second is made, or this would wait for ever; the third is made after it."""
    made, told = threading.Event(), []

    def items():
        yield 1
        made.set()
        yield 2
        told.append("third")
        yield 3

    def work(item: int) -> int:
        assert made.wait(20)
        told.append(item)
        return 10 * item

    assert list(overlapped(work, items())) == [10, 20, 30]
    assert told.index(1) < told.index("third")
    assert list(overlapped(work, [])) == []


def test_what_goes_wrong_beside_is_told():
    def work(item: int) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        list(overlapped(work, iter([1, 2, 3])))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_value_that_is_not_finite_is_found(bad):
    values = torch.linspace(-1, 1, 30).reshape(2, 3, 5)
    assert all_finite(values)
    values[1, 2, 3] = bad
    assert not all_finite(values)


def _with_nan(token: int):
    """The tiny model with NaN as the embedding of one token."""
    model = tiny_llama()
    with torch.no_grad():
        model.get_input_embeddings().weight[token] = float("nan")
    return describe(model, byte_tokenizer(), "float32")


@pytest.mark.parametrize("with_trees", [True, False])
@pytest.mark.parametrize("budget", [512, 100_000])
@pytest.mark.parametrize("ratio", [1.0, 1e6], ids=["few a tree", "one tree"])
def test_nan_stays_in_the_texts_that_cause_it(with_trees, ratio, budget):
    """Only option 1 of the first instance has a #; its premise, its other option and the others are defined."""
    hurt = Instance("n", "g", PASSAGE, PASSAGE, ("yes", "n#o it is"), 0, PASSAGE, ("yes", "n#o it is"))
    instances = [hurt, _together(1), _apart(2)]
    model = dataclasses.replace(_with_nan(byte_tokenizer()("#")["input_ids"][-1]), linear_to_attention=ratio)
    expected = _expected(model, instances)
    assert np.isnan(expected.logliks).tolist() == [False, True, False, False, False, False]
    _assert_same(_encoded(model, instances, None, budget, with_trees), expected)


@pytest.mark.parametrize("with_trees", [True, False])
@pytest.mark.parametrize("budget", [512, 100_000])
def test_a_padding_token_without_a_state_disturbs_nobody(with_trees, budget):
    """No text holds token 0, so no result is undefined, however much padding a row has."""
    model = _with_nan(0)
    _assert_same(_encoded(model, MIXED, None, budget, with_trees), _expected(model, MIXED))


def test_nan_weights_give_nan_everywhere():
    model = tiny_llama()
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.fill_(float("nan"))
    encoded = _encoded(describe(model, byte_tokenizer(), "float32"), MIXED)
    assert np.isnan(encoded.logliks).all()
    for states in encoded.pooled.values():
        assert np.isfinite(states[:2]).all(), "the layers before the broken one"
        assert np.isnan(states[2:]).all()


def test_too_long_texts_stay_nan_and_disturb_nobody(tiny_model, expected):
    longest = len(tokenized(MIXED, tiny_model.tokenize)[0].premise)
    short_model = dataclasses.replace(tiny_model, max_length=longest)
    made = [requests_of(t, i, longest) for i, t in enumerate(tokenized(MIXED, tiny_model.tokenize))]
    assert [left_out for _, left_out in made] == [True, True, True, True, False]
    encoded = _encoded(short_model, MIXED)
    # The premise of the first two just fits; their options do not. So for the last, everything fits.
    assert np.isnan(encoded.logliks[:4]).all() and np.isfinite(encoded.logliks[4:]).all()
    states = encoded.pooled["last_token"]
    assert np.isnan(states[:, [0, 1, 3, 4]]).all() and np.isfinite(states[:, [2, 5, 12, 13, 14]]).all()
    run = ~np.isnan(states)
    np.testing.assert_allclose(states[run], expected.pooled["last_token"][run], atol=1e-4)


def test_padding_never_reaches_past_the_last_position_of_a_model():
    """Learned positions end somewhere; a text that just fits must run, whatever the widths of batches are multiples of."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    longest = 8 * WIDTHS + 1
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY, "initializer_range": 0.2}
    model = describe(GPT2LMHeadModel(GPT2Config(n_positions=longest, **sizes)).eval(), byte_tokenizer(), "float32")
    text = tuple(3 + i % 90 for i in range(longest))
    for with_trees in (True, False):
        encoded = Encoder(model, POOLINGS, 2000, with_trees).encode([Request(text, pooled=0)], 1, 0)
        assert all(np.isfinite(states).all() for states in encoded.pooled.values())
        assert encoded.tokens == (longest, longest)
