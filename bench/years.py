"""What years of work leave behind in one large language, in bulk. Measurements call it after `filling.items`.

Decisions that differ by person and by item, with the outcomes that follow; audits and decided disputes, gold with its
copies, questions, skips, unsent work, versions of the guidelines and of the policy, a release that waits for audit.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xinstruct_site.people.models import Language, User


def years_of_work(language: "Language", everybody: "list[User]") -> None:
    """The first two people lead the language from now on; what linguists decided is by the second."""
    from django.db import connection

    from annotation import tallies
    from xinstruct_site.people.models import Membership, Role

    Membership.objects.filter(user__in=everybody[:2]).update(role=Role.LINGUIST)
    values: dict[str, Any] = {
        "language": language.pk,
        "linguist": everybody[1].pk,
        "people": [user.pk for user in everybody],
    }
    with connection.cursor() as cursor:
        for sql in STEPS:
            cursor.execute(sql, values)
        cursor.execute("VACUUM ANALYZE")
    tallies.recount()


# Decisions that differ by person and by item, flags, and outcomes that follow from them.
SPREAD = """
    UPDATE annotation_review SET
        decision = CASE WHEN bad THEN 'reject' ELSE 'accept' END, reason = CASE WHEN bad THEN 'no' ELSE '' END,
        overall = CASE WHEN bad THEN 1 + level ELSE 3 + level END, rating_text = 2 + level,
        rating_alignment = 2 + level, active_seconds = 20 + item_id %% 90,
        flags = CASE WHEN item_id %% 40 = 0 THEN '{"boilerplate": ""}'::jsonb ELSE '{}' END
      FROM (SELECT id AS one, random() < 0.02 + (reviewer_id %% 7) * 0.02
                                 OR item_id %% 11 = 0 AND random() < 0.7 AS bad,
                   (random() * 2)::int AS level FROM annotation_review) AS drawn
     WHERE one = id
"""
OUTCOMES = """
    WITH counts AS (SELECT item_id, count(*) FILTER (WHERE decision = 'reject') AS no FROM annotation_review GROUP BY 1)
    UPDATE annotation_item SET state = CASE no WHEN 3 THEN 'rejected' WHEN 2 THEN 'disputed' ELSE 'accepted' END
      FROM counts WHERE item_id = id AND no > 1
"""
PAIRS = """
    UPDATE annotation_pair AS pair SET
        state = CASE item.state WHEN 'accepted' THEN CASE WHEN item.id %% 50 = 0 THEN 'held' ELSE 'accepted' END
                                WHEN 'disputed' THEN 'disputed' ELSE 'withdrawn' END,
        is_current = item.state <> 'rejected',
        candidate_id = (SELECT min(c.id) FROM generation_candidate AS c WHERE c.text_id = item.text_id)
      FROM annotation_item AS item WHERE item.id = pair.item_id
"""
# Of every twentieth accepted pair, and of all but the newest that somebody flagged.
AUDITS = """
    INSERT INTO annotation_audit (id, item_id, pair_id, linguist_id, verdict, marks, note, rule, rule_closed_at,
                                  undoing, at)
    SELECT gen_random_uuid(), pair.item_id, pair.id, %(linguist)s, 'pass', '[]', '',
           CASE WHEN pair.item_id %% 200 = 0 THEN 'Say tori, not market.' ELSE '' END,
           CASE WHEN pair.item_id %% 600 = 0 THEN now() END, '{"state": "accepted"}',
           now() - random() * interval '60 days'
      FROM annotation_pair AS pair
     WHERE pair.state = 'accepted' AND pair.is_current
       AND (pair.item_id %% 20 = 0 OR pair.item_id < (SELECT max(item_id) * 0.8 FROM annotation_pair)
            AND EXISTS (SELECT FROM annotation_review AS said
                         WHERE said.item_id = pair.item_id AND NOT said.flags = '{}'))
