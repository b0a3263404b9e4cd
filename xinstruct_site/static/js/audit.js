// Marks in a text, an instruction or an edited response: select, say what it is, see it drawn.
//
// Here offsets are UTF-16 units, as in the browser; in the form and on the server they count code points.
import { announce, element, field, find, findAll, form } from "./dom.js";
import { hintOnButtons } from "./keys.js";

const parts = () => findAll("[data-part]");
const bar = () => find("#mark-bar");
const words = new Map(parts().map((part) => [part.dataset.part, part.textContent]));
const kept = JSON.parse(find("#kept").textContent);
const read = () => JSON.parse(field("marks").value || "[]");

const points = (text, units) => [...text.slice(0, units)].length;
const units = (text, wanted) => [...text].slice(0, wanted).join("").length;

let chosen = null; // the stretch that is being marked: a tap on the bar may take the selection away

function selected() {
  const selection = getSelection();
  if (!selection?.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  const part = parts().find((one) => one.contains(range.commonAncestorContainer));
  if (!part) return null;
  const before = document.createRange();
  before.selectNodeContents(part);
  before.setEnd(range.startContainer, range.startOffset);
  const start = before.toString().length;
  const end = start + range.toString().length;
  const all = words.get(part.dataset.part);
  return start < end ? { part: part.dataset.part, start, end, quote: all.slice(start, end) } : null;
}

document.addEventListener("selectionchange", () => {
  if (!bar() || bar().contains(document.activeElement)) return;
  const now = selected();
  if (!now) return;
  chosen = now;
  bar().hidden = false;
  find("#marking").lang = find(`[data-part="${now.part}"]`).lang;
  find("#marking bdi").textContent = now.quote;
});

function add() {
  if (!chosen) return;
  const all = words.get(chosen.part);
  const mark = {
    part: chosen.part,
    start: points(all, chosen.start),
    end: points(all, chosen.end),
    quote: chosen.quote,
    tag: find("#mark-tag").value,
    severity: Number(find("#mark-severity").value),
    note: find("#mark-note").value,
  };
  write([...read(), mark]);
  find("#mark-note").value = "";
  chosen = null;
  find("#marks").focus(); // or the focus stays in the bar, and the next selection seems to be made in there
  bar().hidden = true;
  getSelection().removeAllRanges();
  announce(mark.quote);
}

function write(marks) {
  field("marks").value = JSON.stringify(marks);
  draw();
}

// Each part in pieces, cut wherever a mark or a kept stretch begins or ends.
function draw() {
  const marks = read();
  for (const part of parts()) {
    const all = words.get(part.dataset.part);
    const spans = (list) => list.map((one) => [units(all, one.start), units(all, one.end), one]);
    const own = spans(marks.filter((mark) => mark.part === part.dataset.part));
    const keeps = part.dataset.part === "text" ? spans(kept) : [];
    const cuts = [...new Set([0, all.length, ...[...own, ...keeps].flatMap(([start, end]) => [start, end])])];
    cuts.sort((a, b) => a - b);
    part.replaceChildren(
      ...cuts.slice(0, -1).map((start, at) => {
        const here = (list) => list.filter(([from, to]) => from <= start && start < to);
        let piece = all.slice(start, cuts[at + 1]);
        const over = here(own).map(([, , mark]) => mark);
        if (over.length) {
          const worst = Math.max(...over.map((mark) => mark.severity));
          piece = element("mark", { class: `severity-${worst}`, title: over.map((mark) => label(mark.tag)).join(", ") }, piece);
        }
        return keeps.length && !here(keeps).length ? element("del", {}, piece) : piece;
      }),
    );
  }
  const list = find("#marks");
  list.replaceChildren(
    ...marks.map((mark, at) =>
      element(
        "li",
        {},
        element("q", { lang: find(`[data-part="${mark.part}"]`).lang }, element("bdi", {}, mark.quote)),
        element("span", {}, `${label(mark.tag)} · ${find(`#mark-severity [value="${mark.severity}"]`).textContent}`),
        ...(mark.note ? [element("bdi", { class: "soft" }, mark.note)] : []),
        element("button", { type: "button", click: () => write(read().filter((_, other) => other !== at)) }, list.dataset.remove),
      ),
    ),
  );
}

const label = (tag) => findAll("#mark-tag option").find((option) => option.value === tag)?.textContent ?? tag;

find("#mark-add").addEventListener("click", add);
find("#mark-note").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing) return;
  event.preventDefault();
  add();
});

// Fixing needs other words: go there first instead of asking the server to say so.
find("[data-key=fix]").addEventListener("click", (event) => {
  const details = find(".fixing");
  if (details.open) return;
  event.preventDefault();
  details.open = true;
  field("instruction").focus();
});

hintOnButtons();
if (form()) draw();
