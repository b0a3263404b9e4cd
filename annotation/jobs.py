"""What queue workers run for this app: ids in, nothing out. Safe to run twice and after a killed worker."""

import logging
from typing import Any

from annotation import desk, exports, freezing, judging_duels, labels, mixing, overview, queues, screening, similar
from annotation.models import DeskFigures, JudgeRun
from generation import curation, queueing
from generation.jobs import freezing_ratings
from generation.models import ARRIVALS, JobState, ModelVersion, Release
from xinstruct_site.people.models import Language, User

logger = logging.getLogger(__name__)

QUEUE = "cpu"
COUNT_QUEUE = "default"


def build_release(release_id: int) -> None:
    """Freeze an open release."""
    release = Release.objects.filter(pk=release_id).first()
    if release is None:
        logger.info("release %s is gone: nothing to build", release_id)
        return
    try:
        freezing.freeze(release)
    except freezing.ReleaseError as exc:  # on the release's row already, where people look
        logger.warning("release %s: %s", release_id, exc)


def ring_export(release: Release, format: str, tag: str) -> None:
    """Ask for a format's files. Asked twice while the first waits or works, they are written once."""
    name = f"export-{release.pk}-{format}-{tag}"
    if not queueing.is_named_waiting(name):
        queueing.ring_as(name, export_release, QUEUE, release.pk, format, tag)


def export_release(release_id: int, format: str, tag: str = "") -> None:
    """Write the files of a format where the release's page looks for them."""
    release = Release.objects.filter(pk=release_id).first()
    if release is None:
        logger.info("release %s is gone: nothing to write", release_id)
        return
    try:
        done = exports.export_release(release, format, exports.prepared_folder(release, tag), tag=tag)
    except freezing.ReleaseError as exc:
        logger.warning("release %s as %s: %s", release_id, format, exc)
        return
    logger.info("release %s as %s: %d rows", release_id, format, done.rows)


def judge_duel(run_id: int) -> None:
    """Have the run's judge say what it makes of the duel."""
    run = JudgeRun.objects.filter(pk=run_id).first()
    if run is None:
        logger.info("judge run %s is gone: nothing to judge", run_id)
        return
    try:
        judging_duels.judge(run)
    except judging_duels.JudgeError as exc:  # on the run's row already, where people look
        logger.warning("judge run %s: %s", run_id, exc)


def selecting(language: Language) -> str:
    return f"select-{language.pk}"


def ring_select(language: Language, count: int, user: User, asked: dict[str, Any] | None = None) -> None:
    """Ask for a round of `count` texts. Asked twice while the first waits, it is made once."""
    newest = language.rounds.filter(number__gt=ARRIVALS).order_by("-number").first()
    queueing.ring_as(
        selecting(language), select_and_open, QUEUE, language.pk, count, newest.number if newest else 0, user.pk, asked
    )


def select_and_open(
    language_id: int, count: int, after: int, user_id: int | None = None, asked: dict[str, Any] | None = None
) -> None:
    """Close the round that follows number `after`, and put its texts before people. Run again, it adds nothing.

    `asked` holds quotas, threshold and the like as `curation.select` takes them, the evaluator by its public id.
    """
    language = Language.objects.filter(pk=language_id).first()
    if language is None:
        logger.info("language %s is gone: nothing to select", language_id)
        return
    made = language.rounds.filter(number=after + 1).first()
    try:
        user = User.objects.filter(pk=user_id).first() if user_id else None
        if made is None:
            similar.remember_accepted(language)
        asked = asked or {}
        evaluator = ModelVersion.objects.filter(public_id=asked.pop("evaluator", None)).first()
        made = made or curation.select(
            language, target=count, new_round=True, created_by=user, evaluator=evaluator, **asked
        )
    except curation.CurationError as exc:
        logger.warning("selection for language %s: %s", language_id, exc)
        queueing.refuse(selecting(language), str(exc))
        return
    logger.info("round %d of %s: %d new items", made.number, language.code, queues.open_items(made))


def build_ratings(user_id: int, name: str, language_ids: list[int], gold: int) -> None:
    """Freeze what people said as a release of ratings, or with `gold` as a gold set. Run again, it adds nothing."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        logger.info("user %s is gone: no ratings are frozen", user_id)
        return
    try:
        labels.build(name, Language.objects.filter(pk__in=language_ids), gold=gold, created_by=user)
    except freezing.ReleaseError as exc:
        logger.warning("ratings %s: %s", name, exc)
        queueing.refuse(freezing_ratings(user), str(exc))


def count_language(language_id: int) -> None:
    """Take a language's numbers on the home page anew."""
    overview.keep(overview.count(list(Language.objects.filter(pk=language_id))))


def remember_accepted(language_id: int) -> None:
    """Have the wording that people accepted known to selections and to reviewers of what is like it."""
    language = Language.objects.filter(pk=language_id).first()
    if language is not None:
        logger.info("remembered %d accepted instructions of %s", similar.remember_accepted(language), language.code)


def count_desk(language_id: int) -> None:
    """Count a language's figures anew, where nobody has meanwhile."""
    language = Language.objects.filter(pk=language_id).first()
    if language is not None and desk.is_old(DeskFigures.objects.filter(language=language).first()):
        desk.count_anew(language)
        logger.info("counted the figures of %s", language.code)


def ring_desk(language: Language) -> None:
    queueing.ring_named(count_desk, language, QUEUE, f"desk-{language.pk}")


def ring_again() -> int:
    """Periodic: queue releases again that wait without a job, what there is to remember, and who is to pause.

    Freezing a release that is being frozen only waits for it.
    """
    for language in screening.languages_with_gold():
        if paused := screening.look(language):
            logger.info("paused %d people in %s for a talk", len(paused), language.code)
        mixing.mix_in(language)  # for people who came since its items were opened
    for language in similar.languages_to_remember():
        queueing.ring_named(remember_accepted, language, QUEUE, f"remember-{language.pk}")
    waiting = JudgeRun.objects.filter(state=JobState.QUEUED)
    queueing.ring_again(judge_duel, waiting, JudgeRun.objects.abandoned(), QUEUE)
    return queueing.ring_again(build_release, Release.objects.unfrozen(), Release.objects.none(), QUEUE)
