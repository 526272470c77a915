// Makes elements; text is always text, whoever wrote it.

import { Problem } from "./api.js";

export const at = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Run something that asks the service; what goes wrong is written into the element, what is unforeseen also thrown. */
export async function trying(place, work) {
  place.textContent = "";
  try {
    return await work();
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    place.textContent = error.message;
    if (!(error instanceof Problem)) throw error;
    return undefined;
  }
}

/** As `trying`, with a form that cannot be sent again meanwhile. */
export async function submitting(form, place, work) {
  const buttons = [...form.querySelectorAll("button:not([type])")];
  for (const button of buttons) button.disabled = true;
  try {
    return await trying(place, work);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}
