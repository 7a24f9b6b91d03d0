"""The embedding server over a double for the model that takes half a second for each batch."""

import time
from collections.abc import Sequence

import numpy as np

from sluice.models.embedding_server import TokenIds, Vectors, __main__


class SlowEncoder:
    device = "cpu"
    max_tokens = 256
    special_tokens = 2
    vocabulary = 100
    dimensions = 2

    def tokenize(self, texts: Sequence[str], limit: int | None = None) -> list[TokenIds]:
        return [[1] * len(text) for text in texts]

    def embed(self, inputs: Sequence[TokenIds]) -> Vectors:
        time.sleep(0.5)
        return np.ones((len(inputs), 2), dtype=np.float32)


__main__._load_encoder = lambda _: SlowEncoder()
__main__.main()
