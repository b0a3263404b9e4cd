// The few words that all scripts of the review page share.

export const find = (selector, root = document) => root.querySelector(selector);
export const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];
export const form = () => find("#card-form");
export const field = (name) => form()?.elements.namedItem(name);

export function element(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...content);
  return made;
}

// Pages that come over plain HTTP have no crypto.randomUUID.
export function uuid() {
  const digit = (one) => (one ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (one / 4)))).toString(16);
  return crypto.randomUUID?.() ?? "10000000-1000-4000-8000-100000000000".replace(/[018]/g, digit);
}

// For screen readers, in a region that no swap replaces.
export function announce(text) {
  const line = find("#announce");
  if (line) line.textContent = text;
}
