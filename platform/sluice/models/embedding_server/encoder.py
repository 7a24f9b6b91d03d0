"""The model: texts to token ids, token ids to vectors. No queue and no HTTP here."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from sluice.errors import MissingRequirement
from sluice.models.embedding_server import TokenIds, Vectors


class Encoder:
    """A sentence-transformers model loaded from its folder, computing in float32.

    Args:
        folder: holds `modules.json` and what it names; nothing is fetched.
        device: `cpu`, `cuda`, or `auto` for cuda where there is one.
        threads: threads that compute on a CPU; None leaves PyTorch's choice, one for each core.

    Raises:
        MissingRequirement: the folder holds no such model.
    """

    def __init__(self, folder: Path, device: str = "auto", threads: int | None = None) -> None:
        if not (folder / "modules.json").is_file():
            raise MissingRequirement(
                f"There is no sentence-transformers model in '{folder}'.", fix="Fetch it with `sluice models pull`."
            )
        if threads is not None:
            torch.set_num_threads(threads)
        disable_progress_bar()
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self._model = SentenceTransformer(str(folder), device=self.device, local_files_only=True).float().eval()
        # The folder's tokenizer may truncate and pad by itself; both are decided here. Unlike its transformers wrapper,
        # the tokenizer underneath may be used from several threads at once.
        self._tokenizer = self._model.tokenizer.backend_tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._pad_id: int = self._model.tokenizer.pad_token_id or 0
        self._prompt: str = self._model.prompts.get(self._model.default_prompt_name or "") or ""
        self.max_tokens: int = self._model.max_seq_length or self._model.tokenizer.model_max_length
        self.special_tokens: int = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self.vocabulary: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        self.dimensions: int = self.embed([[self._pad_id] * self.max_tokens]).shape[1]

    def tokenize(self, texts: Sequence[str], limit: int | None = None) -> list[TokenIds]:
        """Token ids with the special tokens; with a limit, each text keeps its first tokens, special ones counted."""
        encodings = self._tokenizer.encode_batch_fast(
            [self._prompt + text for text in texts], add_special_tokens=limit is None
        )
        if limit is not None:
            for encoding in encodings:
                encoding.truncate(limit - self.special_tokens)
            encodings = [self._tokenizer.post_process(encoding) for encoding in encodings]
        return [encoding.ids for encoding in encodings]

    def embed(self, inputs: Sequence[TokenIds]) -> Vectors:
        """One vector for each input, computed in one call of the model; shorter inputs are padded and masked."""
        longest = max(len(ids) for ids in inputs)
        padded = np.full((len(inputs), longest), self._pad_id, dtype=np.int64)
        mask = np.zeros_like(padded)
        for row, ids in enumerate(inputs):
            padded[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        features = {
            "input_ids": torch.from_numpy(padded).to(self.device),
            "attention_mask": torch.from_numpy(mask).to(self.device),
        }
        with torch.inference_mode():
            return self._model(features)["sentence_embedding"].cpu().numpy()
