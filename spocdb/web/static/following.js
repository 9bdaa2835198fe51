/** Changes that take longer than an answer: begun by a form, and followed until they have ended. */

import { count } from "./elements.js";
import { hush, tell } from "./messages.js";
import { Problem } from "./server.js";

const SECONDS_BETWEEN_LOOKS = 1;
// A change goes on while the server, or the way to it, does not answer for a moment.
const MOST_FAILURES = 10;

/** Why there is no end to tell of. */
export const LOST = "The server was started again meanwhile. The page shows what is stored";

/**
 * Ask with `look` until a change has ended, and tell how it goes.
 * Return null if the server was started again, and knows of none.
 */
export async function followed(change, look, told) {
  let failures = 0;
  while (change?.state === "running") {
    told(change);
    await new Promise((resolve) => setTimeout(resolve, SECONDS_BETWEEN_LOOKS * 1000));
    try {
      change = await look();
      failures = 0;
    } catch (error) {
      if (!(error instanceof Problem) || ++failures > MOST_FAILURES) throw error;
    }
  }
  return change;
}

/** A form that begins a change, or finds one that runs; the page shows what it came to. */
export class Changing {
  /**
   * `begin(values)` begins the change with what `asked()` reads from the form, `look()` returns how
   * it goes. `doing` says what is done meanwhile, `done(change)` what its pictures are counted as,
   * and `free()` is called when the form can be used again.
   */
  constructor(form, { asked, begin, look, doing, done, free = () => {} }) {
    Object.assign(this, { form, look, doing, done, free });
    this.progress = form.querySelector("progress");
    this.status = form.querySelector("output");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      // Read before the form is disabled.
      const values = asked();
      this.#work(() => begin(values));
    });
    if (form.dataset.state === "running") this.#work(look);
  }

  /** Begin a change or find one, and follow it to its end; meanwhile no other can begin. */
  async #work(begin) {
    hush();
    this.#busy(true);
    try {
      const change = await followed(await begin(), this.look, (now) => this.#told(now));
      if (change?.state === "done") {
        location.reload();
        return;
      }
      tell({ message: change?.said ?? LOST });
    } catch (error) {
      tell(error);
    }
    this.#busy(false);
  }

  #told(change) {
    const { n_done: done, n_due: due } = change;
    if (!due) return;
    this.progress.max = due;
    this.progress.value = done;
    const of = count(due, "picture");
    this.status.textContent = `${this.done(change)} ${done.toLocaleString("en")} of ${of}`;
  }

  #busy(isBusy) {
    this.status.textContent = isBusy ? `${this.doing}. You may leave this page` : "";
    this.progress.hidden = !isBusy;
    this.progress.removeAttribute("value");
    for (const element of this.form.elements) element.disabled = isBusy;
    if (!isBusy) this.free();
  }
}
