// Keys: one table for the handlers, the hints on the buttons and the list behind "?".
import { element, field, find, findAll, form } from "./dom.js";

const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

// `key` is what the key writes. Where a keyboard writes no Latin letters or digits, `code` says where the key lies.
// `mod` is Ctrl, or Command on a Mac. Only keys with `mod`, `alt` or `always` work while somebody types in a field.
const KEYS = [
  { word: "accept", show: isMac ? "⌘ ⏎" : "Ctrl ⏎", key: "Enter", mod: true, act: press },
  { word: "reject", show: "R", key: "r", code: "KeyR", act: press },
  { word: "skip", show: "S", key: "s", code: "KeyS", act: press },
  { word: "undo", show: "U", key: "u", code: "KeyU", act: press },
  { word: "overall", show: "1–5", key: /^[1-5]$/, code: /^(?:Digit|Numpad)([1-5])$/, here: "#overall-1", act: rate },
  { word: "edit", show: "E", key: "e", code: "KeyE", here: "#instruction", act: () => field("instruction")?.focus() },
  { word: "draft", show: "⇧ 1–9", key: null, shift: true, code: /^Digit([1-9])$/, here: "[name=choice]", act: pick },
  { word: "own", show: "⇧ 0", key: null, shift: true, code: /^Digit(0)$/, here: "#choice-own", act: pick },
  { word: "next", show: "Alt ↓", key: "ArrowDown", alt: true, here: "[name=choice]", act: () => step(1) },
  { word: "previous", show: "Alt ↑", key: "ArrowUp", alt: true, here: "[name=choice]", act: () => step(-1) },
  { word: "fast", show: "F", key: "f", code: "KeyF", act: press },
  { word: "good", show: "G", key: "g", code: "KeyG", act: press },
  { word: "bad", show: "B", key: "b", code: "KeyB", act: () => find("button[data-reason]")?.focus() },
  { word: "reason", show: "1–6", key: /^[1-6]$/, code: /^(?:Digit|Numpad)([1-6])$/, here: "button[data-reason]", act: because },
  { word: "a_better", show: "1", key: "1", code: /^(?:Digit|Numpad)(1)$/, act: press },
  { word: "b_better", show: "2", key: "2", code: /^(?:Digit|Numpad)(2)$/, act: press },
  { word: "both_good", show: "3", key: "3", code: /^(?:Digit|Numpad)(3)$/, act: press },
  { word: "both_bad", show: "4", key: "4", code: /^(?:Digit|Numpad)(4)$/, act: press },
  { word: "why", show: "W", key: "w", code: "KeyW", here: "#rationale", act: () => find("#rationale")?.focus() },
  { word: "pass", show: "P", key: "p", code: "KeyP", act: press },
  { word: "fix", show: "F", key: "f", code: "KeyF", act: press },
  { word: "exclude", show: "X", key: "x", code: "KeyX", act: press },
  { word: "back", show: "B", key: "b", code: "KeyB", act: press },
  { word: "later", show: "N", key: "n", code: "KeyN", act: press },
  { word: "select", show: "T", key: "t", code: "KeyT", here: "[data-part][tabindex]", act: nextPart },
  { word: "mark", show: "M", key: "m", code: "KeyM", here: "#mark-bar", act: () => find("#mark-bar:not([hidden]) input[id]")?.focus() },
  { word: "tag", show: "1–9", key: /^[1-9]$/, code: /^(?:Digit|Numpad)([1-9])$/, here: "[data-tag]", act: tag },
  { word: "severity", show: "S", key: "s", code: "KeyS", act: nextSeverity },
  { word: "leave", show: "Esc", key: "Escape", always: true, here: "body", act: () => document.activeElement?.blur() },
  { word: "help", show: "?", key: "?", here: "#keys", act: showKeys },
];

function press(_level, { word }) {
  find(`[data-key="${word}"]`)?.click();
}

