"""A language's guidelines: written in versions, diffable, and told to people until they have opened them."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from xinstruct_site.people.models import Event, EventKind, GuidelinesSeen, GuidelinesVersion, Language, User


class GuidelinesError(Exception):
    """The guidelines cannot be published as they are. The message is for the person who wrote them."""


class Outdated(GuidelinesError):
    """Somebody published a version meanwhile: `current`."""

    def __init__(self, current: Language) -> None:
        super().__init__(
            _("Somebody published version %(version)s while you wrote. Nothing of yours is lost: it stands below.")
            % {"version": current.guidelines_version}
        )
        self.current = current


class NothingChanged(GuidelinesError):
    """The text is the one that stands."""

    def __init__(self) -> None:
        super().__init__(_("This is what the guidelines say already. Nothing was published."))


@dataclass(frozen=True, slots=True)
class Notice:
    """That a person has not opened the guidelines as they are now."""

    language: Language
    note: str
    is_first: bool  # they have never opened any


def publish(
    language: Language, *, body: str, written_in: str = "", note: str = "", author: User, based_on: int
) -> GuidelinesVersion:
    """The next version. `based_on` is the version that the author had before them.

    Raises:
        Outdated: another version came meanwhile.
        NothingChanged: body and language are those that stand.
    """
    written_in = "" if written_in == language.code else written_in
    with transaction.atomic():
        current = Language.objects.select_for_update(no_key=True).get(pk=language.pk)
        if current.guidelines_version != based_on:
            raise Outdated(current)
        if (current.guidelines, current.guidelines_language) == (body, written_in):
            raise NothingChanged
        # What stood before versions were kept is the version that this one is compared with.
        GuidelinesVersion.objects.get_or_create(
            language=current,
            version=based_on,
            defaults={"body": current.guidelines, "written_in": current.guidelines_language},
        )
        published = GuidelinesVersion.objects.create(
            language=current,
            version=based_on + 1,
            body=body,
            written_in=written_in,
            note=note,
            author=author,
            at=timezone.now(),
        )
        Language.objects.filter(pk=current.pk).update(
            guidelines=body, guidelines_language=written_in, guidelines_version=published.version
        )
        Event.record(EventKind.GUIDELINES_CHANGED, current, actor=author, language=current, version=published.version)
        current.guidelines_version = published.version
        mark_seen(author, current)
    return published


def mark_seen(user: User, language: Language) -> None:
    """The person has opened the guidelines as they are now."""
    version = language.guidelines_version
    seen, is_new = GuidelinesSeen.objects.get_or_create(user=user, language=language, defaults={"version": version})
    if not is_new and seen.version < version:
        GuidelinesSeen.objects.filter(pk=seen.pk, version__lt=version).update(version=version, seen_at=timezone.now())


def unseen(user: User, languages: Iterable[Language]) -> dict[int, Notice]:
    """By the language's key: what the person is to be told. Languages without guidelines ask nothing of anybody."""
    written = {language.pk: language for language in languages if language.guidelines.strip()}
    if not written:
        return {}
    seen = dict(GuidelinesSeen.objects.filter(user=user, language__in=written).values_list("language", "version"))
    changed = [language for pk, language in written.items() if seen.get(pk, 0) < language.guidelines_version]
    if not changed:
        return {}
    notes = {
        (version.language_id, version.version): version.note
        for version in GuidelinesVersion.objects.filter(language__in=changed).only("language", "version", "note")
    }
    return {
        language.pk: Notice(
            language, notes.get((language.pk, language.guidelines_version), ""), is_first=language.pk not in seen
        )
        for language in changed
    }


def former(version: GuidelinesVersion) -> GuidelinesVersion | None:
    """The version that stood before this one."""
    return version.language.guidelines_versions.filter(version__lt=version.version).order_by("-version").first()
