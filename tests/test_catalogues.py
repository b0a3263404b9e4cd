"""The interface in the annotators' languages: whole placeholders and plurals, nothing hard-coded, pages that mirror."""

import re
from html.parser import HTMLParser
from pathlib import Path

import polib
import pytest
from django.conf import settings as site
from django.utils.translation import override, trans_real

from tests.factories import make_duel, make_items, make_language, make_user

LOCALE = Path(site.BASE_DIR) / "locale"
CODES = [code for code, _name in site.LANGUAGES if code != "en"]
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w*\}|%[sd]|<[^>]+>")
# One form where the language does not tell one from many.
FORMS = {"id": 1, "th": 1, "vi": 1}
WITHOUT_WORDS = re.compile(r"[\W\d_]*")
PSEUDO = "eo"  # Django knows the code, and nobody's catalogue is lost to it


def catalogue(code: str) -> polib.POFile:
    return polib.pofile(LOCALE / code / "LC_MESSAGES" / "django.po")


def placeholders(text: str) -> list[str]:
    return sorted(PLACEHOLDER.findall(text))


def translations(entry: polib.POEntry) -> list[tuple[str, str]]:
    """Pairs of what is said in English and in the language."""
    if not entry.msgid_plural:
        return [(entry.msgid, entry.msgstr)] if entry.msgstr else []
    return [(entry.msgid_plural, form) for number, form in entry.msgstr_plural.items() if form and number]


@pytest.mark.parametrize("code", CODES)
def test_placeholders_and_tags_are_whole(code):
    broken = [
        (english, said)
        for entry in catalogue(code)
        for english, said in translations(entry)
        if placeholders(english) != placeholders(said)
    ]

    assert not broken


@pytest.mark.parametrize("code", CODES)
def test_plural_entries_have_the_forms_of_the_language(code):
    wrong = [
        entry.msgid
        for entry in catalogue(code)
        if any(entry.msgstr_plural.values())
        and len(list(filter(None, entry.msgstr_plural.values()))) != FORMS.get(code, 2)
    ]

    assert not wrong


@pytest.mark.parametrize("code", CODES)
def test_the_compiled_catalogue_says_what_the_readable_one_says(code):
    compiled = polib.mofile(LOCALE / code / "LC_MESSAGES" / "django.mo")
    said = {entry.msgid: (entry.msgstr, entry.msgstr_plural) for entry in compiled}

    assert said == {
        entry.msgid: (entry.msgstr, entry.msgstr_plural)
        for entry in catalogue(code)
        if (entry.msgstr or any(entry.msgstr_plural.values())) and not entry.obsolete
    }


@pytest.mark.parametrize("code", CODES)
def test_the_catalogue_says_who_made_it(code):
    assert "not yet checked by native speakers" in catalogue(code).header


class Words(HTMLParser):
    """Visible text of a page that is in no native or English-only element, and the labels that are read out."""

    def __init__(self) -> None:
        super().__init__()
        self.silent = 0
        self.stack: list[bool] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.words += [str(given[name]) for name in ("aria-label", "placeholder", "title") if given.get(name)]
        if tag in {"input", "meta", "link", "br", "img", "hr"}:
            return
        is_silent = tag in {"script", "style", "textarea", "bdi", "kbd", "code", "option"} or (
            tag != "html" and "lang" in given
        )
        self.stack.append(is_silent)
        self.silent += is_silent

    def handle_endtag(self, tag: str) -> None:
        if self.stack:
            self.silent -= self.stack.pop()

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.words.append(data)


@pytest.fixture
def pseudo_locale(tmp_path, settings):
    """A language in which every string of ours is bracketed, so that a string that is not ours shows."""
    made = polib.POFile()
    made.metadata = {"Content-Type": "text/plain; charset=UTF-8", "Plural-Forms": "nplurals=2; plural=(n != 1);"}
    for entry in catalogue("fi"):
        if entry.msgid_plural:
            forms = {0: f"⟦{entry.msgid}⟧", 1: f"⟦{entry.msgid_plural}⟧"}
            made.append(polib.POEntry(msgid=entry.msgid, msgid_plural=entry.msgid_plural, msgstr_plural=forms))
        else:
            made.append(polib.POEntry(msgid=entry.msgid, msgstr=f"⟦{entry.msgid}⟧"))
    folder = tmp_path / PSEUDO / "LC_MESSAGES"
    folder.mkdir(parents=True)
    made.save_as_mofile(folder / "django.mo")
    settings.LOCALE_PATHS = [tmp_path]
    settings.LANGUAGES = [*settings.LANGUAGES, (PSEUDO, "pseudo")]
    forget_languages()
    yield PSEUDO
    forget_languages()


def forget_languages() -> None:
    """Django keeps what it has read; these are its own receivers for changed settings, and the catalogues."""
    trans_real._translations = {}
    trans_real.reset_cache(setting="LANGUAGES")


@pytest.mark.parametrize("page", ["/", "/review/fi/", "/duels/fi/", "/account/agreement/"])
def test_no_string_of_the_annotators_pages_is_hard_coded(client, aino, finnish, pseudo_locale, page):
    make_items(finnish, 1)
    make_duel(finnish, 1)
    client.force_login(aino)

    response = client.get(page, headers={"Accept-Language": pseudo_locale})
    read = Words()
    read.feed(response.content.decode())
    words = " ".join(read.words)
    with override(pseudo_locale):
        names = ("xinstruct", finnish.local_name(), str(aino))
    for name in names:
        words = words.replace(name, "")

    assert "⟦" in words
    assert not [left for left in re.split(r"⟦[^⟧]*⟧", words) if not WITHOUT_WORDS.fullmatch(left)]


@pytest.mark.parametrize("page", ["/", "/review/ur/", "/account/login/", "/account/agreement/"])
def test_urdu_pages_mirror_and_speak_urdu(client, page, db):
    urdu = make_language("ur", overlap=1, quorum=1)
    make_items(urdu, 1)
    if "login" not in page:
        client.force_login(make_user("zara@example.org", urdu))

    html = client.get(page, headers={"Accept-Language": "ur"}).content.decode()

    assert re.search(r'<html\s+lang="ur"\s+dir="rtl"', html)
    assert re.search(r"[\u0600-\u06ff]{3}", html)
