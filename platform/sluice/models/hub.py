"""Download a model from the hub into its cache; run by the engine's Python: `python hub.py ID`.

It is resumable: the hub's client keeps what is already there. Prints `progress - WHAT` and at the end `folder PATH`.
"""

import sys
from importlib import import_module
from typing import Any

WANTED = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.py", "*/*.json"]


def download(repository: str) -> str:
    """The folder of the newest snapshot, complete."""
    hub: Any = import_module("huggingface_hub")
    return hub.snapshot_download(repository, allow_patterns=WANTED)


if __name__ == "__main__":
    print("progress - downloading", flush=True)  # noqa: T201
    print(f"folder {download(sys.argv[1])}", flush=True)  # noqa: T201
