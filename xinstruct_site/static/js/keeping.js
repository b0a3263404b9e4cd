// What a linguist has written and marked outlasts a reload, a lost connection and an expired session: it lies in this
// browser, under the person and what they decide on, until a decision has been sent and another page came after it.
import { find, form } from "./dom.js";

const PREFIX = "deciding ";
const DAYS = 7;
const NOT_KEPT = new Set(["csrfmiddlewaretoken", "id", "pair"]);

const name = () => PREFIX + form().dataset.keep;
const written = () => [...new FormData(form())].filter(([field, value]) => !NOT_KEPT.has(field) && value);

function forgetOld() {
  const oldest = Date.now() - DAYS * 86_400_000;
  for (const key of Object.keys(localStorage)) {
    if (key.startsWith(PREFIX) && JSON.parse(localStorage.getItem(key)).at < oldest) localStorage.removeItem(key);
  }
}

function save() {
  localStorage.setItem(name(), JSON.stringify({ at: Date.now(), said: written() }));
}

function restore(kept) {
  for (const [field, value] of kept) {
    const control = form().elements.namedItem(field);
    if (control) control.value = value; // of radio buttons, too
  }
  for (const details of form().querySelectorAll("details")) {
    details.open ||= [...details.querySelectorAll("textarea")].some((one) => one.value !== one.defaultValue);
  }
}

export function keepUnsent() {
  if (!form()) return;
  const sent = sessionStorage.getItem(PREFIX);
  sessionStorage.removeItem(PREFIX);
  // Where the page that follows is about something else, the decision was taken.
  if (sent && sent !== name()) localStorage.removeItem(sent);
  forgetOld();
  const before = JSON.stringify(written());
  const kept = JSON.parse(localStorage.getItem(name()) ?? "null")?.said;
  if (kept && JSON.stringify(kept) !== before && !form().querySelector(".error")) {
    restore(kept);
    find("#kept-here").hidden = false;
    find("#kept-here button").addEventListener("click", () => {
      localStorage.removeItem(name());
      location.reload();
    });
  }
  form().addEventListener("input", save);
  form().addEventListener("change", save);
  form().addEventListener("submit", () => sessionStorage.setItem(PREFIX, name()));
}
