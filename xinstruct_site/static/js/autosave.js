// Unsent work goes to the server two seconds after a change. "Saved" is said only when the server said so.
import { field, find, form, uuid } from "./dom.js";
import { dropDraft, keepDraft } from "./offline.js";

const WAIT = 2000;
let timer = 0;
let isSending = false;
let changes = 0; // counted, so that an answer knows whether something was typed since it was asked for
let saved = 0;
let again = WAIT;
let mayBeStored = false;

export const isUnsaved = () => changes !== saved;

// A submit without an answer may have been stored. Sent again as it is, it is the same one; changed, it is another,
// so that the server says "reviewed already" instead of taking other words for the ones it has.
export function gotNoAnswer() {
  mayBeStored = true;
}

export function changed() {
  if (mayBeStored) field("id").value = uuid();
  mayBeStored = false;
  changes += 1;
  say("unsaved");
  schedule(WAIT);
}

// A new card has nothing unsaved; one that the server sent back because something is missing has.
export function begin() {
  clearTimeout(timer);
  timer = 0;
  saved = changes;
  again = WAIT;
  mayBeStored = false;
  if (form()?.dataset.unsent === undefined) return;
  changes += 1;
  if (!mustChoose()) schedule(WAIT);
}

export function settled() {
  saved = changes;
}

export function saveNow() {
  if (isUnsaved()) save();
}

export function say(word) {
  const place = find("#saved");
  if (place && !place.classList.contains("trouble")) find(".word", place).textContent = place.dataset[word];
}

const mustChoose = () => Boolean(find("#notice .versions"));

function schedule(wait) {
  if (timer) return; // not put off by further typing
  timer = setTimeout(save, wait);
}

async function save() {
  clearTimeout(timer);
  timer = 0;
  const card = form();
  if (!card || card.hidden || mustChoose()) return;
  if (isSending) return schedule(WAIT);
  isSending = true;
  const upTo = changes;
  field("turn").value = Number(field("turn").value) + 1;
  const words = new URLSearchParams(new FormData(card));
  try {
    const answer = await fetch(card.dataset.autosave, {
      method: "POST",
      body: words,
      headers: { "HX-Request": "true" },
      keepalive: document.hidden && words.toString().length < 60_000, // what browsers send after a page has gone
      signal: AbortSignal.timeout?.(15_000),
    });
    if (![200, 204, 409, 422].includes(answer.status) || answer.headers.has("HX-Redirect")) throw new Error("not saved");
    again = WAIT;
    const html = await answer.text();
    if (answer.status === 200 || answer.status === 204) {
      await dropDraft(card.dataset.item);
      if (card === form()) saved = upTo;
    } else {
      await keepDraft(card, words);
    }
    if (card === form() && html) htmx.swap("#saved", html, { swapStyle: "outerHTML" });
    if (card === form() && isUnsaved() && answer.status === 200) {
      say("unsaved");
      schedule(WAIT);
    }
  } catch {
    if (card !== form()) return;
    say("failed");
    await keepDraft(card, words);
    again = Math.min(again * 2, 60_000);
    schedule(again);
  } finally {
    isSending = false;
  }
}

window.addEventListener("online", saveNow);
document.addEventListener("visibilitychange", () => document.hidden && saveNow());
window.addEventListener("beforeunload", (event) => {
  if (form() && !form().hidden && isUnsaved()) event.preventDefault();
});
