"""An installation of its own for a measurement: servers in a folder that goes away, and a language full of items.

Call `installation` before anything of Django is imported. Rows are made in bulk by SQL where their number is the point.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xinstruct_site.people.models import Language, User

BODY = (
    "Lauantaina tori herää ennen aurinkoa. Kalastajat tuovat siikaa ja muikkua, ja marjojen myyjät nostavat laatikot "
    "pöydille. Mummo kertoo, että ennen vanhaan torilla puhuttiin kolmea kieltä yhtä aikaa eikä kukaan ihmetellyt. "
)


@contextlib.contextmanager
def installation(cores: int = 2, keep: Path | None = None) -> Iterator[None]:
    """Everything that runs inside the block, and every process it starts, shares `cores` cores.

    The data is gone after the block, unless there is a folder to keep it in for the next time.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    folder = keep or Path(tempfile.mkdtemp(prefix="xi-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # PostgreSQL runs as another user where we are root
    for name in ("DATABASE_URL", "REDIS_URL", "XI_DEBUG"):
        os.environ.pop(name, None)
    os.environ |= {
        "XI_DATA_DIR": str(folder),
        "XI_SECRET_KEY": "for-a-measurement-only-" + "m" * 30,
        "XI_LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "xinstruct_site.settings",
    }
    from xinstruct_site import embedded

    try:
        with embedded.running():
            import django

            django.setup()
            from django.core.management import call_command

            call_command("migrate", verbosity=0, interactive=False)
            yield
            from django.db import connections

            connections.close_all()
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
            if embedded.services_dir().parent == Path("/var/lib"):
                shutil.rmtree(embedded.services_dir(), ignore_errors=True)


def empty() -> None:
    """Back to tables without rows."""
    from django.core.management import call_command

    call_command("flush", verbosity=0, interactive=False)


def people(count: int) -> "list[User]":
    """Annotators of Finnish, and the language."""
    from xinstruct_site.people.agreements import accept, current_agreement
    from xinstruct_site.people.languages import FIRST_TEN, add_language
    from xinstruct_site.people.models import Membership, Role, User

    language, _ = add_language(FIRST_TEN["fi"])
    made = []
    for number in range(count):
        user = User(email=f"annotator{number}@bench.invalid")
        user.set_unusable_password()
        user.save()
        Membership.objects.create(user=user, language=language, role=Role.ANNOTATOR)
        accept(user, current_agreement())
        made.append(user)
    return made


def items(
    language: "Language",
    count: int,
    *,
    decided: int = 0,
    reviewers: "list[User] | None" = None,
    one_short_by_first: int = 0,
) -> None:
    """Texts of some 1,600 characters with three drafts each, selected in one round and opened.

    The first `decided` items are accepted already, each by as many of the reviewers as the overlap asks for; of the
    next ones, `one_short_by_first` have a review of the first reviewer and wait for others.
    """
    from django.db import connection

    from annotation import queues
    from generation.models import Import, ModelVersion, Round, Run, Task

    batch = Import.objects.create(language=language, source="bench")
    model = ModelVersion.objects.create(
        task=Task.DRAFT, name="bench", backend="hf", location="nowhere", revision="0" * 40, licence_id="Apache-2.0"
    )
    run = Run.objects.create(language=language, model_version=model, key="0" * 64, prompt_version="base-1")
    round_ = Round.objects.create(language=language, number=1)
    values: dict[str, Any] = {
        "language": language.pk, "batch": batch.pk, "run": run.pk, "round": round_.pk, "count": count, "body": BODY * 8,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(TEXTS, values)
        cursor.execute(CANDIDATES, values)
        cursor.execute(SELECTIONS, values)
    queues.open_items(round_)
    if decided and reviewers:
        with connection.cursor() as cursor:
            ids = [user.pk for user in reviewers]
            cursor.execute(
                DECIDED,
                values | {"decided": decided, "people": ids, "n": len(ids), "steps": max((len(ids) - 1) // 2, 1)},
            )
            if one_short_by_first:
                cursor.execute(ONE_SHORT, values | {"many": one_short_by_first, "person": ids[0]})
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


TEXTS = """
    INSERT INTO generation_text (
        public_id, language_id, title, body, original, sha256, chars, normalisation, variety, source_dataset,
        source_release, source_doc_id, url, domain, crawl_date, lang_declared, lang_detected, script, licence_id,
        licence_url, robots_status, pii_spans, dedup_cluster_size, extra, imported_in_id, imported_at, is_practice)
    SELECT 'bench' || n, %(language)s, 'Torilla ' || n, n || '. ' || %(body)s, n || '. ' || %(body)s,
           encode(sha256(n::text::bytea), 'hex'), length(%(body)s), '{}', '', 'bench', '', '', '', 'example.org', '',
           'fi', 'fi', 'Latn', 'CC0-1.0', '', '', '[]', 1, '{}', %(batch)s, now(), false
      FROM generate_series(1, %(count)s) AS n
"""
CANDIDATES = """
    INSERT INTO generation_candidate (
        text_id, run_id, sample_number, style, instruction, input, raw_reply, state, reasons, repairs, tokens,
        created_at, embedding)
    SELECT text.id, %(run)s, sample, '',
           'Draft ' || sample || ': describe market day number ' || text.id || ' in a town.',
           '', 'raw', 'kept', '{}', '{}', 20, now(), array_fill(0.051::real, ARRAY[384])::vector
      FROM generation_text AS text, generate_series(0, 2) AS sample WHERE text.imported_in_id = %(batch)s
"""
SELECTIONS = """
    INSERT INTO generation_selection (round_id, text_id, rank, cluster, candidate_ids)
    SELECT %(round)s, text_id, row_number() OVER (ORDER BY text_id), text_id %% 100, array_agg(id ORDER BY id)
      FROM generation_candidate WHERE run_id = %(run)s GROUP BY text_id
"""
# What as many submits would have left behind, as far as anything that is measured reads it. Everybody meets everybody.
DECIDED = """
    WITH done AS (
        UPDATE annotation_item SET state = 'accepted', decided_at = now()
         WHERE id IN (SELECT id FROM annotation_item WHERE round_id = %(round)s ORDER BY id LIMIT %(decided)s)
        RETURNING id, policy_version),
    slots AS (
        UPDATE annotation_slot SET state = 'done', claimed_at = now(),
               holder_id = (%(people)s::bigint[])[
                   1 + (annotation_slot.item_id + number * (1 + annotation_slot.item_id / %(n)s %% %(steps)s)) %% %(n)s]
          FROM done WHERE done.id = annotation_slot.item_id
        RETURNING annotation_slot.id, annotation_slot.item_id, holder_id),
    reviews AS (
        INSERT INTO annotation_review (
            id, item_id, slot_id, reviewer_id, review_pass, decision, instruction, input, spans, rating_alignment,
            rating_instruction, rating_text, overall, flags, reason, shown_at, submitted_at, active_seconds,
            interface_language, guidelines_version, agreement_id, scores_visible, counts_alone)
        SELECT gen_random_uuid(), item_id, id, holder_id, 1, 'accept', 'Describe a market day.', '', '[]', 4, 4, 4, 4,
               '{}', '', now(), now() - random() * interval '60 days', 60, 'en', 1,
               (SELECT min(id) FROM people_contributoragreement), false, false
          FROM slots RETURNING item_id)
    INSERT INTO annotation_pair (
        public_id, item_id, is_current, state, instruction, input, spans, origin, variety, policy_version, decided_by,
        created_at)
    SELECT 'bench' || id, id, true, 'accepted', 'Describe a market day.', '', '[]', 'web', '', policy_version, '[]',
           now()
      FROM done
"""
ONE_SHORT = """
    WITH slots AS (
        UPDATE annotation_slot SET state = 'done', claimed_at = now(), holder_id = %(person)s
         WHERE number = 1 AND item_id IN (SELECT id FROM annotation_item WHERE round_id = %(round)s AND state = 'open'
                                           ORDER BY id LIMIT %(many)s)
        RETURNING id, item_id, holder_id),
    others AS (
        UPDATE annotation_slot AS other SET priority = 50, reviewed_by = ARRAY[%(person)s] FROM slots
         WHERE other.item_id = slots.item_id AND other.number > 1)
    INSERT INTO annotation_review (
        id, item_id, slot_id, reviewer_id, review_pass, decision, instruction, input, spans, rating_alignment,
        rating_instruction, rating_text, overall, flags, reason, shown_at, submitted_at, active_seconds,
        interface_language, guidelines_version, agreement_id, scores_visible, counts_alone)
    SELECT gen_random_uuid(), item_id, id, holder_id, 1, 'accept', 'Describe a market day.', '', '[]', 4, 4, 4, 4,
           '{}', '', now(), now() - random() * interval '60 days', 60, 'en', 1,
           (SELECT min(id) FROM people_contributoragreement), false, false
      FROM slots
"""
