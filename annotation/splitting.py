"""Deals the texts of a release out to training, validation and test.

What belongs together is never parted: texts of one document, of one address, of one body in two languages, and those
that share a band of MinHash. A group's place follows from a seed and the group alone, so it is the same wherever it is
asked; what an earlier release of the line has placed stays where it was, or a model would be tested on what it learnt.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from django.db import connection
from django.db.models import QuerySet

from annotation.models import Pair
from generation.blocklist import PLAIN_URL
from generation.models import Release, Split, Text

SHARES = (90, 5, 5)
SPLIT_FROM = 100  # pairs; of fewer, a twentieth measures nothing
LOOKED_UP = 5000

# One number for everything that two texts may share; equal numbers of different things would only join two groups.
SHARED = """
    WITH wanted AS MATERIALIZED (SELECT DISTINCT item__text_id AS id FROM ({pairs}) AS pair (item__text_id)),
    shared AS (
        SELECT id, hashtextextended('document ' || source_dataset || ' ' || source_doc_id, 0) AS what
          FROM generation_text JOIN wanted USING (id) WHERE source_doc_id <> ''
        UNION ALL
        SELECT id, hashtextextended('address ' || {plain_url}, 0)
          FROM generation_text JOIN wanted USING (id) WHERE url <> ''
        UNION ALL
        SELECT id, hashtextextended('body ' || sha256, 0) FROM generation_text JOIN wanted USING (id)
        UNION ALL
        SELECT near.text_id, hashtextextended('near ' || near.sha256, 0)
          FROM generation_nearduplicate near JOIN wanted ON near.text_id = wanted.id
        UNION ALL
        SELECT band.text_id, band.hash FROM generation_band band JOIN wanted ON band.text_id = wanted.id
    )
    SELECT array_agg(DISTINCT id) FROM shared GROUP BY what HAVING count(DISTINCT id) > 1
"""


class Place(NamedTuple):
    """Where a text stands, and the group that stands there with it: the least body hash among its texts."""

    split: Split
    group: str


class Splitter:
    """Places the texts of the pairs. `previous`: the release whose places are kept."""

    def __init__(
        self,
        pairs: QuerySet[Pair],
        shares: Sequence[int] = SHARES,
        seed: int = 0,
        previous: Release | None = None,
    ) -> None:
        self.shares, self.seed, self.previous = shares, seed, previous
        self.groups = groups(pairs)  # of texts that are not alone
        self.kept = self._kept_groups()

    def splits(self, texts: Sequence[Text]) -> list[Place]:
        """The places of a batch of texts, in their order."""
        alone = [text.sha256 for text in texts if text.pk not in self.groups]
        kept = self.kept | self._placed(alone)
        named = [self.groups.get(text.pk, text.sha256) for text in texts]
        return [Place(kept.get(group) or place(group, self.shares, self.seed), group) for group in named]

    def _kept_groups(self) -> dict[str, Split]:
        """Places of groups that the previous release has texts of. Two that have grown together go where a model may
        have learnt from either."""
        if not self.previous or not self.groups:
            return {}
        kept: dict[str, Split] = {}
        members = list(self.groups)
        for start in range(0, len(members), LOOKED_UP):
            hashes = Text.objects.filter(pk__in=members[start : start + LOOKED_UP]).values_list("pk", "sha256")
            groups = {sha256: self.groups[pk] for pk, sha256 in hashes}
            for sha256, split in self._placed(list(groups)).items():
                group = groups[sha256]
                kept[group] = min(kept.get(group, split), split, key=list(Split).index)
        return kept

    def _placed(self, hashes: Sequence[str]) -> dict[str, Split]:
        if not self.previous or not hashes:
            return {}
        rows = self.previous.rows.filter(text_sha256__in=hashes).values_list("text_sha256", "split")
        return {sha256: Split(split) for sha256, split in rows}


def place(group: str, shares: Sequence[int], seed: int) -> Split:
    """Where the group falls: of many groups about so many of each hundred as the shares say."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    point = int.from_bytes(digest[:8]) * sum(shares) / 2**64
    for split, share in zip(Split, shares, strict=True):
        if point < share:
            return split
        point -= share
    return Split.TRAIN


def groups(pairs: QuerySet[Pair]) -> dict[int, str]:
    """For each text of the pairs that shares something with another, by its key: the name of its group."""
    wanted, values = pairs.order_by().values("item__text_id").query.sql_with_params()
    parents: dict[int, int] = {}

    def root(text: int) -> int:
        while (parent := parents.setdefault(text, text)) != text:
            parents[text] = parents[parent]
            text = parents[text]
        return text

    with connection.chunked_cursor() as cursor:
        cursor.execute(SHARED.format(pairs=wanted, plain_url=PLAIN_URL), values)
        for (texts,) in cursor:
            for text in texts[1:]:
                parents[root(text)] = root(texts[0])
    names: dict[int, str] = {}
    members = list(parents)
    for start in range(0, len(members), LOOKED_UP):
        of_batch = Text.objects.filter(pk__in=members[start : start + LOOKED_UP]).values_list("pk", "sha256")
        for pk, sha256 in of_batch:
            names[root(pk)] = min(names.get(root(pk), sha256), sha256)
    return {text: names[root(text)] for text in members}