"""
DECISIONS = """
    WITH decided AS (
        UPDATE annotation_item AS item
           SET state = CASE WHEN id %% 3 = 0 THEN 'rejected' ELSE 'accepted' END,
               kind = CASE WHEN id %% 10 = 0 THEN 'gold' ELSE 'normal' END
         WHERE state = 'disputed' AND id %% 4 > 0 RETURNING id, state),
    pairs AS (
        UPDATE annotation_pair AS pair
           SET state = CASE WHEN decided.state = 'accepted' THEN 'accepted' ELSE 'withdrawn' END,
               is_current = decided.state = 'accepted'
          FROM decided WHERE pair.item_id = decided.id RETURNING pair.id, pair.item_id)
    INSERT INTO annotation_adjudication (id, item_id, linguist_id, decision, overall, note, pair_id, at)
    SELECT gen_random_uuid(), decided.id, %(linguist)s,
           CASE decided.state WHEN 'accepted' THEN 'accept' ELSE 'reject' END,
           CASE decided.state WHEN 'accepted' THEN 4 ELSE 2 END, 'A note.',
           CASE decided.state WHEN 'accepted' THEN pairs.id END, now() - random() * interval '60 days'
      FROM decided JOIN pairs ON pairs.item_id = decided.id
"""
GOLD = """
    INSERT INTO annotation_gold (item_id, decision, overall_low, overall_high, made_by_id, at, is_wrong)
    SELECT item_id, decision, greatest(overall - 1, CASE decision WHEN 'accept' THEN 3 ELSE 1 END),
           least(overall + 1, 5), %(linguist)s, at, false
      FROM annotation_adjudication JOIN annotation_item AS item ON item.id = item_id WHERE item.kind = 'gold'
"""
# One in twenty that people were served was a copy of gold, and each was reviewed as its neighbour was.
COPIES = """
    WITH numbered AS (SELECT id, item_id, row_number() OVER (ORDER BY id) - 1 AS place FROM annotation_gold),
    copies AS (
        INSERT INTO annotation_item (public_id, language_id, text_id, round_id, kind, state, candidate_ids, overlap,
                                     quorum, policy_version, created_at, decided_at, gold_id)
        SELECT 'copy' || beside.id, beside.language_id, known.text_id, beside.round_id, 'gold', 'accepted',
               known.candidate_ids, beside.overlap, beside.quorum, beside.policy_version, beside.created_at,
               beside.decided_at, numbered.id
          FROM annotation_item AS beside
          JOIN numbered ON numbered.place = beside.id / 20 %% (SELECT count(*) FROM annotation_gold)
          JOIN annotation_item AS known ON known.id = numbered.item_id
         WHERE beside.state = 'accepted' AND beside.kind = 'normal' AND beside.id %% 20 = 0
        RETURNING id, language_id, text_id, substr(public_id, 5)::bigint AS beside),
    slots AS (
        INSERT INTO annotation_slot (item_id, language_id, number, state, holder_id, claimed_at, priority, "order",
                                     for_linguists, gold_text_id, reviewed_by)
        SELECT copies.id, copies.language_id, slot.number, 'done', slot.holder_id, slot.claimed_at, slot.priority,
               slot."order", false, copies.text_id, '{}'
          FROM copies JOIN annotation_slot AS slot ON slot.item_id = copies.beside AND slot.state = 'done'
        RETURNING id, item_id, holder_id)
    INSERT INTO annotation_review (
        id, item_id, slot_id, reviewer_id, review_pass, decision, instruction, input, spans, rating_alignment,
        rating_instruction, rating_text, overall, flags, reason, shown_at, submitted_at, active_seconds,
        interface_language, guidelines_version, agreement_id, scores_visible, counts_alone)
    SELECT gen_random_uuid(), item_id, id, holder_id, 1, 'accept', 'Describe a market day.', '', '[]', 4, 4, 4, 4,
           '{}', '', now(), now() - random() * interval '60 days', 60, 'en', 1,
           (SELECT min(id) FROM people_contributoragreement), false, false
      FROM slots
