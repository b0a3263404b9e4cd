"""Who stands behind a release: those who asked to be credited, and what all of them chose to say of themselves.

Both are frozen with the release, which says the same ever after. Answers leave as aggregates only: a count of fewer
than five people is not told, nor one from which it would follow, and what is told is told in steps of five, so that
the releases before and after tell little of the one person between them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from django.utils.translation import override

from annotation.models import Adjudication, Audit, Review
from generation.models import Release
from xinstruct_site.people import naming, varieties
from xinstruct_site.people.models import Demographics, Membership, User

FEWEST = 5  # people in a count that is told
SEVERAL = {"Grew up with": "native_varieties", "Also speak": "languages_spoken"}
OF_THE_LANGUAGE = {"Variety of the language": "variety", "Orthography they write": "orthography"}
NOT_SAID = ""


def contributors(release: Release) -> dict[str, Any]:
    """For a release whose rows are written, what `Release.contributors` is to hold: `credited`, {id of the person:
    name}, and `demographics`, {language code: {"people": how many, "answers": {question: {answer: how many}}}}."""
    behind = _people_behind(release)
    everybody = set().union(*behind.values())
    asked = User.objects.filter(pk__in=everybody).exclude(credit="").exclude(credited_as="")
    with override("en"):
        told = {code: _told(people, code) for code, people in sorted(behind.items()) if len(people) >= FEWEST}
    return {"credited": dict(asked.values_list("public_id", "credited_as")), "demographics": told}


def _people_behind(release: Release) -> dict[str, set[int]]:
    """By language: whose reviews, audits or decisions stand on the items of the rows."""
    items = release.rows.values("item_public_id")
    found: dict[str, set[int]] = defaultdict(set)
    for made, who in (
        (Review.objects.standing(), "reviewer"),
        (Audit.objects.standing(), "linguist"),
        (Adjudication.objects.standing(), "linguist"),
    ):
        of_rows = made.filter(item__public_id__in=items).order_by()
        for code, person in of_rows.values_list("item__language__code", who).distinct():
            found[code].add(person)
    return found


def _told(people: set[int], code: str) -> dict[str, Any]:
    said = list(Demographics.objects.filter(user__in=people))
    answers: dict[str, Iterable[str]] = {
        "Age": (each.get_age_range_display() for each in said if each.age_range),
        "Gender": (each.get_gender_display() for each in said if each.gender),
        "Country of residence": (naming.country_name(each.country) for each in said),
    }
    found = {question: shown(_counted(given), len(people)) for question, given in answers.items()}
    several = {
        question: [naming.language_names(getattr(each, name)) for each in said] for question, name in SEVERAL.items()
    }
    roles = Membership.objects.filter(user__in=people, language__code=code).order_by("pk")
    for question, kind in OF_THE_LANGUAGE.items():
        several[question] = list(dict(roles.exclude(**{kind: ""}).values_list("user", kind)).values())
    for question, lines in several.items():
        parts = (part for line in lines for part in {_alike(part) for part in varieties.COMMA.split(line)})
        found[question] = shown_of_many(Counter(filter(None, parts)), len(people))
    return {"people": steps(len(people)), "answers": {question: cells for question, cells in found.items() if cells}}


def _counted(given: Iterable[str]) -> Counter[str]:
    return Counter(filter(None, map(_alike, given)))


def _alike(typed: str) -> str:
    """Answers that were typed count together however their letters and spaces were."""
    words = " ".join(typed.split()).casefold()
    return words[:1].upper() + words[1:]


def shown(counts: Counter[str], people: int) -> dict[str, str]:
    """The cells of a question with one answer each that can be told. Those who gave none are a cell, too.

    What is held back is never one cell alone, nor fewer than five people together: either would follow from the rest.
    """
    cells = counts + Counter({NOT_SAID: people - counts.total()})
    least_first = sorted(cells, key=lambda answer: (cells[answer], answer))
    hidden = [answer for answer in least_first if cells[answer] < FEWEST]
    while hidden and (len(hidden) == 1 or sum(cells[answer] for answer in hidden) < FEWEST):
        if len(hidden) == len(cells):
            return {}
        hidden.append(least_first[len(hidden)])
    return {answer: steps(cells[answer]) for answer in sorted(cells.keys() - {*hidden, NOT_SAID})}


def shown_of_many(counts: Counter[str], people: int) -> dict[str, str]:
    """The cells of a question with any number of answers: told where neither those who gave one nor those who did not
    are few."""
    return {
        answer: steps(number)
        for answer, number in sorted(counts.items())
        if number >= FEWEST and (number == people or people - number >= FEWEST)
    }


def steps(number: int) -> str:
    """A count of people as the five that it lies in, such as 10–14."""
    least = number - number % FEWEST
    return f"{least}–{least + FEWEST - 1}"
