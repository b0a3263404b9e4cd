"""Keeps the last lines of what is logged while a block runs, for a page to show beside the row of the work."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterator

LINES = 40
CHARS = 300  # of a line
# Libraries that have something to say of a training; some of them hand nothing on to the root.
LOGGERS = ("generation", "transformers", "trl", "accelerate", "peft", "datasets")


class Tail(logging.Handler):
    """The last lines, newest at the end."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=LINES)

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # a log line that cannot be formatted stops nothing
            self.say(record.getMessage())

    def say(self, line: str) -> None:
        self.lines.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {' '.join(line.split())[:CHARS]}")

    def __str__(self) -> str:
        return "\n".join(self.lines).replace("\0", "")


@contextlib.contextmanager
def tail() -> Iterator[Tail]:
    """The tail of what is logged while the block runs."""
    kept = Tail()
    loggers = [logging.getLogger(name) for name in LOGGERS]
    for logger in loggers:
        logger.addHandler(kept)
    try:
        yield kept
    finally:
        for logger in loggers:
            logger.removeHandler(kept)
