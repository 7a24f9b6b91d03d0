"""Where the real data lies that tests and benchmarks read; it does not ship, and they say so where it is missing."""

from pathlib import Path

PUBLIC_DATA = Path(__file__).parents[2] / "shared" / "data"
