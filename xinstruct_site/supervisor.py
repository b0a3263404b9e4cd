"""Keeps a handful of child processes running and stops them all in order. What `manage.py up` stands on."""

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

logger = logging.getLogger(__name__)

QUICK_DEATH_SECONDS = 5
QUICK_DEATHS_ALLOWED = 3
STOP_SECONDS = 10
PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Child:
    """A process to keep running: what to call it, how to start it, and what it has been through."""

    name: str
    command: Sequence[str]
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    quick_deaths: int = 0

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            list(self.command),
            env=os.environ | self.env,
            stdin=subprocess.DEVNULL,
            # A session of its own: Ctrl-C in the terminal reaches only us, and we stop children in order, with theirs.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )

    def signal_group(self, number: int) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


def _die_with_parent() -> None:
    """Even where we are killed outright, no web server stays behind on the port."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class ChildFailed(RuntimeError):
    """A child dies as soon as it starts; the message says which."""


def supervise(children: Sequence[Child], *, on_start: Callable[[], None] | None = None) -> None:
    """Run the children until SIGINT or SIGTERM; restart one that dies.

    Args:
        on_start: called once after all were started.
    Raises:
        ChildFailed: a child died within seconds of its start three times in a row. All others are stopped first.
    """
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for child in children:
            child.start()
        if on_start:
            on_start()
        while not stopping:
            for child in children:
                _restart_if_dead(child)
            time.sleep(0.25)
    finally:
        _stop_all(children)
        for number, handler in previous.items():
            signal.signal(number, handler)


def _restart_if_dead(child: Child) -> None:
    code = child.process.poll() if child.process else None
    if code is None:
        return
    quick = time.monotonic() - child.started_at < QUICK_DEATH_SECONDS
    child.quick_deaths = child.quick_deaths + 1 if quick else 0
    child.signal_group(signal.SIGKILL)  # a work horse of a killed worker
    if child.quick_deaths >= QUICK_DEATHS_ALLOWED:
        raise ChildFailed(
            f"{child.name} stops at once each time it is started (exit code {code}); see its output above"
        )
    logger.warning("%s ended with exit code %s; starting it again", child.name, code)
    child.start()


def _stop_all(children: Sequence[Child]) -> None:
    """Ask, ask again (RQ gives up its job at the second request), then kill."""
    deadline = time.monotonic() + STOP_SECONDS
    for asking in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        alive = [child for child in children if child.process and child.process.poll() is None]
        if not alive:
            break
        for child in alive:
            if child.process:
                child.process.send_signal(asking)
        patience = min(deadline, time.monotonic() + STOP_SECONDS / 2)
        while time.monotonic() < patience and any(c.process and c.process.poll() is None for c in alive):
            time.sleep(0.05)
    for child in children:
        child.signal_group(signal.SIGKILL)  # nothing of theirs outlives them
