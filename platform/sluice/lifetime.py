"""Tying the life of a child process to its parent's."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)  # loaded here: little is safe between fork and exec


def die_with_parent(number: int = signal.SIGTERM) -> Callable[[], None]:
    """A `preexec_fn` after which the child gets signal `number` when its parent ends, also by `kill -9`.

    To the kernel the parent is the thread that started the child. Linux only; elsewhere it does nothing.
    """
    parent = os.getpid()

    def ask_for_signal() -> None:
        if sys.platform != "linux":
            return
        _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it ended before we could ask
            os._exit(1)

    return ask_for_signal