function rate(level) {
  find(`#overall-${level}`)?.click();
}

function because(number) {
  find(`button[data-reason="${number}"]`)?.click();
}

// The text first, and from one part of a pair on to the next.
function nextPart() {
  const parts = findAll("[data-part][tabindex]");
  parts[(parts.indexOf(document.activeElement) + 1) % parts.length].focus();
}

function tag(number) {
  findAll("#mark-bar:not([hidden]) [data-tag]")[number - 1]?.click();
}

function nextSeverity() {
  const radios = findAll("#mark-bar:not([hidden]) [name=severity]");
  radios[(radios.findIndex((radio) => radio.checked) + 1) % radios.length]?.click();
}

const choices = () => findAll("[name=choice]", form() ?? document.body);

function pick(number) {
  (number === "0" ? find("#choice-own") : choices()[number - 1])?.click();
}

function step(by) {
  const radios = choices();
  const at = radios.findIndex((radio) => radio.checked);
  radios[(at + by + radios.length) % radios.length]?.click();
}

const isHere = ({ here, word }) => Boolean(find(here ?? `[data-key="${word}"]`));

const isField = (target) =>
  Boolean(target.closest?.("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox])"));

// What the key says, or else where it lies; nothing where this line of the table is not meant.
function hit({ key, code }, event) {
  if (key instanceof RegExp ? key.test(event.key) : event.key.toLowerCase() === key?.toLowerCase()) return [event.key];
  const writesLatin = /^[\x20-\x7e]$/.test(event.key);
  if (!code || (key !== null && writesLatin)) return null;
  const found = event.code.match(code instanceof RegExp ? code : `^${code}$`);
  return found && [found[1]];
}

const singleKeys = () => localStorage.getItem("xinstruct-keys") !== "off";

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.keyCode === 229) return; // the Enter that ends a composition is not ours
  const mod = event.ctrlKey || event.metaKey;
  if (form() && event.key === "Enter" && !mod && event.target.matches?.("input") && event.target.form === form()) {
    return event.preventDefault(); // Enter in a note decides nothing
  }
  // AltGr, which some systems call Ctrl+Alt, writes characters.
  if (find("dialog[open]") || event.getModifierState("AltGraph") || (mod && event.altKey)) return;
  for (const line of KEYS) {
    if (mod !== Boolean(line.mod) || event.altKey !== Boolean(line.alt) || !isHere(line)) continue;
    if (line.shift && !event.shiftKey) continue;
    const found = hit(line, event);
    if (!found) continue;
    const plain = !line.mod && !line.alt && !line.always;
    if (plain && (isField(event.target) || event.repeat || (!singleKeys() && line.word !== "help"))) return;
    if (line.word !== "leave") event.preventDefault();
    return line.act(found[0], line);
  }
});

function showKeys() {
  const dialog = find("#keys");
  const words = find("#key-words").dataset;
  const lines = KEYS.filter(isHere).flatMap(({ word, show }) => [
    element("dt", {}, hint(show)),
    element("dd", {}, words[word]),
  ]);
  find("dl", dialog).replaceChildren(...lines);
  const box = find("input", dialog);
  box.checked = singleKeys();
  box.onchange = () => localStorage.setItem("xinstruct-keys", box.checked ? "on" : "off");
  dialog.showModal();
}

const hint = (show) => element("kbd", { dir: "ltr" }, show);

function addHint(place, show) {
  if (!place || find("kbd", place)) return;
  place.append(hint(show));
  find("kbd", place).setAttribute("aria-hidden", "true");
}

export function hintOnButtons() {
  for (const { word, show } of KEYS) {
    addHint(find(`:is(button, legend, a)[data-key="${word}"]`), show);
  }
  for (const button of findAll("button[data-reason]")) addHint(button, button.dataset.reason);
  for (const button of findAll("[data-help]")) {
    button.hidden = false;
    button.onclick = showKeys;
  }
}
