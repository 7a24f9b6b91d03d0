"""Publishes, as vLLM does, which blocks of tokens are in a replica's cache. Runs in the engine's environment.

    python kv_publisher.py ENDPOINT BLOCK_SIZE

Each line on its input is a JSON list of token ids that are now cached.
"""

import json
import sys
import time
import zlib

import msgspec
import zmq


def main() -> None:
    endpoint, block_size = sys.argv[1], int(sys.argv[2])
    publisher = zmq.Context().socket(zmq.PUB)
    publisher.bind(endpoint)
    print("bound", flush=True)
    for sequence, line in enumerate(sys.stdin):
        tokens: list[int] = json.loads(line)
        whole = len(tokens) // block_size
        hashes = [zlib.crc32(json.dumps(tokens[: (block + 1) * block_size]).encode()) for block in range(whole)]
        stored = {"type": "BlockStored", "block_hashes": hashes, "parent_block_hash": None, "medium": "GPU"}
        stored |= {
            "token_ids": tokens[: whole * block_size],
            "block_size": block_size,
            "lora_id": None,
            "lora_name": None,
        }
        batch = [time.time(), [stored], 0]
        publisher.send_multipart([b"", sequence.to_bytes(8, "big"), msgspec.msgpack.encode(batch)])


main()
