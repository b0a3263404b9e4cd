// The review page with a script: drafts into the field, live diff, time at work, focus. It all works without, but for
// the live diff and being offline.
import { begin, changed, gotNoAnswer, say, settled } from "./autosave.js";
import { announce, element, field, find, form } from "./dom.js";
import { hintOnButtons } from "./keys.js";
import { connect, dropDraft, restore, start } from "./offline.js";
import { redraw, takeOver } from "./trim.js";

// Drafts: what was typed over one is there again when one comes back to it.
const kept = new Map();

document.addEventListener("change", (event) => {
  const radio = event.target;
  if (radio.name !== "choice" || radio.form !== form()) return;
  kept.set(field("loaded").value || "own", [field("instruction").value, field("input").value]);
  const [instruction, input] = kept.get(radio.value) ?? [radio.dataset.instruction ?? "", radio.dataset.input ?? ""];
  field("instruction").value = instruction;
  field("input").value = input;
  field("loaded").value = radio.value === "own" ? "" : radio.value;
  takeOver(radio);
  if (input) find("details.input").open = true;
  if (radio.value === "own") field("instruction").focus();
  showDiff();
  changed();
});

// The diff: words against the draft one started from, once there is something to compare.
let diffTimer = 0;

function draft() {
  const key = CSS.escape(field("loaded").value);
  return find(`[name=choice][value="${key}"]`, form())?.dataset.instruction;
}

async function showDiff() {
  const shown = find("#instruction-diff");
  if (!shown) return;
  const base = draft();
  if (!base || base === field("instruction").value) {
    shown.hidden = true;
    return;
  }
  if (!window.Diff) await import(form().dataset.diff).catch(() => {});
  if (!window.Diff || !shown.isConnected) return;
  const pieces = window.Diff.diffWordsWithSpace(base, field("instruction").value, { timeout: 50 });
  if (!pieces) return;
  shown.hidden = false;
  shown.replaceChildren(
    ...pieces.map(({ added, removed, value }) => (added || removed ? element(added ? "ins" : "del", {}, value) : value)),
  );
}

document.addEventListener("input", (event) => {
  if (!form() || event.target.form !== form()) return;
  changed();
  if (event.target.name !== "instruction") return;
  clearTimeout(diffTimer);
  diffTimer = setTimeout(showDiff, 120);
});

document.addEventListener("htmx:responseError", () => {
  say("failed");
  if (form()) gotNoAnswer();
});

// What the server has taken needs no copy here.
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const item = form()?.dataset.item;
  const path = detail.requestConfig?.path ?? "";
  if (detail.successful && detail.requestConfig?.verb === "post" && item && path.includes(`/${item}/`)) dropDraft(item);
});

// Rejecting needs a reason: go there first instead of asking the server to say so.
document.addEventListener("click", (event) => {
  const reject = event.target.closest?.("[data-key=reject]");
  if (!reject || field("reason").value.trim()) return;
  event.preventDefault();
  const line = field("reason").closest(".field");
  line.classList.add("wrong");
  field("reason").focus();
  field("reason").scrollIntoView({ block: "center" });
});

// Time at work: seconds in which the page was visible and somebody did something within the last minute.
let lastSign = Date.now();
let seconds = 0;
for (const name of ["pointermove", "pointerdown", "keydown", "scroll", "touchstart"]) {
  document.addEventListener(name, () => (lastSign = Date.now()), { passive: true, capture: true });
}
setInterval(() => {
  const clock = field("active_seconds");
  if (!clock || form().hidden || document.hidden || Date.now() - lastSign > 60_000) return;
  clock.value = Number(clock.value) + 1;
  if (++seconds % 240 === 0) changed(); // a long read keeps its lease
}, 1000);

// A new card: forget the old one's words, give hints on the buttons, put the focus where the eyes are.
async function settle(isFirst) {
  const card = find("#card");
  if (!card) return;
  kept.clear();
  hintOnButtons();
  begin();
  if (form()) redraw();
  const wrong = card.dataset.firstError && find(`[name="${card.dataset.firstError}"]`, card);
  if (wrong) {
    wrong.closest("details")?.setAttribute("open", "");
    wrong.focus();
  } else if (!isFirst) find("h1", card)?.focus();
  if (!isFirst) announce(find("#sent", card)?.textContent.replace(/\s+/g, " ").trim() ?? "");
  if (form()) showDiff();
  await restore();
}

document.addEventListener("xinstruct:restored", () => {
  redraw();
  showDiff();
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id === "card" || event.detail.elt.id === "card") settle(false);
});

connect({ changed, gotNoAnswer, say, settled });
settle(true).then(start);
