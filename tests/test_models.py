"""Loading a model from a folder, what it is called by, and what is said when it cannot be had."""

import json
import pickle
import shutil
from contextlib import nullcontext
from pathlib import Path

import huggingface_hub
import pytest
import torch
from conftest import byte_tokenizer, tiny_llama

from crossalign import pipeline, weights
from crossalign.models import default_dtype, describe, load
from crossalign.planning import RunRequest, plan
from crossalign.schema import UserError
from crossalign.weights import has_weights, identity


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


@pytest.mark.parametrize(("has_it", "dtype"), [(True, "bfloat16"), (False, "float16")])
@pytest.mark.parametrize(("device", "index"), [("cuda", 0), ("cuda:1", 1), ("auto", 0)])
def test_a_gpu_that_only_emulates_bfloat16_works_in_float16(monkeypatch, has_it, dtype, device, index):
    """torch says of every GPU that it has bfloat16, unless it is asked for more than software."""
    asked = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device", lambda i: asked.append(i) or nullcontext())
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or has_it)
    assert default_dtype(device) == dtype
    assert asked == [index]


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

    monkeypatch.setattr(weights, "_file_digest", forbidden)
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


COMMITS = "0" * 39 + "1", "0" * 39 + "2"


@pytest.fixture
def hub(tiny_folder, tmp_path, monkeypatch) -> Path:
    """The Hub's cache with two commits of one repository, the first of which is `main`."""
    root = tmp_path / "hub" / "models--owner--name"
    for commit in COMMITS:
        shutil.copytree(tiny_folder, root / "snapshots" / commit)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMITS[0])
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return root


def test_a_hub_model_is_the_commit_that_it_is_loaded_from(hub):
    assert identity("owner/name") == f"commit:{COMMITS[0]}"
    shutil.rmtree(hub / "snapshots" / COMMITS[0])  # what is loaded can only be the other
    assert load("owner/name", "float32", "cpu", COMMITS[1]).n_layers == 3
    with pytest.raises(UserError, match="owner/name"):
        load("owner/name", "float32", "cpu", COMMITS[0])


def test_a_run_of_a_hub_model_is_computed(hub, xcopa_data, tmp_path):
    request = RunRequest("owner/name", "xcopa", ("it",), data=xcopa_data, limit=2, cache=tmp_path / "cache")
    run = pipeline.run(request)
    assert run.complete and run.spec.model_identity == f"commit:{COMMITS[0]}"


def test_without_a_gpu_auto_is_the_cpu(tiny_folder, xcopa_data, tmp_path):
    request = RunRequest(str(tiny_folder), "xcopa", data=xcopa_data, device="auto", cache=tmp_path)
    planned = plan(request)
    expected = ("cpu", "float32") if not torch.cuda.is_available() else ("cuda", default_dtype("cuda"))
    assert (planned.spec.device, planned.spec.dtype) == expected


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_model_that_memory_does_not_hold_is_one_sentence(tiny_folder, monkeypatch, error):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(torch.nn.Module, "to", fail)
    with pytest.raises(UserError, match=r"memory of cpu does not hold .*--device auto"):
        load(str(tiny_folder), "float32", "cpu")


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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b'{"model_type": "llama", "hidden_size": "many"}'),
        ("tokenizer_config.json", b"[]"),
        ("tokenizer.json", b"[]"),
        ("pytorch_model.bin", b""),
        ("pytorch_model.bin", b"no archive"),
        ("pytorch_model.bin", pickle.dumps(print)),
    ],
)
def test_files_that_no_library_understands_are_told_with_the_folder(folder, name, content):
    """Each of the libraries has errors of its own; a pickle that names a function is refused by torch's loader."""
    if name.endswith(".bin"):
        (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=r"(?s)Cannot load a model from the folder .*model \(.*[A-Za-z]{3}"):
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
