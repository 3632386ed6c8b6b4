"""Translation runs end to end: the store, resumption, bad input."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import fault
import numpy as np
import pytest
from conftest import byte_tokenizer, tiny_llama
from fault import advanced, flip, parts_of, run_folder, stamps
from flores_data import PARTS, WORDS, N, edit_line, translation_request, translation_run, write_flores

from crossalign import pipeline
from crossalign.console import Reporting
from crossalign.schema import UserError
from crossalign.store import parts, runs
from crossalign.translation import tables as translation_tables
from crossalign.translation.planning import TranslationRequest


@pytest.fixture(scope="module")
def request_of(tiny_folder: Path, flores_data: Path) -> Callable[..., TranslationRequest]:
    """(cache, changes) → a request for all parts."""
    return lambda cache, **changes: translation_request(tiny_folder, changes.pop("data", flores_data), cache, **changes)


@pytest.fixture
def cache(translated: Path, tmp_path: Path) -> Path:
    """A copy of the cache with both runs, to change."""
    return shutil.copytree(translated, tmp_path / "cache")


# --- a run -------------------------------------------------------------------------------------------------------


def test_a_run_has_a_part_for_each_direction_and_is_of_its_own_kind(cache: Path, flores_data: Path) -> None:
    one = translation_run(cache)
    assert one.facts["data"] == str(flores_data)
    assert one.languages() == PARTS and one.complete
    assert one.run_id.startswith("flores-translation_tiny-llama_") and one.spec.kind == "translation"
    assert [r.spec.kind for r in runs.list_runs(cache, None)[0]].count("alignment") == 1
    assert parts.verify(one) == []
    assert one.execution.generation == "shared" and one.spec.translation.shots_from == "dev"


def test_outputs_are_what_the_model_writes_after_the_prompt(cache: Path, tiny_model) -> None:
    from crossalign.forward.generation import Generator, Job
    from crossalign.translation.prompts import Direction, Pair, most_tokens, plain_prompt

    shots = [
        Pair(*(WORDS[c].format("abcdefgh"[i] * (i + 1), 100 + i) for c in ("eng_Latn", "spa_Latn"))) for i in (0, 1)
    ]
    frame = translation_tables.translations(translation_run(cache), "eng_Latn-spa_Latn")
    generator = Generator(tiny_model, 1, "batches")
    for row in frame.iloc[[0, 5]].to_dict("records"):
        prompt = plain_prompt(Direction("eng_Latn", "spa_Latn"), shots, row["source"])
        assert prompt.startswith("English: The a stood") and prompt.endswith(f"English: {row['source']}\nSpanish:")
        (tokens,) = tiny_model.tokenize([prompt])
        (written,) = generator.run([Job(tokens, most_tokens(row["source"], 0.2))])
        assert (row["output"], row["stop"]) == (generator.text(written), written.stop)
        assert (row["n_prompt"], row["n_tokens"]) == (len(tokens), len(written.tokens))


def test_the_same_request_finds_the_run_and_another_does_not(request_of: Callable, cache: Path, tmp_path: Path) -> None:
    before = stamps(cache)
    assert pipeline.run(request_of(cache)).run_id == translation_run(cache).run_id
    assert stamps(cache) == before
    ids = {translation_run(cache).run_id}
    for changes in ({"shots": 1}, {"length_ratio": 0.3}, {"limit": 5}, {"shots_from": "test"}, {"pivot": "spa_Latn"}):
        one = pipeline.run(request_of(tmp_path / "other", languages=("rus_Cyrl",), direction="en-xx", **changes))
        assert one.run_id not in ids
        ids.add(one.run_id)


def test_directions_and_languages_are_added_to_a_run(request_of: Callable, tmp_path: Path, cache: Path) -> None:
    first = pipeline.run(request_of(tmp_path / "c", languages=("Spanish",), direction="en-xx"))
    assert first.languages() == ["eng_Latn-spa_Latn"] and first.run_id == translation_run(cache).run_id
    both = pipeline.run(request_of(tmp_path / "c"))
    assert both.run_id == first.run_id and both.languages() == PARTS
    got, expected = (
        {part: translation_tables.translations(one, part) for part in PARTS} for one in (both, translation_run(cache))
    )
    assert all(got[part].equals(expected[part]) for part in PARTS)


def test_examples_of_the_test_split_are_left_out(request_of: Callable, tmp_path: Path) -> None:
    one = pipeline.run(request_of(tmp_path, shots_from="test", languages=("spa_Latn",)))
    frame = translation_tables.translations(one, "spa_Latn-eng_Latn")
    assert frame["instance_id"].tolist() == [str(i) for i in range(2, N)]
    assert one.manifest("spa_Latn-eng_Latn").counts["used_as_shots"] == 2


def test_a_chat_template_is_used_where_there_is_one_and_recorded(request_of: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    tiny_llama().save_pretrained(folder)
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    tokenizer.save_pretrained(folder)
    wanted = {"model": str(folder), "languages": ("spa_Latn",), "direction": "en-xx"}
    chat = pipeline.run(request_of(tmp_path / "c", **wanted))
    plain = pipeline.run(request_of(tmp_path / "c", **wanted, prompt="plain"))
    assert chat.spec.translation.prompt == "chat" and plain.spec.translation.prompt == "plain"
    frames = [translation_tables.translations(one, "eng_Latn-spa_Latn") for one in (chat, plain)]
    assert (frames[0]["n_prompt"] > frames[1]["n_prompt"]).all()
    tokenizer.chat_template = "{{ raise_exception('no assistant here') }}"
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match="no assistant here"):
        pipeline.run(request_of(tmp_path / "c", **wanted))


def other_bleu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokenizer of FLORES-200 seems to be there, so that its BLEU can be asked for."""
    monkeypatch.setattr("crossalign.translation.quality.has_flores200", lambda: True)
    monkeypatch.setattr("crossalign.translation.quality.bleu_tokenizer", lambda choice, target: "char")
    monkeypatch.setattr("crossalign.translation.columns.bleu_tokenizer", lambda choice, target: "char")


