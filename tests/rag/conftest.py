"""What tests of retrieval share: a tokenizer and an embedder that need no model, and settings that point at them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from rag.index.build import Built, build_index
from rag.index.opened import OpenIndexes
from rag.index.search import Index
from rag.settings import RagSettings
from sluice.gateway_client import GatewayClient
from sluice.settings import Settings
from tests.rag.gateway_double import GatewayDouble

PAGES = {
    "locks.md": "# Locks\n\nA lock lifts boats between two levels.\n\n## Depth\n\nThe lock at Marrick is 62 metres deep. "
    "It has two gates.\n",
    "tolls.txt": "A day ticket costs 9 crowns. Canoes travel free.\n",
    "keepers/rota.html": "<h1>Rota</h1><p>Ines Okafor keeps the sluice at <b>Marrick</b>.</p><script>x</script>",
}


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Shows nothing."""


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Words and punctuation in lower case as tokens, with two special ones around them."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return tokenizer


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A folder of three documents."""
    folder = tmp_path / "pages"
    for name, text in PAGES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.fixture
def gateway_double() -> Iterator[GatewayDouble]:
    with GatewayDouble() as double:
        yield double


@pytest.fixture
def client(gateway_double: GatewayDouble) -> Iterator[GatewayClient]:
    with GatewayClient(gateway_double.url, "sk-sluice-test", parent="req-parent") as client:
        yield client


@pytest.fixture
def settings(tmp_path: Path, tokenizer: Tokenizer, gateway_double: GatewayDouble) -> Settings:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    tokenizer.save(str(model / "tokenizer.json"))
    return Settings.model_validate(
        {
            "platform": {"home": tmp_path / "home"},
            "gateway": {"port": gateway_double.port},
            "models": {"words": {"kind": "embedding", "source": {"path": model}, "port": 1}},
            "extensions": {"rag": RagSettings(embedding_model="words", chat_model="m", threshold=0.4)},
        }
    )


@pytest.fixture
def build(settings: Settings, database: Engine, client: GatewayClient) -> Callable[[Path], Built]:
    """Indexes a folder as `docs`."""

    def build(folder: Path) -> Built:
        return build_index(folder, "docs", settings=settings, engine=database, client=client, progress=no_progress)

    return build


@pytest.fixture
def index(
    pages: Path, build: Callable[[Path], Built], settings: Settings, database: Engine, client: GatewayClient
) -> Iterator[Index]:
    """The three documents, indexed and open."""
    build(pages)
    opened = OpenIndexes(settings, database)
    yield opened.open("docs", client)
    opened.close()
