"""The lead's desk: figures that are counted and kept, numbers that open their rows, signals, invitations."""

import datetime as dt
import itertools
import re
import uuid

import pytest
from django.urls import reverse
from django.utils import timezone

from annotation import auditing, comments, desk, finding, gold, jobs, queues, reviewing, tallies
from annotation.models import DeskFigures, Flag, Item, Pause, Review, Signal, Slot
from annotation.views import desk as desk_pages
from tests.factories import accepting, decide, make_items, make_language, make_text, make_user, rejecting
from xinstruct_site.people.models import Event, EventKind, Invitation

pytestmark = pytest.mark.django_db


def page_of(client, user, name: str, *args: str) -> str:
    client.force_login(user)
    answer = client.get(reverse(name, args=args))
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def test_figures_are_those_of_the_reviews_that_count(urdu):
    texts = [make_text(urdu, f"متن {n}۔ " * 20) for n in range(3)]
    first, second, third = make_items(urdu, texts=texts)
    draft = first.candidates()[0]
    decide(first, accepting(draft.instruction, candidate=draft, active_seconds=40), accepting(draft.instruction))
    decide(second, rejecting(), rejecting())
    decide(third, accepting())
    answers = desk.read(urdu)
    assert len(answers) == 5
    assert answers.accepts.tolist() == [True, True, False, False, True]
    assert answers.edited.tolist()[:2] == [False, True]
    assert answers.outcome.tolist() == [2, 2, 1, 1, 0]
    assert answers.chars[0] == texts[0].chars
    assert dt.date.fromordinal(int(answers.day[0])) == timezone.localdate()
    data = desk.count_anew(urdu).data
    assert data["pipeline"]["accepted"] == 1
    assert data["waiting"] == {"one_short": 1, "stuck": 0}


def test_an_item_whose_only_review_was_taken_back_is_not_one_review_short(urdu, zara):
    item = make_items(urdu)[0]
    queues.claim_next(zara, urdu)
    review = reviewing.submit(zara, item, accepting()).review
    assert list(finding.waiting_items(urdu, "one_short")) == [item]
    reviewing.withdraw(zara, review)
    assert not finding.waiting_items(urdu, "one_short").exists()


def test_kept_figures_are_read_until_they_are_old(urdu, monkeypatch):
    known = desk.count_anew(urdu)
    decide(make_items(urdu)[0], accepting(), accepting())
    assert desk.known_figures(urdu).data["pipeline"]["accepted"] == 0
    DeskFigures.objects.filter(pk=known.pk).update(computed_at=timezone.now() - dt.timedelta(hours=1))
    assert desk.known_figures(urdu).data["pipeline"]["accepted"] == 1
    monkeypatch.setattr(desk, "SMALL", 1)  # too many to count while somebody waits
    DeskFigures.objects.all().delete()
    assert desk.known_figures(urdu) is None
    jobs.count_desk(urdu.pk)
    assert desk.known_figures(urdu).data["pipeline"]["accepted"] == 1


