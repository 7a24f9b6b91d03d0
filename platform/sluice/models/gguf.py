"""Convert a GGUF file to a folder of safetensors; run by the engine's Python: `python gguf.py SOURCE FOLDER`.

It imports only what the engine's environment holds. Progress goes to stdout, one line each:
`progress FRACTION WHAT`.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def convert(source: Path, folder: Path) -> None:
    """Write the model of `source` to `folder` in bfloat16, as the hub's own folders look."""
    report(0.0, "loading transformers")
    transformers: Any = import_module("transformers")
    bfloat16 = import_module("torch").bfloat16

    report(0.3, "reading the tokenizer")
    tokenizer = transformers.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    report(0.45, "reading the weights")
    quantized = transformers.AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=bfloat16)
    report(0.75, "copying the weights")
    config = quantized.config
    if hasattr(config, "quantization_config"):  # else save_pretrained refuses: a GGUF is not a format it can write
        del config.quantization_config
    plain = transformers.AutoModelForCausalLM.from_config(config, dtype=bfloat16)
    plain.load_state_dict(quantized.state_dict())
    report(0.85, "writing safetensors")
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    report(1.0, "converted")


def report(fraction: float, what: str) -> None:
    """Print one progress line."""
    print(f"progress {fraction} {what}", flush=True)  # noqa: T201


if __name__ == "__main__":
    convert(Path(sys.argv[1]).absolute(), Path(sys.argv[2]))
