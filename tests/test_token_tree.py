"""Token trees: what is shared, what sees what, when texts are run apart, and how rows are batched."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest

from crossalign.forward.batching import LEAST_PASS, WIDEST, WIDTHS, balanced, batches
from crossalign.forward.token_tree import ATTENTION_COST, Request, chains, common_prefix, merged_size, trees

SHARE_ALWAYS = 1e12
"""Linear layers so dear that one tree is always the cheapest."""

PASSAGE = tuple(range(100, 200))


def _random_texts(seed: int, count: int = 9) -> list[Request]:
    """Texts over three letters after a BOS (1): many share beginnings, some are equal or prefixes of others."""
    rng = random.Random(seed)
    texts = [(1, *rng.choices((7, 8, 9), k=rng.randint(1, 7))) for _ in range(count)]
    return [
        Request(t, scored=i, start=rng.randint(1, len(t) - 1)) if i % 3 == 0 else Request(t, pooled=i)
        for i, t in enumerate(texts)
    ]


def _slow_mask(tree) -> np.ndarray:
    """Each token's ancestors, found by walking back to the nearest earlier token that is one step less deep."""
    allowed = np.zeros((len(tree), len(tree)), dtype=bool)
    for i in range(len(tree)):
        node = i
        while True:
            allowed[i, node] = True
            if tree.depths[node] == 0:
                break
            node = max(j for j in range(node) if tree.depths[j] == tree.depths[node] - 1)
    return allowed


def _distinct_prefixes(requests) -> int:
    return len({r.run[:length] for r in requests for length in range(1, len(r.run) + 1)})