def test_every_number_of_the_desk_opens_as_many_rows(client, urdu, lead, zara):
    flags = {Flag.CULTURAL: "a rite"}
    items = iter(make_items(urdu, 40))
    for item in itertools.islice(items, 2):  # held
        decide(item, accepting(flags=flags), accepting())
    for item in itertools.islice(items, 3):
        decide(item, accepting(flags={Flag.BOILERPLATE: ""}), accepting())
    for item in itertools.islice(items, 4):
        decide(item, accepting("One."), rejecting())
    one_short, stuck = next(items), next(items)
    decide(one_short, accepting())
    decide(stuck, accepting())
    Review.objects.filter(item=stuck).update(submitted_at=timezone.now() - dt.timedelta(days=15))
    earlier = next(items)
    decide(earlier, accepting(), accepting())
    Review.objects.filter(item=earlier).update(submitted_at=timezone.now() - dt.timedelta(days=9))
    excluded = next(items)
    decide(excluded, accepting(), accepting())
    for item, verdict in ((excluded, "exclude"), (next(items), "pass")):
        if verdict == "pass":
            decide(item, accepting(), accepting())
        said = auditing.Submission(uuid.uuid4(), verdict, note="why", rule="Say why.")
        auditing.audit(lead, item.pairs.current().get(), said)
    known = next(items)
    decide(known, accepting(), accepting())
    gold.make(known, lead)  # and copies of it among those that wait
    put(Item.objects.exclude(gold=None).first(), zara, accepting())
    comments.say(lead, stuck, "Which spelling?")
    Pause.objects.create(language=urdu, user=zara, reason="gold", right=1, answers=9)
    tallies.recount()  # the dates were moved
    desk.count_anew(urdu)
    Signal.objects.create(language=urdu, person=zara, kind="copied", number=3, shown_at=timezone.now())

    page = page_of(client, lead, "language", "ur")
    page = page.partition("<main")[2]
    followed = {}
    for link in re.finditer(r'<a href="([^"]+)">(?:<span class="big">)?(\d+)(?:</span>)?([^<]*)</a>', page):
        followed[link[3].strip()] = (int(link[2]), rows_behind(client, link[1].replace("&amp;", "&")))

    assert followed == {
        "selected": (40, 40),
        "waiting for reviews": (27, 27),
        "accepted": (5, 5),
        "on pause": (1, 1),
        "asked for by reviewers": (2, 2),
        "disputed": (4, 4),
        "open questions": (1, 1),
        "suggested rules": (2, 2),
        "accepted, but flagged": (3, 3),
        "worth a talk": (1, 1),
        "one review short": (2, 2),
        "stuck for two weeks": (1, 1),
        "reviews in the last seven days": (26, 26),
        "in the seven before": (2, 2),
        "pairs accepted in the last seven": (5, 5),
    }


def rows_behind(client, address: str) -> int:
    """How many rows a list has on all its pages; of reviews, how many it says there are."""
    rows = 0
    while address:
        page = re.sub(r'<ul class="facts.*?</ul>', "", client.get(address).content.decode(), flags=re.DOTALL)
        if reviews := re.search(r"(\d+) reviews? w", page):
            return int(reviews[1])
        first = re.search(r'<tbody>.*?</tbody>|<ul class="work-rows">.*?</ul>', page, re.DOTALL)
        rows += len(re.findall("<tr>|<li>", first[0]))
        onward = re.search(r'<a class="button" href="([^"]+)" rel="next"', page)
        address = address.partition("?")[0] + onward[1].replace("&amp;", "&") if onward else ""
    return rows


def test_annotators_see_stages_and_no_desk(client, urdu, zara):
    page = page_of(client, zara, "language", "ur")
    assert "waiting for reviews" in page
    assert "What needs you" not in page
    for name in ("agreement_of", "people"):
        assert client.get(reverse(name, args=["ur"])).status_code == 404


def test_agreement_page_shows_coefficients_matrix_and_the_items_behind_a_cell(client, urdu, lead):
    one, other = make_user("one@example.org", urdu), make_user("other@example.org", urdu)
    items = make_items(urdu, 24)
    for number, item in enumerate(items):
        put(item, one, accepting())
        put(item, other, rejecting() if number < 3 else accepting())
    Item.objects.filter(pk__in=[item.pk for item in items[:3]]).update(state="rejected")
    desk.count_anew(urdu)
    page = page_of(client, lead, "agreement_of", "ur")
    assert re.search(r"\d\.\d\d <span class=\"soft\">\(", page)
    cell = re.search(r'href="([^"]*/agreement/[^"]+)">88 ', page)
    shown = client.get(cell[1]).content.decode()
    assert [item for item in items if item.public_id in shown] == items[:3]


def put(item: Item, user, submission) -> None:
    from annotation import queues, reviewing

    queues.claim_again(user, item)
    reviewing.submit(user, item, submission)


def test_people_page_says_which_variety_somebody_speaks(client, urdu, lead, zara):
    zara.memberships.update(variety="Dakhni <b>")

    assert "<bdi>Dakhni &lt;b&gt;</bdi>" in page_of(client, lead, "people", "ur")


def test_people_page_shows_how_each_judges_and_what_is_worth_a_talk(client, urdu, lead):
    strict, mild = make_user("strict@example.org", urdu), make_user("mild@example.org", urdu)
    for item in make_items(urdu, 12):
        put(item, strict, accepting(overall=3))
        put(item, mild, accepting(overall=5))
    desk.count_anew(urdu)
    page = page_of(client, lead, "people", "ur")
    assert "stricter than others" in page
    assert "-2.00" in page
    assert str(strict) in page


