"""Loading a model from a folder, what it is called by, and what is said when it cannot be had."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import byte_tokenizer, tiny_llama

from crossalign import models
from crossalign.models import default_dtype, describe, has_weights, identity, load
from crossalign.schema import UserError


@pytest.fixture
def folder(tiny_folder, tmp_path) -> Path:
    """A copy of the tiny model's folder that may be changed."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def _flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _flip_a_space(path: Path) -> None:
    path.write_text(path.read_text().replace("\n", " \n", 1))


def test_a_loaded_folder_is_the_model_that_was_saved(tiny_folder):
    model = load(str(tiny_folder), "float32", "cpu")
    expected = tiny_llama().state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.model.state_dict().items())
    assert not model.model.training
    assert (model.n_layers, model.hidden_size, model.max_length, model.window) == (3, 32, 2048, None)
    assert (model.device.type, model.dtype) == ("cpu", "float32")
    assert model.tokenize(["ab", ""]) == [tuple(i) for i in byte_tokenizer()(["ab", ""])["input_ids"]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_dtype_is_the_one_asked_for(tiny_folder, dtype):
    assert load(str(tiny_folder), dtype, "cpu").model.dtype == getattr(torch, dtype)


def test_a_cpu_works_in_float32():
    assert default_dtype("cpu") == "float32"


def test_linear_to_attention_counts_operations():
    # A block: q and o 32 x 32, k and v 32 x 16, three of 32 x 64 = 9216; attention 2 * 32 per pair of tokens.
    assert describe(tiny_llama(), byte_tokenizer(), "float32").linear_to_attention == 9216 / 64


@pytest.mark.parametrize(
    ("changes", "window"),
    [({}, None), ({"sliding_window": 64}, 64), ({"sliding_window": 64, "use_sliding_window": False}, None)],
)
def test_a_sliding_window_counts_only_where_it_is_used(changes, window):
    assert describe(tiny_llama(**changes), byte_tokenizer(), "float32").window == window


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model.safetensors", _flip_last_byte),
        ("tokenizer.json", _flip_a_space),
        ("tokenizer_config.json", _flip_a_space),
        ("config.json", _flip_a_space),
    ],
)
def test_one_changed_byte_is_another_model(folder, name, change):
    before = identity(str(folder))
    change(folder / name)
    assert identity(str(folder)) != before


def test_an_added_tokenizer_file_is_another_model(folder):
    before = identity(str(folder))
    (folder / "tokenizer.model").write_bytes(b"x")
    assert identity(str(folder)) != before


def test_neither_the_folders_name_nor_its_readme_count(folder):
    before = identity(str(folder))
    (folder / "README.md").write_text("A model card.")
    other = folder.rename(folder.with_name("other-name"))
    assert identity(str(other)) == identity(str(other) + "/") == before
    assert before.startswith("files:")


def test_a_memo_changes_nothing_and_is_used(folder, tmp_path, monkeypatch):
    memo = tmp_path / "deeper" / "memo.json"
    first = identity(str(folder), memo)
    assert first == identity(str(folder))
    assert json.loads(memo.read_text())

    def forbidden(path):
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(models, "_file_digest", forbidden)
    assert identity(str(folder), memo) == first


def test_a_memo_does_not_hide_a_change(folder, tmp_path):
    memo = tmp_path / "memo.json"
    before = identity(str(folder), memo)
    _flip_last_byte(folder / "model.safetensors")
    assert identity(str(folder), memo) == identity(str(folder)) != before


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "7"])
def test_a_broken_memo_is_only_slow(folder, tmp_path, content):
    memo = tmp_path / "memo.json"
    memo.write_text(content)
    assert identity(str(folder), memo) == identity(str(folder))


def test_a_memo_that_cannot_be_written_is_only_slow(folder, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert identity(str(folder), tmp_path / "file" / "memo.json") == identity(str(folder))


@pytest.mark.parametrize("act", [identity, lambda name: load(name, "float32", "cpu")], ids=["identity", "load"])
def test_a_folder_without_weights_names_the_remedy(folder, act):
    (folder / "model.safetensors").unlink()
    assert not has_weights(folder)
    with pytest.raises(UserError, match=r"no weights.*save_pretrained"):
        act(str(folder))


@pytest.mark.parametrize("act", [identity, lambda name: load(name, "float32", "cpu")], ids=["identity", "load"])
@pytest.mark.parametrize("name", ["no-such-owner/no-such-model", "no such/folder/at all"])
def test_an_unknown_name_offline_names_the_remedy(act, name):
    with pytest.raises(UserError, match=r"(?s)no-? ?such.*check the name and the connection, or give a local folder"):
        act(name)


@pytest.mark.parametrize("device", ["cuda:99", "no-such-device"])
def test_an_absent_device_names_the_remedy(tiny_folder, device):
    with pytest.raises(UserError, match=r"--device cpu"):
        load(str(tiny_folder), "float32", device)


@pytest.mark.parametrize("content", ["{", "{}", '{"model_type": "no-such-type"}'])
def test_a_broken_config_is_told_with_the_folder(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"(?s)Cannot load.*model"):
        load(str(folder), "float32", "cpu")


def test_weights_that_lack_a_tensor_are_refused(folder):
    """Otherwise the layer would be filled with random numbers, and every result with them."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="model"):
        load(str(folder), "float32", "cpu")


def test_half_a_file_of_weights_is_told_with_the_folder(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"(?s)Cannot load.*model"):
        load(str(folder), "float32", "cpu")


def test_a_folder_without_a_tokenizer_is_told_with_the_folder(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(UserError, match=r"(?s)Cannot load.*model"):
        load(str(folder), "float32", "cpu")


def _with_code(folder: Path, **config) -> Path:
    """Puts code into the folder that leaves a mark when it is run, and returns where."""
    mark = folder.parent / "the code was run"
    (folder / "modeling_mark.py").write_text(
        f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class MarkConfig(LlamaConfig):\n    model_type = 'mark'\n"
        "class MarkModel(LlamaForCausalLM):\n    config_class = MarkConfig\n"
    )
    settings = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "modeling_mark.MarkConfig", "AutoModelForCausalLM": "modeling_mark.MarkModel"}
    (folder / "config.json").write_text(json.dumps(settings | {"auto_map": auto_map} | config))
    return mark


def test_code_beside_a_known_model_is_not_run(folder):
    mark = _with_code(folder)
    load(str(folder), "float32", "cpu")
    assert not mark.exists()


def test_a_model_that_needs_its_own_code_is_refused_and_the_code_is_not_run(folder):
    mark = _with_code(folder, model_type="mark", architectures=["MarkModel"])
    with pytest.raises(UserError, match="never runs"):
        load(str(folder), "float32", "cpu")
    assert not mark.exists()
