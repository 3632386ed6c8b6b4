"""Scores against sacrebleu's public functions, intervals against slow loops, flags by hand and on real sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sacrebleu

from crossalign.schema import Instance, UserError
from crossalign.translation.checks import check_languages, is_copy, script_share
from crossalign.translation.columns import FLAGS, Output, translation_columns
from crossalign.translation.prompts import (
    Direction,
    Pair,
    chat_messages,
    direction_of,
    language_name,
    most_tokens,
    plain_prompt,
)
from crossalign.translation.quality import (
    RESAMPLES,
    SEED,
    Scorer,
    bleu_tokenizer,
    has_flores200,
    paired_difference,
)

REFERENCES = [
    "The cat sat on the mat and looked at the door.",
    "Tomorrow it will rain in the whole country.",
    "She opened the window because the room was hot.",
    "Nobody knows where the old bridge stood.",
    "He wrote two letters to his sister last week.",
]
FIRST = [
    "The cat sat on a mat and looked at a door.",
    "Tomorrow it rains in the country.",
    "She opened a door because it was hot.",
    "",
    "He wrote letters to the sister.",
]
SECOND = [REFERENCES[0], REFERENCES[1], FIRST[2], "Nobody knows the old bridge.", FIRST[4]]
GROUPS = np.arange(5)


@pytest.mark.parametrize("name", ["chrf", "bleu"])
@pytest.mark.parametrize("tokenizer", ["13a", "char", "zh"])
def test_scores_are_those_of_sacrebleu(name: str, tokenizer: str) -> None:
    scorer = Scorer(name, tokenizer, FIRST, REFERENCES)
    if name == "chrf":
        corpus = sacrebleu.corpus_chrf(FIRST, [REFERENCES], word_order=2).score
        each = [sacrebleu.sentence_chrf(o, [r], word_order=2).score for o, r in zip(FIRST, REFERENCES, strict=True)]
    else:
        corpus = sacrebleu.corpus_bleu(FIRST, [REFERENCES], tokenize=tokenizer).score
        each = [
            sacrebleu.sentence_bleu(o, [r], tokenize=tokenizer).score for o, r in zip(FIRST, REFERENCES, strict=True)
        ]
    assert scorer.corpus() == pytest.approx(corpus, abs=1e-9)
    assert scorer.sentences() == pytest.approx(each, abs=1e-9)
    assert f"version:{sacrebleu.__version__}" in scorer.signature
    assert ("nw:2" if name == "chrf" else f"tok:{tokenizer}") in scorer.signature


@pytest.mark.parametrize("name", ["chrf", "bleu"])
def test_the_interval_is_that_of_a_slow_bootstrap(name: str) -> None:
    got = Scorer(name, "13a", FIRST, REFERENCES).interval(GROUPS)
    drawn = []
    for counts in np.random.default_rng(SEED).multinomial(5, np.full(5, 0.2), size=RESAMPLES)[:40]:
        chosen = np.repeat(np.arange(5), counts)
        outputs, references = [FIRST[i] for i in chosen], [REFERENCES[i] for i in chosen]
        drawn.append(Scorer(name, "13a", outputs, references).corpus())
    fast = Scorer(name, "13a", FIRST, REFERENCES)
    weights = np.random.default_rng(SEED).multinomial(5, np.full(5, 0.2), size=RESAMPLES)
    everything = [fast.corpus(w.astype(float)) for w in weights]
    assert everything[:40] == pytest.approx(drawn, abs=1e-9)
    assert (got.low, got.high) == pytest.approx(tuple(np.percentile(everything, [2.5, 97.5])))
    assert got.low <= got.score <= got.high and got.n == 5


def test_groups_are_drawn_as_a_whole() -> None:
    """With every sentence twice in a group of its own, the interval is that of the sentences once."""
    once = Scorer("chrf", "13a", FIRST, REFERENCES).interval(GROUPS)
    twice = Scorer("chrf", "13a", FIRST * 2, REFERENCES * 2)
    assert twice.interval(np.tile(GROUPS, 2))[:3] == pytest.approx(once[:3])
    wider = twice.interval(np.arange(10))
    assert wider.high - wider.low < once.high - once.low


def test_nothing_to_score_is_nan_and_one_group_has_no_interval() -> None:
    nothing = Scorer("bleu", "13a", [], [])
    assert np.isnan(nothing.corpus()) and nothing.interval(np.zeros(0, int)).n == 0 and nothing.signature == ""
    one = Scorer("chrf", "13a", FIRST[:1], REFERENCES[:1]).interval(np.zeros(1, int))
    assert one.score > 0 and np.isnan(one.low)


def test_the_paired_difference_agrees_with_sacrebleu() -> None:
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.significance import PairedTest

    outputs = [("first", FIRST * 20), ("second", SECOND * 20)]
    _, theirs = PairedTest(outputs, {"chrF2++": CHRF(word_order=2)}, [REFERENCES * 20], test_type="bs")()
    result = theirs["chrF2++"]
    scorers = [Scorer("chrf", "13a", o, REFERENCES * 20) for _, o in outputs]
    got = paired_difference(*scorers, np.arange(100))
    assert got.difference == pytest.approx(result[1].score - result[0].score, abs=1e-9)
    assert got.p == pytest.approx(result[1].p_value, abs=0.02)
    assert got.low < got.difference < got.high and got.low > 0
    same = paired_difference(scorers[0], scorers[0], np.arange(100))
    assert same[:4] == (0, 0, 0, 1)
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference(scorers[0], Scorer("chrf", "13a", FIRST, REFERENCES), GROUPS)


def test_bleu_without_the_downloaded_tokenizer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    codes = ("eng_Latn", "zho_Hant", "zh", "jpn_Jpan", "mya_Mymr", "arb_Arab")
    assert [bleu_tokenizer("by-script", c) for c in codes] == ["13a", "zh", "zh", "char", "char", "13a"]
    assert bleu_tokenizer("flores200", "mya_Mymr") == "flores200"
    monkeypatch.setattr("sacrebleu.utils.SACREBLEU_DIR", str(tmp_path))
    assert not has_flores200()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "flores200sacrebleuspm").write_bytes(b"x")
    assert has_flores200()


# --- prompts -----------------------------------------------------------------------------------------------------


def test_prompts_name_the_languages_in_english() -> None:
    out = Direction("eng_Latn", "zho_Hans")
    assert direction_of(out.part) == out
    assert plain_prompt(out, [], "A cat.") == "English: A cat.\nChinese (Simplified):"
    turns = chat_messages(Direction("sw", "en"), [Pair("Paka.", "A cat.")], "Mbwa.")
    assert [t["role"] for t in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"] == "A cat." and turns[2]["content"].endswith("Swahili: Mbwa.\nEnglish:")
    with pytest.raises(UserError, match="no English name"):
        language_name("xx_Yyyy")
    assert most_tokens("", 3.0) == 16 and most_tokens("abc", 0.5) == 18


# --- flags -------------------------------------------------------------------------------------------------------


def test_script_share_counts_letters_only() -> None:
    assert script_share("Привет, Anna", "rus_Cyrl") == 0.6
    assert script_share("नमस्ते 123!", "hin_Deva") == 1.0
    assert script_share("日本のカメラ", "jpn_Jpan") == 1.0
    assert script_share("猫在家", "zho_Hans") == 1.0
    assert script_share("한국어", "kor_Hang") == 1.0
    assert np.isnan(script_share("123 …!", "rus_Cyrl"))


def test_a_copy_is_the_source_again_where_the_reference_is_not() -> None:
    assert is_copy("the CAT, sat", "The cat sat.", "Paka aliketi.")
    assert not is_copy("The cat sits.", "The cat sat.", "Paka aliketi.")
    assert not is_copy("Anna Smith", "Anna Smith", "Anna Smith."), "a name is its own translation"
    assert not is_copy("", "", "x") and not is_copy("...", "!", "x")


SPANISH = [
    "El gato se sentó en la alfombra y miró la puerta durante mucho tiempo.",
    "Mañana lloverá en todo el país, según dijeron los expertos.",
    "Ella abrió la ventana porque hacía mucho calor en la habitación.",
]


def test_wrong_languages_and_scripts_are_found() -> None:
    right = check_languages(SPANISH, SPANISH, "spa_Latn")
    assert right.method == "language" and right.off_target.tolist() == [0, 0, 0] and right.references == 0
    outputs = [REFERENCES[0], "Кот сидел на ковре и долго смотрел на дверь.", "12 34"]
    wrong = check_languages(outputs, SPANISH, "spa_Latn")
    assert wrong.off_target[:2].tolist() == [1, 1] and np.isnan(wrong.off_target[2])
    assert wrong.wrong_script[:2].tolist() == [0, 1] and np.isnan(wrong.wrong_script[2])
    assert wrong.identified[0] == "en" and wrong.identified[2] == ""


def test_where_the_identifier_fails_on_the_references_only_the_script_counts() -> None:
    """Central Kanuri in Arabic script is unknown to the identifier."""
    references = ["ﻚﺎﺴﻌﺗ ﻥﻭﺭ", "ﻝﻭﻍﻭ ﺐﺋﺭ"]
    check = check_languages(["The cat sat on the mat.", "ﻝﻭﻍﻭ"], references, "knc_Arab")
    assert check.method == "script" and check.references == 1
    assert check.off_target.tolist() == check.wrong_script.tolist() == [1, 0]
    assert check_languages([], [], "spa_Latn").method == "script"


@pytest.mark.shared
def test_the_identifier_is_right_on_real_sentences_and_finds_english_among_them(shared_data: Path) -> None:
    folder = shared_data / "flores200_devtest"
    english = (folder / "eng_Latn.devtest").read_text(encoding="utf-8").splitlines()[:100]
    for file in sorted(folder.glob("*.devtest")):
        lines = file.read_text(encoding="utf-8").splitlines()[:100]
        good = check_languages(lines[1:] + lines[:1], lines, file.stem)
        assert good.method == "language" and good.references <= 0.15, file.stem
        assert np.nanmean(good.off_target) <= 0.15, file.stem
        if file.stem != "eng_Latn":
            assert np.nanmean(check_languages(english, lines, file.stem).off_target) >= 0.99, file.stem


# --- columns -----------------------------------------------------------------------------------------------------


def test_every_sentence_keeps_its_row_and_what_is_wrong_with_it() -> None:
    sources = ["The cat.", "A dog.", "", "Good day.", "Rain.", "Sun.", "Snow."]
    references = [SPANISH[0], SPANISH[1], SPANISH[2], "", SPANISH[0], SPANISH[1], SPANISH[2]]
    rows = zip("abcdefg", sources, references, strict=True)
    instances = [Instance(i, i, source, "", (), None, "p", (reference,)) for i, source, reference in rows]
    outputs = [
        Output(SPANISH[0], "newline", 9, 5, 50, ""),
        Output("a dog", "length", 50, 5, 50, ""),
        Output(None, "", 0, 0, 0, "empty source"),
        Output("Buenos días.", "end", 3, 5, 50, ""),
        Output("", "newline", 1, 5, 50, ""),
        Output(None, "nonfinite", 0, 5, 50, "nonfinite"),
        Output("Снег падает на старый мост.", "newline", 9, 5, 50, ""),
    ]
    columns = translation_columns(instances, outputs, "spa_Latn", "by-script")
    plain = {name: column.to_pylist() for name, column in columns.translations.items()}
    assert all(len(column) == 7 for column in plain.values())
    assert plain["problem"] == ["", "", "empty source", "empty reference", "", "nonfinite", ""]
    assert [c is None for c in plain["chrf"]] == [False, False, True, True, False, True, False]
    assert plain["chrf"][0] == pytest.approx(100) and plain["chrf"][4] == 0
    flags = {name: [place for place, value in enumerate(plain[name]) if value] for name in FLAGS}
    assert flags == {"off_target": [1, 6], "wrong_script": [6], "copied": [1], "empty": [4], "truncated": [1]}
    assert plain["off_target"][4] is None, "an empty output is in no language"
    assert columns.check == {"method": "language", "references_off_target": 0.0}
    quality = {name: column.to_pylist() for name, column in columns.quality.items()}
    rows = dict(zip(quality["metric"], zip(quality["value"], quality["n"], strict=True), strict=True))
    assert rows["off_target"] == (2 / 3, 3) and rows["empty"] == (0.25, 4) and rows["truncated"] == (0.25, 4)
    texts = [outputs[i].text for i in (0, 1, 4, 6)]
    expected = sacrebleu.corpus_chrf(texts, [[references[i] for i in (0, 1, 4, 6)]], word_order=2).score
    assert rows["chrf"] == (pytest.approx(expected), 4)
