"""What in a language waits for who leads it: how much of each kind, in one query however much there is."""

from collections import Counter

from django.db.models import CharField, QuerySet, Value

from annotation import adjudicating, auditing, comments, deciding
from annotation.models import Pause
from xinstruct_site.people.models import Language, User

MOST_COUNTED = 100  # to count on would take longer than to read


def waiting(user: User, language: Language) -> dict[str, str]:
    """How many of each kind this person may decide on, answer or lift; "99+" where it is a hundred or more."""
    kinds: dict[str, QuerySet] = {
        "held": deciding.for_linguist(auditing.held(language), user),
        "flagged": deciding.for_linguist(auditing.flagged(language), user),
        "disputed": deciding.for_linguist(adjudicating.disputed(language), user),
        "rules": auditing.with_open_rules(language),
        "questions": comments.heads(user, language).filter(resolved_at=None),
        "paused": Pause.objects.filter(language=language, lifted_at=None),
    }
    # Each in its order: without one, PostgreSQL takes a long way to what is flagged.
    rows = [
        found.annotate(of=Value(kind, CharField())).values_list("of", flat=True)[:MOST_COUNTED]
        for kind, found in kinds.items()
    ]
    counted = Counter(rows[0].union(*rows[1:], all=True))
    return {kind: f"{MOST_COUNTED - 1}+" if counted[kind] == MOST_COUNTED else str(counted[kind]) for kind in kinds}