def test_signal_is_shown_to_the_person_first(client, urdu, lead, zara):
    Signal.objects.create(language=urdu, person=zara, kind="too_fast", number=40)
    assert not desk.for_lead(urdu).exists()
    assert "faster than the texts can be read" in page_of(client, zara, "mine", "ur")
    assert desk.for_lead(urdu).get().person == zara
    late = make_user(language=urdu)
    Signal.objects.create(
        language=urdu, person=late, kind="copied", number=3, noticed_at=timezone.now() - dt.timedelta(days=8)
    )
    assert [signal.person for signal in desk.for_lead(urdu)] == [zara, late]


def test_signals_come_with_the_figures_and_go_with_them(urdu, zara):
    for item in make_items(urdu, 31):
        put(item, zara, accepting(active_seconds=0))
    desk.count_anew(urdu)
    kinds = set(Signal.objects.values_list("person", "kind"))
    assert kinds == {(zara.pk, "too_fast"), (zara.pk, "copied"), (zara.pk, "same_ratings")}
    began = Signal.objects.get(kind="copied").noticed_at
    Review.objects.update(active_seconds=300)
    desk.count_anew(urdu)
    assert set(Signal.objects.values_list("kind", flat=True)) == {"copied", "same_ratings"}
    assert Signal.objects.get(kind="copied").noticed_at == began


def test_linguist_invites_annotators_of_the_own_language_and_nobody_more(client, urdu, lead, maintainer):
    client.force_login(lead)
    address = reverse("people", args=["ur"])
    page = client.post(address, {"email": "new@example.org", "role": "annotator"}).content.decode()
    offer = Invitation.objects.get()
    assert (offer.language, offer.role, offer.invited_by) == (urdu, "annotator", lead)
    assert re.search(r"/account/invitation/[\w-]+/", page)
    assert client.post(address, {"email": "new@example.org", "role": "linguist"}).status_code == 422
    make_language("hi")
    assert (
        client.post(reverse("people", args=["hi"]), {"email": "a@example.org", "role": "annotator"}).status_code == 404
    )
    client.post(reverse("withdraw_invitation", args=["ur", offer.pk]))
    assert not Invitation.objects.open().exists()
    assert Event.objects.filter(kind=EventKind.INVITATION_WITHDRAWN, actor=lead).exists()
    client.force_login(maintainer)
    assert client.post(address, {"email": "new@example.org", "role": "linguist"}).status_code == 200


def test_first_day_of_a_language_says_what_its_lead_can_do(client, urdu, lead):
    page = page_of(client, lead, "language", "ur").partition("<main")[2]
    assert "Nothing has been put before people yet" in page
    for name in ("guidelines_edit", "lessons", "people"):
        assert f'<a href="{reverse(name, args=["ur"])}">' in page
    make_items(urdu)
    desk.count_anew(urdu)
    assert "Nothing waits for you." in page_of(client, lead, "language", "ur")


def test_two_people_went_apart_on_items_that_wait_for_a_linguist(client, urdu, lead):
    one, other = make_user("one@example.org", urdu), make_user("other@example.org", urdu)
    for item in make_items(urdu, 3):
        put(item, one, accepting())
        put(item, other, rejecting())
    page = page_of(client, lead, "differences", "ur", one.public_id, other.public_id)
    assert "0 decided items" in page
    assert "3 more are not decided yet" in page
    assert "/items/" not in page.partition("</nav>")[2].partition("</nav>")[2]


def test_slots_of_a_language_without_figures_are_no_error(client, lead):
    assert Slot.objects.count() == 0
    assert "too few items" in page_of(client, lead, "agreement_of", "ur")


def test_shares_are_whole_per_cents_and_nothing_is_not_zero():
    told = desk_pages.shown(
        {"accepts": 0.0, "edited": 0.996, "consistency": None, "severity": None, "seconds": 61.4, "sent": 3}
    )

    assert (told["accepts"], told["edited"], told["consistency"], told["seconds"]) == (0, 100, None, 61)
    assert isinstance(told["accepts"], int)
