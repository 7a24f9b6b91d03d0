"""LangChain's own test suite for embeddings, against the gateway."""

from typing import Any

import pytest
from langchain_openai import OpenAIEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests

from tests.end_to_end.running_platform import EMBEDDING_MODEL, RunningPlatform


class TestEmbeddings(EmbeddingsIntegrationTests):
    """Without the length check the client sends texts, not token ids of OpenAI's own tokenizer."""

    @pytest.fixture(autouse=True)
    def _use(self, platform: RunningPlatform) -> None:
        self._platform = platform

    @property
    def embeddings_class(self) -> type[OpenAIEmbeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {
            "model": EMBEDDING_MODEL,
            "base_url": self._platform.base_url,
            "api_key": self._platform.key,
            "check_embedding_ctx_length": False,
        }
