"""From instances to token ids: cut as lm-evaluation-harness cuts, and never shortened."""

import pytest
from conftest import byte_tokenizer

from crossalign.forward.texts import TokenizedInstance, requests_of, tokenized
from crossalign.schema import Instance, UserError


def _question(
    context: str, options: tuple[str, ...], prompt: str = "", continuations: tuple[str, ...] = ()
) -> Instance:
    """An instance that is scored on its embedded texts unless a prompt is given."""
    return Instance("q7", "g", context, context, options, 0, prompt or context, continuations or options)


def _byte_level(texts: list[str]) -> list[tuple[int, ...]]:
    tokenizer = byte_tokenizer()
    return [tuple(tokenizer(t)["input_ids"]) for t in texts]


@pytest.fixture(scope="module")
def merging():
    """A BPE trained without splitting at spaces, with room for one merge: a full stop and the space after it."""
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.BPE())
    alphabet = [*"abcdefghijklmnopqrstuvwxyz .\n"]
    trainer = trainers.BpeTrainer(vocab_size=len(alphabet) + 1, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["no. we", "sa. he", "oh. di"], trainer)
    assert tokenizer.encode("no. we").tokens == ["n", "o", ". ", "w", "e"]
    return lambda texts: [tuple(tokenizer.encode(t).ids) for t in texts]


def _harness(tokenize, context: str, continuation: str) -> tuple[tuple[int, ...], int]:
    """`TemplateLM._encode_pair` of lm-evaluation-harness 0.4 and what it then feeds: context tokens, then the rest."""
    spaces = len(context) - len(context.rstrip())
    if spaces > 0:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    whole, alone = tokenize([context + continuation])[0], tokenize([context])[0]
    return alone + whole[len(alone) :], len(alone)


PROMPTS = ["was it", "was it  ", "it is so.", "it is. ", "is it \n", "a"]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("kind", ["bytes", "merging"])
def test_continuations_are_cut_where_the_harness_cuts(prompt, kind, merging):
    tokenize = _byte_level if kind == "bytes" else merging
    endings = ("so it is", "no.", "z")
    (one,) = tokenized([_question("other", ("x", "y", "z"), prompt, endings)], tokenize)
    for ending, scored, start in zip(endings, one.scored, one.starts, strict=True):
        assert (scored, start) == _harness(tokenize, prompt, " " + ending)


def test_a_boundary_that_merges_is_cut_at_the_length_of_the_prompt(merging):
    whole, prompt = merging(["it is. so"])[0], merging(["it is."])[0]
    assert whole[: len(prompt)] != prompt, "the tokenizer of this test must merge across the boundary"
    (one,) = tokenized([_question("it is.", ("so",))], merging)
    # i t _ i s ". " | s o: the space went into the sixth token; lm-evaluation-harness feeds the prompt's own "." there.
    assert one.scored == (prompt + whole[len(prompt) :],)
    assert one.starts == (6,)
    assert len(whole) == 8


def test_an_end_of_text_after_every_text_stands_before_no_option_and_is_not_scored():
    def ending(texts: list[str]) -> list[tuple[int, ...]]:
        return [(*tokens, 2) for tokens in _byte_level(texts)]

    questions = [_question("ab", ("c", "dd")), _question("ab", ("c", "dd"), "Q:", ("A", "B"))]
    for found, plain in zip(tokenized(questions, ending, 2), tokenized(questions, _byte_level, 2), strict=True):
        assert (found.scored, found.starts) == (plain.scored, plain.starts)
        assert found.options == tuple((*tokens, 2) for tokens in plain.options) and found.premise[-1] == 2


def test_spaces_at_the_prompts_end_belong_to_the_continuation():
    (one,) = tokenized([_question("ab  ", ("c",))], _byte_level)
    # <s> a b | two spaces of the prompt, the joining space, c
    assert one.starts == (3,)
    assert len(one.scored[0]) == 7


def test_texts_keep_their_order_over_instances():
    questions = [_question("ab", ("c", "dd")), _question("efg", ("h", "ii"), "Q", ("A", "B"))]
    both = tokenized(questions, _byte_level)
    assert both == [tokenized([q], _byte_level)[0] for q in questions]
    assert both[1].options == tuple(_byte_level(["efg h", "efg ii"]))
    assert both[1].scored == tuple(_byte_level(["Q A", "Q B"]))
    assert both[1].premise == _byte_level(["efg"])[0]


