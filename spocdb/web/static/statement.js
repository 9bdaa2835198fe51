/** The SQL of what is shown, to copy. */

import { Problem } from "./server.js";

const part = (id) => document.getElementById(id);

export class Statement {
  /** `asked()` returns the parameters of what is shown; `body` is a picture to search with. */
  constructor(collection, asked) {
    Object.assign(this, { collection, asked });
    part("copy").addEventListener("click", () => this.#copy());
  }

  async show() {
    part("copied").textContent = "";
    part("statement").textContent = "…";
    part("sql").showModal();
    try {
      const { body, ...values } = await this.asked();
      const { sql } = body
        ? await this.collection.sqlOf(body, values)
        : await this.collection.sql(values);
      part("statement").textContent = sql;
    } catch (error) {
      if (!(error instanceof Problem)) console.error(error);
      part("statement").textContent = `-- ${error.message}`;
    }
  }

  async #copy() {
    const text = part("statement");
    try {
      await navigator.clipboard.writeText(text.textContent);
      part("copied").textContent = "Copied";
    } catch {
      // Browsers refuse where the page comes over plain HTTP from another machine.
      getSelection().selectAllChildren(text);
      part("copied").textContent = "Selected: press Ctrl+C or ⌘C";
    }
  }
}
