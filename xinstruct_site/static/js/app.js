// Comfort on top of pages that work without it: drafts into the field, live diff, keys, focus, time at work, "Saved".
"use strict";
(() => {
  const find = (selector, root = document) => root.querySelector(selector);
  const form = () => find("#card-form");
  const field = (name) => form()?.elements.namedItem(name);

  // One table for the handlers, the hints on the buttons and the list behind "?".
  // `code` is where the key lies, so that it works on keyboards that write Urdu, Thai or Bengali.
  const KEYS = [
    { word: "accept", show: "Ctrl ⏎", code: "Enter", mod: true, act: () => press("accept") },
    { word: "reject", show: "R", code: "KeyR", act: () => press("reject") },
    { word: "skip", show: "S", code: "KeyS", act: () => press("skip") },
    { word: "overall", show: "1–5", code: /^(?:Digit|Numpad)([1-5])$/, act: (level) => find(`#overall-${level}`)?.click() },
    { word: "edit", show: "E", code: "KeyE", act: () => field("instruction")?.focus() },
    { word: "draft", show: "D", code: "KeyD", act: nextDraft },
    { word: "leave", show: "Esc", code: "Escape", inFields: true, act: () => document.activeElement?.blur() },
    { word: "help", show: "?", key: "?", act: showKeys },
  ];

  function press(name) {
    find(`[data-key="${name}"]`, form() ?? document.createElement("p"))?.click();
  }

  function nextDraft() {
    const radios = [...(form()?.querySelectorAll("[name=choice]") ?? [])];
    const at = radios.findIndex((radio) => radio.checked);
    radios[(at + 1) % radios.length]?.click();
  }

  function showKeys() {
    const dialog = find("#keys");
    const words = find("#key-words")?.dataset;
    if (!dialog || !words) return;
    find("dl", dialog).replaceChildren(...KEYS.flatMap((key) => [element("dt", element("kbd", key.show)), element("dd", words[key.word])]));
    dialog.showModal();
  }

  function element(tag, ...content) {
    const made = document.createElement(tag);
    if (tag === "kbd") made.dir = "ltr";
    made.append(...content);
    return made;
  }

  const isField = (target) => target.matches?.("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox])");

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return; // the Enter that ends a composition is not ours
    if (event.key === "Enter" && event.target.matches?.("#card-form input")) {
      if (!event.ctrlKey && !event.metaKey) return event.preventDefault();
    }
    if (!form() || find("dialog[open]") || event.altKey) return;
    const mod = event.ctrlKey || event.metaKey;
    for (const key of KEYS) {
      const hit = key.key ? event.key === key.key : event.code.match(key.code)?.input === event.code && event.code.match(key.code);
      if (!hit || mod !== Boolean(key.mod)) continue;
      if (isField(event.target) && !key.mod && !key.inFields) return;
      if (key.word !== "leave") event.preventDefault();
      key.act(hit[1]);
      return;
    }
  });

  // Drafts: what was typed over one is there again when one comes back to it.
  const kept = new Map();

  document.addEventListener("change", (event) => {
    const radio = event.target;
    if (radio.name !== "choice" || radio.form !== form()) return;
    const before = field("loaded").value || "own";
    kept.set(before, [field("instruction").value, field("input").value]);
    const [instruction, input] = kept.get(radio.value) ?? [radio.dataset.instruction ?? "", radio.dataset.input ?? ""];
    field("instruction").value = instruction;
    field("input").value = input;
    field("loaded").value = radio.value === "own" ? "" : radio.value;
    if (input) find("details.input").open = true;
    if (radio.value === "own") field("instruction").focus();
    showDiff();
    field("instruction").dispatchEvent(new Event("input", { bubbles: true }));
  });

  let diffTimer = 0;

  function showDiff() {
    const shown = find("#instruction-diff");
    const base = form()?.querySelector(`[name=choice][value="${CSS.escape(field("loaded").value)}"]`)?.dataset.instruction;
    if (!shown || !window.Diff) return;
    const written = field("instruction").value;
    const pieces = base && base !== written ? Diff.diffWordsWithSpace(base, written, { timeout: 50 }) : undefined;
    shown.hidden = !pieces;
    shown.replaceChildren(...(pieces ?? []).map((piece) => (piece.added ? element("ins", piece.value) : piece.removed ? element("del", piece.value) : piece.value)));
  }

  // "Saved" only when the server said so.
  function say(word) {
    const saved = find("#saved");
    if (saved && !saved.classList.contains("trouble")) find(".word", saved).textContent = saved.dataset[word];
  }

  document.addEventListener("input", (event) => {
    if (event.target.form !== form() || !form()) return;
    say("unsaved");
    if (event.target.name === "instruction") {
      clearTimeout(diffTimer);
      diffTimer = setTimeout(showDiff, 120);
    }
  });
  for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) document.addEventListener(name, () => say("failed"));

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
    if (!clock || document.hidden || Date.now() - lastSign > 60_000) return;
    clock.value = Number(clock.value) + 1;
    if (++seconds % 240 === 0) htmx.trigger(form(), "keepAlive"); // a long read keeps its lease
  }, 1000);

  // A new card: forget the old one's words, give hints on the buttons, put the focus where the eyes are.
  function settle(card, isFirst) {
    if (!card) return;
    kept.clear();
    for (const { word, show } of KEYS) {
      const button = find(`[data-key="${word}"]`, card);
      if (button && !find("kbd", button)) button.append(element("kbd", show));
    }
    const wrong = card.dataset.firstError && find(`[name="${card.dataset.firstError}"]`, card);
    if (wrong) wrong.focus();
    else if (!isFirst) find("h1", card)?.focus();
    showDiff();
  }

  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "card" || event.detail.elt.id === "card") settle(find("#card"), false);
  });
  document.addEventListener("DOMContentLoaded", () => settle(find("#card"), true));
  if (document.readyState !== "loading") settle(find("#card"), true);
})();