def test_no_instances_give_nothing():
    assert tokenized([], _byte_level) == []


def test_sentences_have_no_options_and_no_scores():
    (one,) = tokenized([Instance("s", "s", "A sentence.")], _byte_level)
    assert one == TokenizedInstance((), _byte_level(["A sentence."])[0], (), ())
    requests, left_out = requests_of(one, 3, 100)
    assert [(r.pooled, r.scored) for r in requests] == [(3, -1)]
    assert not left_out


def _stripping(texts: list[str]) -> list[tuple[int, ...]]:
    """Like a tokenizer whose normaliser drops outer spaces; one token per character, no BOS."""
    return [tuple(map(ord, t.strip())) for t in texts]


@pytest.mark.parametrize("ending", ["", " ", "\t"])
def test_an_option_that_adds_no_token_is_refused_with_its_instance(ending):
    question = _question("abc", ("d", "e"), "abc", ("d", ending))
    with pytest.raises(UserError, match=r"'q7'.*adds no token"):
        tokenized([question], _stripping)


def test_an_option_that_merges_into_the_prompt_is_refused(merging):
    # "it." and "it. " both have three tokens, the last one differs.
    with pytest.raises(UserError, match="adds no token"):
        tokenized([_question("it.", ("so", "x"), "it.", ("so", ""))], merging)


@pytest.mark.parametrize(
    "question",
    [Instance("empty", "g", ""), Instance("empty", "g", "p", "", ("",), 0, "p", ("x",))],
    ids=["premise", "option"],
)
def test_a_text_without_any_token_is_refused_with_its_instance(question):
    with pytest.raises(UserError, match=r"'empty'.*no token"):
        tokenized([question], _stripping)


def test_a_prompt_without_any_token_cannot_be_scored():
    with pytest.raises(UserError, match="'q7'"):
        tokenized([_question("abc", ("d",), " ", ("d",))], _stripping)


def _apart() -> TokenizedInstance:
    return TokenizedInstance(((1, 5, 6), (1, 5, 7)), (1, 5), ((2, 3, 4, 8), (2, 3, 4, 9)), (3, 3))


def test_requests_are_numbered_by_instance_and_option():
    requests, left_out = requests_of(_apart(), 4, 100)
    # Two options and a premise: instance 4 owns the states 12, 13, 14 and the log-likelihoods 8, 9.
    assert {(r.tokens, r.pooled, r.scored, r.start) for r in requests} == {
        ((1, 5), 14, -1, 0),
        ((1, 5, 6), 12, -1, 0),
        ((1, 5, 7), 13, -1, 0),
        ((2, 3, 4, 8), -1, 8, 3),
        ((2, 3, 4, 9), -1, 9, 3),
    }
    assert not left_out


def test_a_text_that_is_both_embedded_and_scored_is_one_request():
    one = _apart()._replace(scored=_apart().options, starts=(2, 2))
    requests, _ = requests_of(one, 0, 100)
    assert {(r.pooled, r.scored, r.start) for r in requests} == {(2, -1, 0), (0, 0, 2), (1, 1, 2)}


@pytest.mark.parametrize(("limit", "kept"), [(1, 0), (2, 1), (3, 5), (4, 5)])
def test_texts_longer_than_the_model_are_left_out_and_never_cut(limit, kept):
    # To be run: premise 2 tokens, options 3, scored texts 4 of which the last needs no run.
    requests, left_out = requests_of(_apart(), 0, limit)
    texts = {_apart().premise, *_apart().options, *_apart().scored}
    assert len(requests) == kept
    assert left_out == (kept < 5)
    assert all(r.tokens in texts for r in requests)


def test_a_text_is_tokenised_with_the_default_special_tokens_and_never_cut(tiny_model):
    long = "é" * 5000
    short, cut = tiny_model.tokenize(["né", long])
    assert (short[0], len(short), len(cut)) == (1, 1 + 3, 1 + 2 * 5000)
    assert tiny_model.tokenize([]) == []
