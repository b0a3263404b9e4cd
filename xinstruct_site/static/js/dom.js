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

// For screen readers, in a region that no swap replaces.
export function announce(text) {
  const line = find("#announce");
  if (line) line.textContent = text;
}
