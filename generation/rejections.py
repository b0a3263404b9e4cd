"""What an import turns away and why: reason codes, the tally, and the file that keeps the rows for a look.

Shared by texts and seeds. Reading lines is in jsonl.py, judging a text in gates.py.
"""

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TextIO

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

KEPT_BYTES = 20_000  # of a rejected line: enough to see what it was, and ten times a usual text


class Reason(models.TextChoices):
    """Why a row is not stored. The code stands in counts and files, so it never changes its meaning."""

    LINE_TOO_LONG = "line_too_long", _("line longer than an import reads")
    BROKEN_GZIP = "broken_gzip", _("compressed file damaged or cut off; the rest of it was not read")
    UNREADABLE = "unreadable", _("file of another form, or damaged; the rest of it was not read")
    INVALID_UTF8 = "invalid_utf8", _("not UTF-8")
    MALFORMED_JSON = "malformed_json", _("not JSON")
    NOT_AN_OBJECT = "not_an_object", _("JSON, but not an object")
    DUPLICATE_KEY = "duplicate_key", _("the same key twice")
    TOO_DEEP = "too_deep", _("nested too deeply")
    NUL = "nul", _("contains the NUL character")
    LONE_SURROGATE = "lone_surrogate", _("contains half of a surrogate pair")
    WRONG_TYPE = "wrong_type", _("a field holds another type than it should")
    FIELD_TOO_LONG = "field_too_long", _("a field is longer than its column")
    NO_LICENCE = "no_licence", _("no licence on the row or in the call")
    # texts
    LICENCE_REFUSED = "licence_refused", _("a licence that this installation does not take")
    ROBOTS_DISALLOWED = "robots_disallowed", _("its site does not want to be crawled")
    FILTERED_AT_SOURCE = "filtered_at_source", _("marked by its source as not to be kept")
    NO_TEXT = "no_text", _("no text")
    TOO_SHORT = "too_short", _("text too short")
    TOO_LONG = "too_long", _("text too long")
    WRONG_SCRIPT = "wrong_script", _("mostly in another script")
    FEW_LETTERS = "few_letters", _("mostly numbers and signs")
    WORD_LENGTH = "word_length", _("words too short or too long on average")
    PUNCTUATION = "punctuation", _("lines that do not end as sentences do: a list or a menu")
    REPETITION = "repetition", _("says the same again and again")
    BOILERPLATE = "boilerplate", _("mostly menus, notices and buttons of a page")
    BROKEN_TEXT = "broken_text", _("damaged letters that could not be repaired")
    WRONG_LANGUAGE = "wrong_language", _("in another language")
    TAKEN_DOWN = "taken_down", _("taken down, and not to come back")
    NEAR_DUPLICATE = "near_duplicate", _("nearly the same as another text")
    # seed pairs
    NO_INSTRUCTION = "no_instruction", _("no instruction")
    NO_RESPONSE = "no_response", _("no response")
    NO_LANGUAGE = "no_language", _("no language on the row or in the call")
    UNKNOWN_LANGUAGE = "unknown_language", _("a language that this installation does not have")
    # questions and answers
    NO_ID = "no_id", _("no id")
    ID_TAKEN = "id_taken", _("another question of the set has this id")
    NO_ANSWER = "no_answer", _("no answer")
    UNKNOWN_QUESTION = "unknown_question", _("the set has no question with this id in this language")
    ANSWER_STANDS = "answer_stands", _("another answer of this model to this question stands")


class Rejected(Exception):
    """One row is turned away; the import goes on. `detail` says where: a field, a position, a finding."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.passage = ""  # where it is not the whole row

    def __reduce__(self) -> Any:  # a process that judges sends them home
        return _rejected, (self.reason, self.detail, self.passage)


def _rejected(reason: Reason, detail: str, passage: str) -> Rejected:
    made = Rejected(reason, detail)
    made.passage = passage
    return made


@dataclass
class Tally:
    """What became of the rows read so far: read + cut = stored + duplicate + rejected, whenever a batch is through.

    `cut` is how many more passages there are than the rows that they were cut from.
    """

    read: int = 0
    cut: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    @classmethod
    def from_json(cls, counts: dict[str, Any]) -> Self:
        return cls(**{**counts, "rejected": Counter(counts["rejected"])})

    def as_json(self) -> dict[str, Any]:
        return {
            "read": self.read,
            **({"cut": self.cut} if self.cut else {}),
            "stored": self.stored,
            "duplicate": self.duplicate,
            "rejected": {str(reason): count for reason, count in self.rejected.most_common()},
        }


def max_length(model: type[models.Model], column: str) -> int:
    """How many characters a column takes; a TextField takes any number that a line can hold."""
    return getattr(model._meta.get_field(column), "max_length", None) or sys.maxsize


class RejectedRows:
    """Writes rejected rows as JSONL: file, line number, reason, detail, and the line as it came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self._file: TextIO | None = None

    def resume(self, size: int) -> None:
        """Go on behind the first `size` bytes, in the file as it was left. What was written later is read again."""
        if self.path.exists():
            self.path.replace(self.part)
        if not size:
            self.part.unlink(missing_ok=True)
        elif self.part.exists():
            os.truncate(self.part, min(size, self.part.stat().st_size))

    def add(self, file: str, line: int, rejected: Rejected, raw: bytes) -> None:
        if self._file is None:
            self.part.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.part, "a", encoding="utf-8")  # noqa: SIM115 - closed by finish or discard
        row = {
            "file": file,
            "line": line,
            "reason": str(rejected.reason),
            "detail": rejected.detail,
            "row": raw[:KEPT_BYTES].decode("utf-8", errors="backslashreplace"),
            "cut": len(raw) > KEPT_BYTES,
        }
        # A detail may quote a key of the row, and that may hold half a surrogate pair, which no file can.
        self._file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace").decode() + "\n")

    def size(self) -> int:
        """Bytes that are safely on the disk: a position to resume from."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
        return self.part.stat().st_size if self.part.exists() else 0

    def finish(self) -> Path | None:
        """Give the file its name; None where nothing was rejected."""
        self.size()
        self.close()
        if not self.part.exists():
            return None
        self.part.replace(self.path)
        return self.path

    def discard(self) -> None:
        self.close()
        self.part.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def rejected_path(name: str) -> Path:
    return Path(settings.DATA_DIR) / "rejected" / f"{name}.jsonl"


@contextlib.contextmanager
def rejected_rows(name: str) -> Iterator[RejectedRows]:
    """The file of one import under the data folder's rejected/; it gets its name only where the block succeeds."""
    rows = RejectedRows(rejected_path(name))
    try:
        yield rows
    except BaseException:  # Ctrl-C as well: the next call reads the same rows again
        rows.discard()
        raise
    rows.finish()
