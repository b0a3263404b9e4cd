"""How often people accept a model's drafts as they stand: what training gives back to those whose work it learned from.

Counted by review: of the reviews of items whose best draft is the model's, those that accept a draft of that model
without changing a character of it. Practice and withdrawn reviews do not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.cache import cache
from django.db import connection

from generation.intervals import wilson
from generation.models import ModelVersion
from xinstruct_site.people.models import Language

FEWEST = 20  # reviews of a model's drafts, below which a share says nothing
CACHED_SECONDS = 600

COUNTS = """
    SELECT run.model_version_id, count(*),
           count(*) FILTER (WHERE review.decision = 'accept' AND review.instruction = chosen.instruction
                              AND review.input = chosen.input AND chosen_run.model_version_id = run.model_version_id)
      FROM annotation_item AS item
      JOIN annotation_review AS review ON review.item_id = item.id
       AND review.withdrawn_at IS NULL AND review.review_pass = 1
      JOIN generation_candidate AS best ON best.id = item.candidate_ids[1]
      JOIN generation_run AS run ON run.id = best.run_id
      LEFT JOIN generation_candidate AS chosen ON chosen.id = review.candidate_id
      LEFT JOIN generation_run AS chosen_run ON chosen_run.id = chosen.run_id
     WHERE item.language_id = %(language)s AND item.round_id IS NOT NULL
     GROUP BY run.model_version_id
"""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Of `reviews`, the share that took a draft of the model as it stood, with Wilson's 95 % interval."""

    model: ModelVersion
    reviews: int
    share: float
    low: float
    high: float


def acceptances(language: Language) -> list[Acceptance]:
    """Every drafting model that people reviewed enough of in the language, the newest first."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"language": language.pk})
        counts = {pk: (reviews, kept) for pk, reviews, kept in cursor.fetchall() if reviews >= FEWEST}
    models = ModelVersion.objects.filter(pk__in=counts).order_by("-created_at", "-pk")
    found = []
    for model in models:
        reviews, kept = counts[model.pk]
        found.append(Acceptance(model, reviews, kept / reviews, *wilson(kept, reviews)))
    return found


def newest_two(language: Language) -> Sequence[Acceptance]:
    """The newest model's and the one's before, for the page that every annotator opens; at most ten minutes old."""
    key = f"acceptance-{language.pk}"
    found = cache.get(key)
    if found is None:
        found = acceptances(language)[:2]
        cache.set(key, found, CACHED_SECONDS)
    return found if len(found) == 2 else []
