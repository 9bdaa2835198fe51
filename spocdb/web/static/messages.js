/** What a page says: a line about what is shown, and messages. */

import { element } from "./elements.js";
import { Problem } from "./server.js";

const part = (id) => document.getElementById(id);

/** Say what is shown. */
export function say(text) {
  // Screen readers read every change.
  if (part("status").textContent !== text) part("status").textContent = text;
}

/** Show a message, with a button if there is something to do; it replaces the one before. */
export function tell(error, { label, action } = {}) {
  if (error.name === "AbortError") return;
  if (error instanceof Error && !(error instanceof Problem)) console.error(error);
  const button = label ? element("button", { onclick: action }, label) : null;
  part("notes").replaceChildren(element("p", {}, error.message), ...(button ? [button] : []));
}

/** Take the message away. */
export const hush = () => part("notes").replaceChildren();
