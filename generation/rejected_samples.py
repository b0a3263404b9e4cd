"""Keeps a fair sample of what imports turned away, for people to say whether that was right.

Each row draws a number by a hash of where it stood; of each reason in a language the lowest stay. So every row has the
same chance, whatever its import's size and age, and an import that is gone on with draws the same again.
"""

import hashlib

from django.db.models import QuerySet

from generation.models import Import, RejectedSample
from generation.rejections import Reason, Rejected

KEPT = 200  # of each reason in a language
KEPT_CHARS = 2000
MOST = 2**63 - 1
# Its words are not to be kept anywhere.
NEVER_KEPT = {Reason.TAKEN_DOWN}


class Sampling:
    """Offers the rows of one import, batch by batch."""

    def __init__(self, batch: Import) -> None:
        self.batch = batch
        self._bounds: dict[str, int] = {}
        self._drawn: list[RejectedSample] = []

    def offer(self, file: str, line: int, no: Rejected, raw: bytes) -> None:
        place = _place(f"{self.batch.pk}:{file}:{line}:{no.reason}:{no.passage}")
        if no.reason in NEVER_KEPT or place > self._bound(no.reason):
            return
        words = raw[: 4 * KEPT_CHARS].decode("utf-8", errors="backslashreplace")
        self._drawn.append(
            RejectedSample(
                language_id=self.batch.language_id, batch=self.batch, reason=str(no.reason), place=place,
                words=_storable(words)[:KEPT_CHARS], detail=_storable(no.detail)[:300],
            )
        )  # fmt: skip

    def keep(self) -> None:
        """Store what was drawn of this batch, and let go what it pushed out. Within the batch's transaction."""
        RejectedSample.objects.bulk_create(self._drawn, ignore_conflicts=True)
        for reason in {sample.reason for sample in self._drawn}:
            self._bounds[reason] = self._last(reason)
            self._kept(reason).filter(place__gt=self._bounds[reason]).delete()
        self._drawn = []

    def _bound(self, reason: str) -> int:
        """From which number on a row is not kept. Another import may have lowered it meanwhile, which costs little."""
        if reason not in self._bounds:
            self._bounds[reason] = self._last(reason)
        return self._bounds[reason]

    def _kept(self, reason: str) -> QuerySet[RejectedSample]:
        return RejectedSample.objects.filter(language=self.batch.language_id, reason=reason)

    def _last(self, reason: str) -> int:
        places = self._kept(reason).order_by("place").values_list("place", flat=True)
        return next(iter(places[KEPT - 1 : KEPT]), MOST)


def _place(where: str) -> int:
    return int.from_bytes(hashlib.sha256(where.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1


def _storable(said: str) -> str:
    """No column takes NUL or half a surrogate pair, and either may be why a row was turned away."""
    return said.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
