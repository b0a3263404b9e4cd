// Marks in a text, an instruction or an edited response: select, say what it is, see it drawn.
//
// Here offsets are UTF-16 units, as in the browser; in the form and on the server they count code points.
import { announce, element, field, find, findAll, form } from "./dom.js";
import { keepUnsent } from "./keeping.js";
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

function take(now) {
  if (!now) return;
  chosen = now;
  bar().hidden = false;
  find("#marking").lang = find(`[data-part="${now.part}"]`).lang;
  find("#marking bdi").textContent = now.quote;
}

document.addEventListener("selectionchange", () => {
  if (bar() && !bar().contains(document.activeElement)) take(selected());
});

function leave() {
  chosen = null;
  bar().hidden = true;
  getSelection().removeAllRanges();
}

function add(tag) {
  if (!chosen) return;
  const all = words.get(chosen.part);
  const mark = {
    part: chosen.part,
    start: points(all, chosen.start),
    end: points(all, chosen.end),
    quote: chosen.quote,
    tag,
    severity: Number(find("[name=severity]:checked").value),
    note: find("#mark-note").value,
  };
  // In the text, where arrow keys go on; else in the list, or the next selection would seem to be made in the bar.
  const byKeys = parts().find((one) => one === document.activeElement);
  reached = { part: mark.part, start: chosen.end, end: chosen.end };
  write([...read(), mark]);
  find("#mark-note").value = "";
  leave();
  (byKeys ?? find("#marks")).focus({ preventScroll: true });
  announce(`${mark.quote}: ${label(tag)}`);
}

function write(marks) {
  field("marks").value = JSON.stringify(marks);
  form().dispatchEvent(new Event("change"));
  draw();
}

// By keys: arrows choose the next or the last word in reading direction, with Shift they move the end of what is
// chosen by a letter as it is read (an emoji of five code points is one), with Ctrl or Alt as well by a word.

let reached = null; // where the last mark ended
const pieces = new Map();

function ends(part, granularity) {
  const key = `${part.dataset.part} ${granularity}`;
  if (!pieces.has(key)) {
    const found = new Intl.Segmenter(part.lang, { granularity }).segment(words.get(part.dataset.part));
    const said = [...found].filter((one) => granularity === "grapheme" || one.isWordLike);
    pieces.set(key, said.map((one) => [one.index, one.index + one.segment.length]));
  }
  return pieces.get(key);
}

function place(part, units) {
  const walk = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
  let node = walk.nextNode();
  while (node && units > node.length) {
    units -= node.length;
    node = walk.nextNode();
  }
  return [node, units];
}

function choose(part, start, end) {
  const quote = words.get(part.dataset.part).slice(start, end);
  take({ part: part.dataset.part, start, end, quote }); // the browser tells of a selection later than the next key
  getSelection().setBaseAndExtent(...place(part, start), ...place(part, end));
  const box = getSelection().getRangeAt(0).getBoundingClientRect();
  if (box.top < 0 || box.bottom > innerHeight * 0.7) scrollBy(0, box.top - innerHeight / 3);
  announce(quote);
}

function onArrow(event) {
  const part = event.currentTarget;
  const forward = (event.key === "ArrowRight") !== (getComputedStyle(part).direction === "rtl");
  const name = part.dataset.part;
  const now = chosen?.part === name ? chosen : reached?.part === name ? reached : { start: 0, end: 0 };
  if (event.shiftKey && now.end > now.start) {
    const stops = ends(part, event.ctrlKey || event.altKey ? "word" : "grapheme").map(([, end]) => end);
    const end = forward ? stops.find((stop) => stop > now.end) : stops.findLast((stop) => stop < now.end);
    if (end > now.start) choose(part, now.start, end);
  } else {
    const all = ends(part, "word");
    const word = forward ? all.find(([start]) => start >= now.end) : all.findLast(([, end]) => end <= now.start);
    if (word) choose(part, ...word);
  }
}

for (const part of window.Intl?.Segmenter ? parts() : []) {
  part.addEventListener("keydown", (event) => {
    if (event.metaKey || !bar()) return;
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") onArrow(event);
    else if (event.key === "Enter" && chosen) find("[data-tag]").focus();
    else return;
    event.preventDefault();
  });
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
        element("span", {}, `${label(mark.tag)} · ${find(`[name=severity][value="${mark.severity}"] + span`).textContent}`),
        ...(mark.note ? [element("bdi", { class: "soft" }, mark.note)] : []),
        element("button", { type: "button", click: () => write(read().filter((_, other) => other !== at)) }, list.dataset.remove),
      ),
    ),
  );
}

const label = (tag) => findAll("[data-tag]").find((one) => one.dataset.tag === tag)?.firstChild.textContent ?? tag;

if (form()) {
  for (const button of findAll("[data-tag]")) button.addEventListener("click", () => add(button.dataset.tag));
  find("#mark-leave").addEventListener("click", leave);
  bar().addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input")) event.preventDefault(); // it sends nothing
  });

  // Fixing needs other words: go there first instead of asking the server to say so.
  find("[data-key=fix]").addEventListener("click", (event) => {
    const details = find(".fixing");
    if (details.open) return;
    event.preventDefault();
    details.open = true;
    field("instruction").focus();
  });
  keepUnsent();
  findAll("[data-tag]")
    .slice(0, 9)
    .forEach((button, at) => button.append(element("kbd", { dir: "ltr", "aria-hidden": "true" }, String(at + 1))));
  draw();
}
hintOnButtons();