"""
QUESTIONS = """
    INSERT INTO annotation_comment (public_id, item_id, author_id, body, at, resolved_at)
    SELECT 'ask' || id, id, (%(people)s::bigint[])[1 + id %% cardinality(%(people)s::bigint[])], 'Is this a name?',
           now() - random() * interval '60 days', CASE WHEN id %% 5 > 0 THEN now() END
      FROM annotation_item WHERE id %% 20 = 7
"""
ANSWERS = """
    INSERT INTO annotation_comment (public_id, item_id, author_id, body, at, thread_id)
    SELECT 'say' || id, item_id, %(linguist)s, 'It is.', at, id FROM annotation_comment
"""
SKIPS = """
    INSERT INTO annotation_skip (item_id, user_id, reason, at)
    SELECT id, (%(people)s::bigint[])[1 + id / 5 %% cardinality(%(people)s::bigint[])], '', now()
      FROM annotation_item WHERE id %% 5 = 3
"""
UNSENT = """
    INSERT INTO annotation_autosave (item_id, user_id, version, data, saved_at)
    SELECT id, (%(people)s::bigint[])[1 + id / 10 %% cardinality(%(people)s::bigint[])], 1,
           '{"instruction": "Describe."}', now()
      FROM annotation_item WHERE id %% 10 = 3
"""
EVENTS = """
    INSERT INTO people_event (at, kind, subject_type, subject_id, data, actor_id, language_id)
    SELECT submitted_at, 'review_submitted', 'item', item_id, jsonb_build_object('review', id), reviewer_id,
           %(language)s
      FROM annotation_review
"""
VERSIONS = """
    WITH guidelines AS (
        INSERT INTO people_guidelinesversion (language_id, version, body, written_in, note, at)
        SELECT %(language)s, n, repeat('Write as people speak. ', 200) || n, '', 'A rule more.', now()
          FROM generate_series(2, 200) AS n)
    INSERT INTO people_policyversion (language_id, version, overlap, quorum, recheck_days, linguists_only, note, at)
    SELECT %(language)s, n, 3, 2, 0, false, '', now() FROM generate_series(2, 60) AS n
"""
SIGNALS = """
    INSERT INTO annotation_signal (language_id, person_id, kind, number, noticed_at, shown_at)
    SELECT %(language)s, person, 'unedited', 50, now(), now() FROM unnest(%(people)s::bigint[]) AS person
"""
PAUSES = """
    INSERT INTO annotation_pause (user_id, language_id, reason, at, "right", answers, note)
    SELECT person, %(language)s, 'gold', now(), 6, 20, ''
      FROM unnest((%(people)s::bigint[])[3:12]) AS person
"""
CANDIDATE = """
    WITH made AS (
        INSERT INTO generation_release (public_id, name, state, query, counts, versions, sha256, error, created_at,
            changelog, licence, splits, version, withdrawn_because, contributors)
        VALUES ('benchrelease', 'bench', 'candidate', '{}', '{}', '{}', '', '', now(), '{}', 'CC0-1.0', '{}', '1.0.0',
                '', '{}')
        RETURNING id),
    of_language AS (INSERT INTO generation_release_languages (release_id, language_id)
                    SELECT id, %(language)s FROM made)
    INSERT INTO generation_releaserow (release_id, position, pair_public_id, item_public_id, language_code, text_sha256,
                                       split, row, row_sha256)
    SELECT made.id, row_number() OVER (ORDER BY pair.id), pair.public_id, item.public_id, 'fi', '', 'train', '{}', ''
      FROM made, annotation_pair AS pair JOIN annotation_item AS item ON item.id = pair.item_id
     WHERE pair.state = 'accepted' AND pair.is_current AND item.kind = 'normal'
"""
STEPS = [
    SPREAD, OUTCOMES, PAIRS, AUDITS, DECISIONS, GOLD, COPIES, QUESTIONS, ANSWERS, SKIPS, UNSENT, EVENTS, VERSIONS,
    SIGNALS, PAUSES, CANDIDATE,
]  # fmt: skip