def _shared(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _cost(forest, linear_to_attention: float) -> float:
    """Linear work of every token plus attention work of every pair of tokens of a tree."""
    return sum(len(t) * linear_to_attention + ATTENTION_COST * len(t) ** 2 for t in forest)


def _merge(*texts: tuple[int, ...]):
    """The texts as one tree."""
    (tree,) = trees([Request(t, pooled=i) for i, t in enumerate(texts)], SHARE_ALWAYS)
    return tree


def _answered(forest) -> list[Request]:
    return sorted(r for tree in forest for r in tree.requests)


@pytest.mark.parametrize("seed", range(8))
def test_a_token_sees_itself_and_its_ancestors_only(seed):
    (tree,) = trees(_random_texts(seed), SHARE_ALWAYS)
    np.testing.assert_array_equal(tree.mask(), _slow_mask(tree))


@pytest.mark.parametrize("seed", range(8))
def test_what_a_texts_last_token_sees_is_that_text(seed):
    (tree,) = trees(_random_texts(seed), SHARE_ALWAYS)
    for request, path in zip(tree.requests, tree.paths, strict=True):
        assert tuple(tree.tokens[path]) == request.run
        assert tree.depths[path].tolist() == list(range(len(request.run)))
        assert np.flatnonzero(tree.mask()[path[-1]]).tolist() == path.tolist()


@pytest.mark.parametrize("seed", range(8))
def test_one_tree_holds_each_distinct_prefix_once(seed):
    requests = _random_texts(seed)
    (tree,) = trees(requests, SHARE_ALWAYS)
    assert len(tree) == _distinct_prefixes(requests)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ratio", [1.0, 30.0, SHARE_ALWAYS])
def test_the_order_of_requests_does_not_matter(seed, ratio):
    requests = _random_texts(seed)
    shuffled = random.Random(seed + 100).sample(requests, len(requests))
    forests = (trees(requests, ratio), trees(shuffled, ratio))
    shapes = [sorted((t.tokens.tolist(), t.depths.tolist(), t.ends.tolist()) for t in forest) for forest in forests]
    assert shapes[0] == shapes[1]
    assert _answered(forests[0]) == _answered(forests[1]) == sorted(requests)


@pytest.mark.parametrize("ratio", [0.1, 3.0, 30.0, 300.0, 1e5, SHARE_ALWAYS])
@pytest.mark.parametrize("seed", range(6))
def test_the_chosen_split_never_costs_more_than_one_tree(seed, ratio):
    requests = _random_texts(seed, count=14)
    forest = trees(requests, ratio)
    assert _cost(forest, ratio) <= _cost(trees(requests, SHARE_ALWAYS), ratio)
    assert _answered(forest) == sorted(requests)


def test_texts_that_share_only_the_bos_are_run_apart():
    # Apart: 2 * 11² = 242 pairs; together: 21² = 441. Saving one token of 30 / ATTENTION_COST = 10 pairs does not pay.
    texts = [Request((1, *range(10, 20)), pooled=0), Request((1, *range(30, 40)), pooled=1)]
    assert [len(t) for t in trees(texts, 30.0)] == [11, 11]


@pytest.mark.parametrize("linear_to_attention", [1.0, 30.0, 3e4])
def test_a_long_passage_is_shared_whatever_the_model(linear_to_attention):
    # 100 shared tokens and 2 * 5 of their own: 110² < 2 * 105², so even attention alone is cheaper together.
    texts = [Request((*PASSAGE, *range(first, first + 5)), pooled=first) for first in (10, 20)]
    assert [len(t) for t in trees(texts, linear_to_attention)] == [110]


def test_many_texts_of_one_beginning_become_trees_of_a_few_each():
    """Eight share 30 tokens before 20 of their own: all in one tree is dear, each alone as well."""
    texts = [Request((*PASSAGE[:30], 200 + i, *range(300, 319)), pooled=i) for i in range(8)]
    ratio = 50 * ATTENTION_COST
    # A pair saves 30 * 50 pairs of tokens of 70² - 2 * 50² = -100: cheaper. Two pairs: 1,500 < 110² - 2 * 70² = 2,300.
    forest = trees(texts, ratio)
    assert [len(tree.requests) for tree in forest] == [2] * 4 and [len(tree) for tree in forest] == [70] * 4
    for other in (trees(texts, SHARE_ALWAYS), chains(texts)):
        assert _cost(forest, ratio) < _cost(other, ratio)


def test_a_short_text_that_begins_all_others_does_not_make_one_tree_of_them():
    """Apart it would spare nothing, but below it the others are divided."""
    texts = [Request((1, 2, 100 + i, *range(300, 310)), pooled=i) for i in range(60)]
    ratio = 30 * ATTENTION_COST
    alone, beside = trees(texts, ratio), trees([*texts, Request((1,), pooled=60)], ratio)
    assert max(map(len, beside)) <= max(map(len, alone)) + 1
    assert _cost(beside, ratio) <= _cost(alone, ratio) + ratio + ATTENTION_COST


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ratio", [3.0, 30.0, 300.0])
def test_no_other_choice_of_the_same_divisions_is_cheaper(seed, ratio):
    """Slow: every way of keeping or dividing the ranges, each divided at its shortest common beginning."""
    requests = _random_texts(seed, count=12)
    ordered = sorted(requests, key=lambda r: r.run)
    shared = [0, *(_shared(a.run, b.run) for a, b in pairwise(ordered))]

    def cheapest(a: int, b: int) -> float:
        forest = trees(ordered[a:b], SHARE_ALWAYS)
        whole = _cost(forest, ratio) if len(forest) == 1 else math.inf
        if b - a < 2:
            return whole
        cut = min(range(a + 1, b), key=lambda i: (shared[i], abs(2 * i - a - b)))
        return min(whole, cheapest(a, cut) + cheapest(cut, b))

    assert _cost(trees(requests, ratio), ratio) == pytest.approx(cheapest(0, len(ordered)))


def test_a_tree_has_no_more_tokens_of_its_own_than_a_pass_holds():
    """Besides the beginning that all its texts share, which is run anyway."""
    texts = [Request((*PASSAGE, 300 + i, *range(400, 409)), pooled=i) for i in range(40)]
    (whole,) = trees(texts, SHARE_ALWAYS)
    assert len(whole) == 100 + 40 * 10
    few = trees(texts, SHARE_ALWAYS, 60)
    assert max(map(len, few)) <= 100 + 60 and len(few) == 8 and _answered(few) == sorted(texts)
    assert [len(tree) for tree in trees(texts[:1], SHARE_ALWAYS, 60)] == [110], "one text is a tree, however long"


def test_a_text_apart_does_not_take_the_others_apart():
    # The two that share the passage stay one tree of 1 + 100 + 2 tokens; the third shares only the BOS with them.
    texts = [
        Request((1, *PASSAGE, 10), pooled=0),
        Request((1, *range(300, 350)), pooled=1),
        Request((1, *PASSAGE, 11), pooled=2),
    ]
    assert sorted(len(t) for t in trees(texts, 30.0)) == [51, 103]


@pytest.mark.parametrize("linear_to_attention", [0.0, 1.0, 1e6])
def test_equal_texts_share_everything(linear_to_attention):
    (tree,) = trees([Request((1, 5, 6), pooled=i) for i in range(4)], linear_to_attention)
    assert tree.tokens.tolist() == [1, 5, 6]
    assert [p.tolist() for p in tree.paths] == [[0, 1, 2]] * 4
    assert sorted(r.pooled for r in tree.requests) == [0, 1, 2, 3]


def test_a_text_that_begins_another_is_part_of_its_path():
    tree = _merge((1, 5), (1, 5, 6, 7), (1, 5, 8))
    assert tree.tokens.tolist() == [1, 5, 6, 7, 8]
    assert tree.depths.tolist() == [0, 1, 2, 3, 2]
    assert tree.ends.tolist() == [5, 5, 4, 4, 5]
    assert [p.tolist() for p in tree.paths] == [[0, 1], [0, 1, 2, 3], [0, 1, 4]]


def test_texts_without_a_common_token_are_never_one_tree():
    forest = trees([Request((5, 6), pooled=0), Request((7, 8), pooled=1)], SHARE_ALWAYS)
    assert sorted(t.tokens.tolist() for t in forest) == [[5, 6], [7, 8]]


def test_a_score_alone_does_not_run_its_last_token():
    assert Request((1, 5, 6), scored=0, start=2).run == (1, 5)
    assert Request((1, 5, 6), pooled=0, scored=0, start=2).run == (1, 5, 6)


@pytest.mark.parametrize("seed", range(4))
def test_chains_run_every_distinct_text_by_itself(seed):
    requests = _random_texts(seed, count=20)
    rows = chains(requests)
    assert sorted(tuple(row.tokens) for row in rows) == sorted({r.run for r in requests})
    assert all(row.depths.tolist() == list(range(len(row))) for row in rows)
    assert _answered(rows) == sorted(requests)


def test_no_request_gives_no_chain():
    assert chains([]) == []


@pytest.mark.parametrize(
    ("texts", "starts", "length"),
    [
        ([], [], 0),
        ([(1, 2, 3, 4), (1, 2, 3, 5)], [3, 3], 2),  # the token before the first scored one must still be run
        ([(1, 2, 3, 4), (1, 2, 3, 5)], [2, 3], 1),
        ([(1, 2, 3, 4, 5), (1, 2, 7, 4, 5)], [4, 4], 2),
        ([(1, 2, 3, 4, 5), (6, 2, 3, 4, 5)], [4, 4], 0),
        ([(1, 2, 3, 4, 5)], [4], 3),
        ([(1, 2, 3, 4), (1, 2, 3, 4, 5, 6)], [3, 4], 2),
    ],
)
def test_the_common_prefix_ends_before_every_scored_token(texts, starts, length):
    requests = [Request(t, scored=i, start=s) for i, (t, s) in enumerate(zip(texts, starts, strict=True))]
    assert common_prefix(requests) == length


@pytest.mark.parametrize("seed", range(4))
def test_the_common_prefix_equals_a_token_by_token_comparison(seed):
    rng = random.Random(seed)
    begin = tuple(rng.choices(range(50), k=rng.randint(1, 40)))
    requests = []
    for i in range(5):
        tokens = begin + tuple(rng.choices(range(3), k=rng.randint(2, 6)))
        requests.append(Request(tokens, scored=i, start=rng.randint(len(begin), len(tokens) - 1)))
    slow = 0
    while all(slow < r.start - 1 and r.tokens[slow] == requests[0].tokens[slow] for r in requests):
        slow += 1
    assert common_prefix(requests) == slow


@pytest.mark.parametrize("budget", [1, 8, 20, 64, 10_000])
def test_batches_respect_the_budget_and_lose_nothing(budget):
    rng = random.Random(budget)
    rows = chains([Request(tuple(rng.choices(range(99), k=rng.randint(1, 20))), pooled=i) for i in range(40)])
    made = batches(rows, budget, 10_000)
    assert all(batch.padded <= budget or len(batch.rows) == 1 for batch in made)
    assert all(0 <= batch.padded / len(batch.rows) - max(len(r) for r in batch.rows) < WIDTHS for batch in made)
    assert _answered([r for batch in made for r in batch.rows]) == _answered(rows)


def test_batches_put_rows_of_like_length_together():
    lengths = [4, 8, 4, 8, 4, 8]
    rows = [chains([Request((i,) * n, pooled=i)])[0] for i, n in enumerate(lengths)]
    # 24 tokens hold three rows of 8, then three of 4: no padding at all.
    assert [[len(r) for r in b.rows] for b in batches(rows, 24, 10_000)] == [[8, 8, 8], [4, 4, 4]]


@pytest.mark.parametrize("seed", range(6))
def test_trees_share_rows_where_that_is_cheaper(seed):
    """Nothing is lost, no row sees beyond its trees, the budget holds, and it never costs more than rows of one tree."""
    rng, ratio = random.Random(seed), 5000.0
    rows = [tree for i in range(60) for tree in trees(_random_texts(100 * seed + i), SHARE_ALWAYS)]
    rng.shuffle(rows)
    alone, shared = batches(rows, 254, 10_000), batches(rows, 254, 10_000, ratio)
    assert _answered([r for b in shared for r in b.rows]) == _answered(rows)
    assert sum(len(r) for b in shared for r in b.rows) == sum(map(len, rows))
    assert all(b.padded <= 254 for b in shared)
    assert sum(b.padded for b in shared) <= sum(b.padded for b in alone)
    for row in (r for b in shared for r in b.rows):
        np.testing.assert_array_equal(row.mask(), _slow_mask(row))
        for request, path in zip(row.requests, row.paths, strict=True):
            assert tuple(row.tokens[path]) == request.run
            assert row.depths[path].tolist() == list(range(len(path)))


def test_a_row_is_no_wider_than_its_attention_may_cost():
    rows = [chains([Request((i,) * (5 if i < 6 else 1), pooled=i)])[0] for i in range(12)]
    widths = {ratio: {b.width for b in batches(rows, 48, 10_000, ratio)} for ratio in (0.0, 720.0, 960.0)}
    assert widths[720.0] == {12} and widths[960.0] == {16}, "5 % of the ratio, at three times its cost"
    assert widths[0.0] == {8, 4}
    assert {b.width for b in batches(rows, 48, 11, 960.0)} == {8}, "the model has no more positions"


def test_no_row_gives_no_batch():
    assert batches([], 10, 10_000) == []
    assert balanced([], 10, 10_000) == []


@pytest.mark.parametrize("seed", range(20))
def test_balanced_passes_lose_nothing_hold_the_budget_and_end_together(seed):
    rng = random.Random(seed)
    rows = [tree for i in range(rng.randint(5, 150)) for tree in trees(_random_texts(100 * seed + i), SHARE_ALWAYS)]
    rng.shuffle(rows)
    budget, most = rng.choice((64, 250, 512, 1000, 2048)), rng.choice((100, 300, 10_000))
    made = balanced(rows, budget, most)
    held = [row for batch in made for row in batch.rows]
    assert _answered(held) == _answered(rows) and sum(map(len, held)) == sum(map(len, rows))
    for row in held:
        np.testing.assert_array_equal(row.mask(), _slow_mask(row))
    assert all(batch.padded <= budget and batch.width <= min(most, WIDEST) for batch in made)
    total, longest = sum(map(len, rows)), max(map(len, rows))
    assert max(map(len, held)) - min(map(len, held)) <= longest, (
        "a tree could move from the fullest to the emptiest row"
    )
    heights = [len(batch.rows) for batch in made]
    assert max(heights) - min(heights[:-1], default=heights[0]) <= 1 and max(heights) >= heights[-1]
    if budget >= 2 * LEAST_PASS <= total:
        assert len(made) % 2 == 0
        assert len(made) * budget <= 2 * total or len(made) == 2, "passes are at least half full"


@pytest.mark.parametrize(
    ("lengths", "budget", "most", "heights"),
    [
        ([300] * 9, 2048, 512, [3, 3, 3]),  # a tree fills a row
        ([60] * 5, 2048, 512, [1, 1]),
        ([100] * 5, 2048, 512, [1, 1]),
        ([120] * 20, 2048, 512, [3, 3]),
        ([1] * 1000, 250, 10_000, [1] * 6),
        ([10] * 300, 1500, 10_000, [3, 3]),
        ([600, 20, 20], 512, 10_000, [1, 1]),
        ([51] * 1000, 100, 10_000, [1] * 1000),
    ],
)
def test_rows_are_divided_evenly_among_passes(lengths, budget, most, heights):
    rows = [chains([Request((i,) * n, pooled=i)])[0] for i, n in enumerate(lengths)]
    assert [len(batch.rows) for batch in balanced(rows, budget, most)] == heights


def test_balanced_passes_by_hand():
    rows = [chains([Request((i,) * n, pooled=i)])[0] for i, n in enumerate((90, 80, 70, 60, 50, 40, 600))]
    # Four passes would hold all tokens, but one text fills a pass and more.
    assert [len(batch.rows[0]) for batch in balanced(rows, 250, 10_000)] == [600, 130, 130, 130]
    assert [len(batch.rows[0]) for batch in balanced(rows[:-1], 250, 10_000)] == [200, 190]
    assert [[len(r) for r in batch.rows] for batch in balanced(rows[:-1], 250, 125)] == [[110, 110], [90, 80]]
    assert [len(batch.rows[0]) for batch in balanced(rows[:2], 250, 10_000)] == [170], "too little for two"


@pytest.mark.parametrize("seed", range(20))
def test_a_merged_size_counts_every_beginning_once(seed):
    rng = random.Random(seed)
    texts = [tuple(rng.choices(range(3), k=rng.randint(1, 6))) for _ in range(rng.randint(1, 8))]
    assert merged_size(texts) == len({text[:end] for text in texts for end in range(1, len(text) + 1)})
