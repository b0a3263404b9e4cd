"""Which parts of a text are the response: spans as code points over the body, in one form, and how they are shown.

Pure: no Django, no people. The browser makes the same spans in static/js/trim.js.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

PARAGRAPH = re.compile(r"[^\n]*\S[^\n]*")

Span = tuple[int, int]


class Part(NamedTuple):
    """A stretch of the body, kept or dropped."""

    kept: bool
    text: str


class Paragraph(NamedTuple):
    """A line of the body that says something, as one ticks it. `key` is what the form sends."""

    start: int
    end: int
    kept: bool
    text: str

    @property
    def key(self) -> str:
        return f"{self.start}-{self.end}"


def tidied(spans: Iterable[Span], body: str) -> list[Span]:
    """The same parts, ordered, without white space around them; those with only white space between them are one.

    So two people who mean the same parts say the same spans, whether they ticked paragraphs or dragged over them.
    All of the body is said by saying nothing.
    """
    tidy: list[Span] = []
    for start, end in sorted(spans):
        start, end = max(start, 0), min(end, len(body))
        start += len(body[start:end]) - len(body[start:end].lstrip())
        end = start + len(body[start:end].rstrip())
        if start >= end:
            continue
        if tidy and not body[tidy[-1][1] : start].strip():
            tidy[-1] = (tidy[-1][0], max(end, tidy[-1][1]))
        else:
            tidy.append((start, end))
    whole = len(body) - len(body.lstrip()), len(body.rstrip())
    return [] if tidy == [whole] else tidy


def quoted(spans: Iterable[Span], body: str) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "quote": body[start:end]} for start, end in spans]


def paragraphs(body: str, spans: Sequence[Span]) -> list[Paragraph]:
    """The paragraphs of a body, ticked where any of it is kept."""
    return [
        Paragraph(found.start(), found.end(), not spans or bool(_overlap(found.span(), spans)), found.group())
        for found in PARAGRAPH.finditer(body)
    ]


def ticked(keys: Iterable[str], body: str, spans: Sequence[Span]) -> list[Span]:
    """The spans after somebody ticked these paragraphs: one that was ticked before keeps what was kept of it."""
    wanted = set(keys)
    kept: list[Span] = []
    for paragraph in paragraphs(body, spans):
        if paragraph.key in wanted:
            whole = (paragraph.start, paragraph.end)
            kept += _overlap(whole, spans) or [whole]
    return tidied(kept, body)


def parts(body: str, spans: Sequence[Span]) -> list[Part]:
    """The whole body in reading order, cut where keeping and dropping meet."""
    if not spans:
        return [Part(True, body)]
    cut: list[Part] = []
    at = 0
    for start, end in spans:
        cut += [Part(False, body[at:start]), Part(True, body[start:end])]
        at = end
    return [part for part in [*cut, Part(False, body[at:])] if part.text]


def response(body: str, spans: Sequence[Span]) -> str:
    """What is left of the body."""
    return "\n\n".join(body[start:end].strip("\n") for start, end in spans) if spans else body


def _overlap(span: Span, spans: Sequence[Span]) -> list[Span]:
    return [(max(span[0], start), min(span[1], end)) for start, end in spans if start < span[1] and span[0] < end]