def test_other_scores_do_not_generate_again(request_of: Callable, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = translation_run(cache)
    other_bleu(monkeypatch)
    monkeypatch.setattr("crossalign.forward.generation.Generator.run", lambda *a: pytest.fail("generated again"))
    second = pipeline.run(request_of(cache, bleu="flores200"))
    assert second.run_id != first.run_id and second.manifest(PARTS[0]).provenance["reused_outputs"]
    old, new = (translation_tables.translations(one, PARTS[0]) for one in (first, second))
    assert old["output"].equals(new["output"]) and not old["bleu"].equals(new["bleu"])


# --- nothing is lost ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fault.Server]:
    started = fault.Server(tmp_path_factory.mktemp("jobs"), with_scores=True)
    yield started
    started.close()


def test_a_run_killed_again_and_again_ends_with_the_same_bits(
    server: fault.Server, tiny_folder: Path, flores_data: Path, tmp_path: Path
) -> None:
    def command(cache: Path) -> list[str]:
        fixed = f"translate --model {tiny_folder} --data {flores_data} --shots 2 --length-ratio 0.2 --device cpu --json"
        return [*fixed.split(), "--batch-tokens", "700", "--cache", str(cache)]

    job = server.run(command(tmp_path / "undisturbed"))
    assert advanced(job.events) == dict.fromkeys(PARTS, N)
    rng, kills, computed = random.Random(5), 0, dict.fromkeys(PARTS, 0)
    while True:
        job = server.start(command(tmp_path / "c"), ".", str(tmp_path / "c"), rng.randint(5, 30))
        status = job.wait()
        for name, amount in advanced(job.events).items():
            computed[name] += amount
        if status == 0:
            break
        kills += 1
        assert status == -9, job.errors
    assert kills >= 5
    # A batch may be written and the kill come before its progress is told, never the other way round.
    assert all(amount <= N for amount in computed.values()), computed
    assert parts_of(tmp_path / "c") == parts_of(tmp_path / "undisturbed")
    assert not (run_folder(tmp_path / "c") / "work").exists()


def test_damage_is_found_and_a_damaged_batch_is_made_again(request_of: Callable, cache: Path, tmp_path: Path) -> None:
    one = translation_run(cache)
    flip(one.part_folder(PARTS[1]) / "translations.parquet", 200)
    assert len(parts.verify(one)) == 1
    with pytest.raises(UserError, match="damaged"):
        translation_tables.translations(one, PARTS[1])
    from crossalign.store.drafts import read_batch, save_batch

    save_batch(tmp_path, "key", 3, [["a"], ["b"]])
    assert read_batch(tmp_path, "key", 3, 2) == [["a"], ["b"]]
    assert read_batch(tmp_path, "other", 3, 2) is read_batch(tmp_path, "key", 3, 1) is read_batch(tmp_path, "key", 4, 2)
    (file,) = tmp_path.glob("batch-*.json")
    file.write_text(file.read_text()[:20])
    assert read_batch(tmp_path, "key", 3, 2) is None


# --- bad input ---------------------------------------------------------------------------------------------------


def test_empty_lines_are_told_and_left_out_and_the_rest_goes_on(
    request_of: Callable, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_flores(tmp_path / "data")
    edit_line(data, "spa_Latn", 3, "  ")
    one = pipeline.run(request_of(tmp_path / "c", data=data, languages=("spa_Latn",)), Reporting())
    told = capsys.readouterr().err
    assert "spa_Latn-eng_Latn: 1 of 12 sentences are left out (empty source): 3" in told
    assert "eng_Latn-spa_Latn: 1 of 12 sentences are translated but not scored (empty reference): 3" in told
    frames = {part: translation_tables.translations(one, part) for part in one.languages()}
    assert [f["problem"].tolist()[3] for f in frames.values()] == ["empty reference", "empty source"]
    assert all(f["chrf"].notna().sum() == N - 1 for f in frames.values())
    assert frames["eng_Latn-spa_Latn"]["output"].notna().all()
    other_bleu(monkeypatch)
    wanted = request_of(tmp_path / "c", data=data, languages=("spa_Latn",), bleu="flores200")
    anew, again = pipeline.run(wanted, Reporting()), capsys.readouterr().err
    assert "1 of 12 sentences are translated but not scored (empty reference): 3" in again
    assert [anew.manifest(p).counts for p in anew.languages()] == [one.manifest(p).counts for p in one.languages()]


def test_a_model_that_never_stops_is_cut_and_told(cache: Path, request_of: Callable, capsys, tmp_path: Path) -> None:
    pipeline.run(request_of(tmp_path, languages=("spa_Latn",), direction="en-xx", limit=3), Reporting())
    frame = translation_tables.directions(translation_run(cache)).set_index("part")
    share = frame.loc["eng_Latn-spa_Latn", "truncated"]
    assert share > 0.5, "a random model hardly ever writes the newline byte"
    assert "reached the length limit and are cut" in capsys.readouterr().err


def test_outputs_in_another_script_are_told(request_of: Callable, capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("crossalign.forward.generation.Generator.text", lambda *_: "The same river in Latin letters")
    fixed = {"languages": ("rus_Cyrl",), "direction": "en-xx", "limit": 3, "length_ratio": 0.01}
    one = pipeline.run(request_of(tmp_path, **fixed), Reporting())
    told, frame = capsys.readouterr().err, translation_tables.translations(one, "eng_Latn-rus_Cyrl")
    assert frame["wrong_script"].all() and frame["output"].notna().all()
    stopped = frame["stop"] != "length"
    assert (f"{stopped.sum()} of 3 sentences have an output in another script" in told) == bool(stopped.any())
    assert (f"{3 - stopped.sum()} of 3 sentences reached the length limit" in told) == bool((~stopped).any())


def test_a_language_with_a_file_but_no_name_is_told(request_of: Callable, tmp_path: Path) -> None:
    data = write_flores(tmp_path / "data")
    for split in ("devtest", "dev"):
        source = data / f"flores200_{split}"
        shutil.copy(source / f"spa_Latn.{split}", source / f"zzz_Latn.{split}")
    with pytest.raises(UserError, match="zzz_Latn"):
        pipeline.run(request_of(tmp_path / "c", data=data, languages=("zzz_Latn",)))
    both = pipeline.run(request_of(tmp_path / "c", data=data, languages=(), direction="en-xx", limit=1))
    assert "eng_Latn-zzz_Latn" not in both.languages()


def test_prompts_longer_than_the_model_are_counted_and_left_out(request_of: Callable, capsys, tmp_path: Path) -> None:
    folder = tmp_path / "short"
    tiny_llama(max_position_embeddings=150).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    data = write_flores(tmp_path / "data")
    edit_line(data, "eng_Latn", 2, "word " * 40)
    wanted = {"model": str(folder), "data": data, "shots": 0, "languages": ("spa_Latn",), "direction": "en-xx"}
    one = pipeline.run(request_of(tmp_path / "c", **wanted), Reporting())
    told = capsys.readouterr().err
    assert "1 of 12 sentences are left out (too long)" in told
    frame = translation_tables.translations(one, "eng_Latn-spa_Latn")
    assert [p for p in frame["problem"]] == ["", "", "too long"] + [""] * (N - 3)
    assert one.manifest("eng_Latn-spa_Latn").counts["too_long"] == 1
    nothing = pipeline.run(request_of(tmp_path / "c", **(wanted | {"shots": 5})), Reporting())
    assert "12 of 12 sentences are left out (too long: use fewer --shots)" in capsys.readouterr().err
    frame = translation_tables.directions(nothing)
    assert frame["n"].tolist() == [0] and np.isnan(frame["chrf"][0])


MISTAKES = {
    "a language without a file": ({"languages": ("deu_Latn",)}, "No file of FLORES-200 .deu_Latn"),
    "an unknown language": ({"languages": ("Spansh",)}, "nearest: spa_Latn"),
    "the pivot alone": ({"languages": ("eng_Latn",)}, "nothing to translate"),
    "a task of questions": ({"task": "xcopa"}, "tasks that can be translated: flores"),
    "an unknown direction": ({"direction": "xx-xx"}, "en-xx, xx-en, both"),
    "no chat template": ({"prompt": "chat"}, "no chat template"),
    "too many examples": ({"shots": 6}, "only 5 examples"),
    "examples instead of sentences": ({"shots": N, "shots_from": "test"}, "no sentences in eng_Latn besides"),
    "no tokenizer for BLEU": ({"bleu": "flores200"}, "use --bleu by-script"),
    "a negative ratio": ({"length_ratio": -1.0}, "--length-ratio -1.0"),
    "not a number": ({"length_ratio": float("nan")}, "--length-ratio nan"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_before_anything_is_computed(
    request_of: Callable, tmp_path: Path, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sacrebleu.utils.SACREBLEU_DIR", str(tmp_path))
    changes, sentence = MISTAKES[mistake]
    with pytest.raises(UserError, match=sentence):
        pipeline.run(request_of(tmp_path / "c", **changes))
    assert not list((tmp_path / "c").glob("*/run.json"))


def test_files_with_different_numbers_of_lines_are_refused(request_of: Callable, tmp_path: Path) -> None:
    data = write_flores(tmp_path / "data")
    edit_line(data, "spa_Latn", 4, None)
    with pytest.raises(UserError, match=r"spa_Latn has 11 sentences and eng_Latn 12 .*'11'"):
        pipeline.run(request_of(tmp_path / "c", data=data, limit=5))


def test_sentences_that_changed_are_not_mixed_with_old_ones(request_of: Callable, tmp_path: Path) -> None:
    data = write_flores(tmp_path / "data")
    pipeline.run(request_of(tmp_path / "c", data=data))
    edit_line(data, "spa_Latn", 4, "Otra frase.")
    with pytest.raises(UserError, match="have changed"):
        pipeline.run(request_of(tmp_path / "c", data=data))
