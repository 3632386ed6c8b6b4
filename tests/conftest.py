"""A tiny model, a byte-level tokenizer and small parallel data, all made in code; no network, no GPU."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).parents[1]

SHARED = ROOT.parent / "shared"


def modules_of_arrays() -> list[str]:
    """Names of the modules that say the shapes of arrays."""
    found = [
        path for path in (ROOT / "crossalign").rglob("*.py") if "from jaxtyping" in path.read_text(encoding="utf-8")
    ]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in found]


# While tests run, every call in these is checked against its annotations, shapes included. Other modules are left to
# pyright: checking each of their calls as well takes a tenth of the suite's time.
install_import_hook(modules_of_arrays(), "beartype.beartype")


def pytest_collection_finish() -> None:
    """Streamlit looks for garbage after every run of a page: not in all the libraries that the tests imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests run side by side; more threads than cores make tiny models many times slower."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def packages_scanned_once() -> Iterator[None]:
    """Each page opened by a test starts Streamlit anew, which would read the metadata of every installed package again."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real benchmark data in the upstream schemas, kept beside the checkout and never in it."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the benchmark data are not beside this checkout")
    return SHARED / "data"


def byte_tokenizer():
    """One token per byte after <s>; ids 0 <pad>, 1 <s>, 2 </s>, 3 + byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2} | {c: i + 3 for i, c in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


VOCABULARY = 259


def tiny_llama(seed: int = 0, **changes):
    """A random 3-layer Llama whose states differ clearly between texts."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    settings = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "initializer_range": 0.2,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**(settings | changes))).eval()


@pytest.fixture(scope="session")
def tiny_model():
    """The tiny model in memory, described as the package wants it."""
    from crossalign.models import describe

    return describe(tiny_llama(), byte_tokenizer(), "float32")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as save_pretrained writes it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    tiny_llama().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def xcopa_row(language: str, index: int) -> dict:
    """A row in the upstream schema; texts differ by language and index."""
    return {
        "premise": f"{language} premise number {index} about a thing.",
        "choice1": f"First choice {index} in {language}.",
        "choice2": f"The other one {index * 7 % 10} in {language}.",
        "question": "cause" if index % 2 else "effect",
        "label": index % 3 % 2,
        "idx": index,
        "changed": False,
    }


@pytest.fixture
def write_jsonl() -> Callable[[Path, list[dict]], Path]:
    """Writes rows as a .jsonl file, folders included."""

    def write(path: Path, rows: list[dict]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def xcopa_data(tmp_path: Path, write_jsonl: Callable) -> Path:
    """A data folder with 12 XCOPA instances in English, Italian and Swahili, and a development split."""
    for language in ("en", "it", "sw"):
        folder = tmp_path / "data" / ("copa_en" if language == "en" else f"xcopa/{language}")
        write_jsonl(folder / f"test.{language}.jsonl", [xcopa_row(language, i) for i in range(12)])
        write_jsonl(folder / f"val.{language}.jsonl", [xcopa_row(language, i) for i in range(50, 55)])
    return tmp_path / "data"


@pytest.fixture(scope="session")
def flores_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve parallel sentences in three languages, with a development split."""
    from flores_data import write_flores

    return write_flores(tmp_path_factory.mktemp("flores"))


@pytest.fixture(scope="session")
def translated(tiny_folder: Path, flores_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a translation run and an alignment run of the same model and sentences; copy it before a change."""
    from flores_data import translation_request

    from crossalign import pipeline
    from crossalign.planning import RunRequest

    cache = tmp_path_factory.mktemp("translation") / "cache"
    pipeline.run(translation_request(tiny_folder, flores_data, cache))
    pipeline.run(RunRequest(str(tiny_folder), "flores", data=flores_data, device="cpu", cache=cache))
    return cache
