"""The most memory that a changing set of processes held at one moment."""

import contextlib
import threading
from collections.abc import Callable
from typing import Self

import psutil

SECONDS = 1.0


class PeakMemory:
    """Samples the proportional set size, which counts a page that several share once (proc(5), smaps_rollup).

    Attributes:
        gib: the highest sum seen so far, in GiB.
    """

    def __init__(self, processes: Callable[[], list[psutil.Process]]) -> None:
        self._processes = processes
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.gib = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(SECONDS):
            total = 0
            for process in self._processes():
                with contextlib.suppress(psutil.Error):
                    total += process.memory_full_info().pss
            self.gib = max(self.gib, total / 2**30)
