"""The embedding server: OpenAI's embeddings API over one sentence-transformers model."""

import numpy as np
from numpy.typing import NDArray

TokenIds = list[int]
"""One input: ids of the model's own vocabulary, special tokens included."""
Vectors = NDArray[np.float32]
"""One row for each input."""
