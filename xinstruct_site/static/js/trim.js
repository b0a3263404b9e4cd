// Which parts of the text are the response: by selecting in it or by ticking paragraphs; and the edit beside it.
//
// Here offsets are UTF-16 units, as in the browser; in the form and on the server they are code points. Only `read` and
// `write` translate.
import { announce, element, field, find, findAll, form } from "./dom.js";

const body = () => find("#card .body");
const text = () => body().textContent;

function read() {
  const points = [0];
  for (const point of text()) points.push(points.at(-1) + point.length);
  return {
    unit: (at) => points[at] ?? points.at(-1),
    point: (at) => points.findIndex((unit) => unit >= at),
  };
}

function keptParts() {
  const { unit } = read();
  return JSON.parse(field("spans").value || "[]").map(({ start, end }) => [unit(start), unit(end)]);
}

// As trimming.tidied on the server does it.
function tidied(spans) {
  const all = text();
  const tidy = [];
  for (let [start, end] of [...spans].sort((a, b) => a[0] - b[0])) {
    start += all.slice(start, end).length - all.slice(start, end).trimStart().length;
    end = start + all.slice(start, end).trimEnd().length;
    if (start >= end) continue;
    const last = tidy.at(-1);
    if (last && !all.slice(last[1], start).trim()) last[1] = Math.max(end, last[1]);
    else tidy.push([start, end]);
  }
  const isWhole = tidy.length === 1 && tidy[0][1] - tidy[0][0] === all.trim().length;
  return isWhole ? [] : tidy;
}

const whole = (spans) => (spans.length ? spans : [[0, text().length]]);

const without = (spans, [from, to]) =>
  spans.flatMap(([start, end]) =>
    [
      [start, Math.min(end, from)],
      [Math.max(start, to), end],
    ].filter(([a, b]) => a < b),
  );

function write(spans, isEmpty) {
  if (isEmpty) return restoreTicks();
  const response = responseOf(keptParts());
  const { point } = read();
  const all = text();
  const tidy = tidied(spans);
  field("spans").value = tidy.length
    ? JSON.stringify(tidy.map(([start, end]) => ({ start: point(start), end: point(end), quote: all.slice(start, end) })))
    : "";
  draw(tidy, all);
  restoreTicks();
  const edit = field("response_edit");
  if (edit.value === response) edit.value = responseOf(tidy); // nothing was edited yet
  edit.dispatchEvent(new Event("input", { bubbles: true }));
}

function draw(spans, all) {
  const pieces = [];
  let at = 0;
  for (const [start, end] of spans) {
    if (at < start) pieces.push(element("del", {}, all.slice(at, start)));
    pieces.push(all.slice(start, end));
    at = end;
  }
  if (spans.length && at < all.length) pieces.push(element("del", {}, all.slice(at)));
  body().replaceChildren(...(spans.length ? pieces : [all]));
  find("#trimmed").hidden = !spans.length;
}

// The ticks say what the spans say, and `parts_shown` that the script has seen to it.
function restoreTicks() {
  const { unit } = read();
  const spans = whole(keptParts());
  const boxes = findAll("[name=part]");
  for (const box of boxes) {
    const [from, to] = box.value.split("-").map((at) => unit(Number(at)));
    box.checked = spans.some(([start, end]) => start < to && from < end);
  }
  field("parts_shown").value = boxes.filter((box) => box.checked).map((box) => box.value).join(" ");
}

function responseOf(spans) {
  const all = text();
  return spans.length ? spans.map(([start, end]) => all.slice(start, end).replace(/^\n+|\n+$/g, "")).join("\n\n") : all;
}

// Selecting

function selected() {
  const selection = getSelection();
  if (!form() || !selection?.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  if (!body().contains(range.commonAncestorContainer)) return null;
  const before = document.createRange();
  before.selectNodeContents(body());
  before.setEnd(range.startContainer, range.startOffset);
  const start = before.toString().length;
  return [start, start + range.toString().length];
}

let last = null; // a tap on the button may take the selection away before it is clicked

document.addEventListener("selectionchange", () => {
  const bar = find("#trim-bar");
  if (!bar || bar.contains(document.activeElement)) return;
  last = selected();
  bar.hidden = !last;
  if (last) find("[data-trim=back]", bar).hidden = !keptParts().length;
});

document.addEventListener("pointerdown", (event) => event.target.closest?.("#trim-bar") && event.preventDefault());

document.addEventListener("click", (event) => {
  const how = event.target.closest?.("[data-trim]")?.dataset.trim;
  if (!how || !form()) return;
  event.preventDefault();
  const spans = whole(keptParts());
  const range = selected() ?? last;
  if (how === "whole") write([], false);
  else if (range) {
    const then = { drop: () => without(spans, range), only: () => [range], back: () => [...spans, range] }[how]();
    write(then, !then.some(([start, end]) => text().slice(start, end).trim()));
  }
  getSelection().removeAllRanges();
  find("#trim-bar").hidden = true;
  announce(event.target.closest("[data-trim]").textContent);
});

document.addEventListener("change", (event) => {
  if (event.target.name !== "part" || event.target.form !== form()) return;
  const { unit } = read();
  const range = event.target.value.split("-").map((at) => unit(Number(at)));
  const spans = whole(keptParts());
  const then = event.target.checked ? [...spans, range] : without(spans, range);
  write(then, !then.some(([start, end]) => text().slice(start, end).trim()));
});

// The edit starts from what is kept of the text, and is none until something in it differs.

document.addEventListener(
  "toggle",
  (event) => {
    const edit = event.target.matches?.(".response-edit[open]") && field("response_edit");
    if (edit && !edit.value) edit.value = responseOf(keptParts());
  },
  true,
);

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-response=none]");
  if (!button) return;
  event.preventDefault();
  field("response_edit").value = "";
  find("#response-diff").hidden = true;
  button.closest("details").open = false;
  field("response_edit").dispatchEvent(new Event("input", { bubbles: true }));
});

// A wording of a tie-break says its kept parts and its edit, too.
export function takeOver(radio) {
  if (radio.dataset.spans === undefined) return;
  field("spans").value = radio.dataset.spans;
  field("response_edit").value = radio.dataset.response;
  redraw();
}

export function redraw() {
  if (!form()) return;
  draw(keptParts(), text());
  restoreTicks();
  for (const hint of findAll("#card .script-only")) hint.hidden = false;
}
