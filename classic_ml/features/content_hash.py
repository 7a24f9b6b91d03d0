"""One hash for the content of a table, the same on every machine and for every file format."""

import hashlib
import json

import polars as pl


def content_hash(frame: pl.DataFrame) -> str:
    """SHA-256 over column names, types and values; rows in the order given.

    Values are hashed column by column in a form of their own: which are missing, then the rest as little-endian
    numbers or as UTF-8 with their lengths.
    """
    header = [[name, str(dtype)] for name, dtype in frame.schema.items()]
    digest = hashlib.sha256(json.dumps([frame.height, header]).encode())
    for column in frame:
        digest.update(column.is_null().to_numpy().astype("u1").tobytes())
        digest.update(_values(column.drop_nulls()))
    return digest.hexdigest()


def _values(column: pl.Series) -> bytes:
    if column.dtype == pl.String:
        encoded = [text.encode() for text in column]
        return b"".join(len(text).to_bytes(8, "little") + text for text in encoded)
    if column.dtype.is_float():
        return column.to_numpy().astype("<f8").tobytes()
    return column.to_physical().cast(pl.Int64).to_numpy().astype("<i8").tobytes()
