"""Serves one embedding model behind OpenAI's API, in a process of its own."""

import argparse
import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from prometheus_client import CollectorRegistry

from sluice.errors import MissingRequirement, ProcessFailed, SluiceError
from sluice.models.embedding_server.app import create_app
from sluice.models.embedding_server.batcher import Batcher
from sluice.offline import switch_off

if TYPE_CHECKING:
    from sluice.models.embedding_server.encoder import Encoder

logger = logging.getLogger("sluice.models.embedding_server")


def main() -> None:
    """Load the model, then listen: until it can answer, connections are refused."""
    switch_off()
    arguments = _parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    # uvicorn hands the signal on to this handler once it has drained: a stop on request is no failure.
    signal.signal(signal.SIGTERM, _exit)
    try:
        listener = _bind(arguments.host, arguments.port)
        _serve(arguments, _load_encoder(arguments), listener)
    except SluiceError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(error.exit_code)


class _Server(uvicorn.Server):
    """uvicorn's, but what is still open after the drain ends with an error instead of a closed connection."""

    def __init__(self, config: uvicorn.Config, batcher: Batcher, drain_seconds: float, ready: str) -> None:
        super().__init__(config)
        self._batcher = batcher
        self._drain_seconds = drain_seconds
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        logger.info(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(self._drain_seconds, self._batcher.stop)
        await super().shutdown(sockets)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sluice.models.embedding_server", description=__doc__)
    add = parser.add_argument
    add("--name", required=True, help="the model name that clients ask for")
    add("--folder", required=True, type=Path, help="a sentence-transformers model; nothing is fetched")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", required=True, type=int, help="port to listen on; 0 takes a free one and logs it")
    add("--device", default="auto", choices=["auto", "cpu", "cuda"], help="auto: cuda where there is one")
    add("--threads", type=_count, help="threads that compute on a CPU (default: one for each core)")
    add("--max-batch", type=_count, default=32, help="texts in one call of the model (default: %(default)s)")
    add("--batch-tokens", type=_count, help="tokens in one call (default: 2048 on a CPU, 16384 on cuda)")
    add("--max-queued", type=_count, default=16384, help="texts that may wait; more get 503 (default: %(default)s)")
    add("--drain-seconds", type=float, default=20, help="for answers still open at SIGTERM (default: %(default)s)")
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, found {text!r}")
    return int(text)


def _bind(host: str, port: int) -> socket.socket:
    """Take the address before the slow part, so that one in use is told at once; it does not listen yet."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        raise ProcessFailed(f"Cannot listen on {host}:{port}: {error}.", fix="Choose another port.") from None
    return listener


def _load_encoder(arguments: argparse.Namespace) -> "Encoder":
    try:
        from sluice.models.embedding_server.encoder import Encoder
    except ImportError as error:
        fix = "Install `sluice[embeddings]`."
        raise MissingRequirement(f"The embedding server needs '{error.name}'.", fix=fix) from None
    return Encoder(arguments.folder, arguments.device, arguments.threads)


def _serve(arguments: argparse.Namespace, encoder: "Encoder", listener: socket.socket) -> None:
    registry = CollectorRegistry()
    batcher = Batcher(
        encoder.embed,
        max_texts=arguments.max_batch,
        # Longer batches overflow a processor's caches; a GPU wants them.
        max_tokens=arguments.batch_tokens or (2048 if encoder.device == "cpu" else 16384),
        max_queued=arguments.max_queued,
        registry=registry,
    )
    config = uvicorn.Config(
        create_app(arguments.name, encoder, batcher, registry),
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=int(arguments.drain_seconds) + 3,
    )
    host, port = listener.getsockname()[:2]
    ready = f"{arguments.name} is ready on http://{host}:{port} ({encoder.device}, float32)"
    _Server(config, batcher, arguments.drain_seconds, ready).run([listener])


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
