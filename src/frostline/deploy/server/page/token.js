/** The server's token: asked for in a form, kept for as long as the tab is open. */

const KEY = "frostline-token";

export class Tokens {
  #form;
  #input;
  #note;
  #isNeeded = false;
  /** @type {Promise<string> | null} */
  #asked = null;

  /** @param {HTMLFormElement} form with a password input and a line about it */
  constructor(form) {
    this.#form = form;
    this.#input = /** @type {HTMLInputElement} */ (form.querySelector("input"));
    this.#note = /** @type {HTMLElement} */ (form.querySelector("p"));
  }

  /** From now on each request has a token. */
  async require() {
    this.#isNeeded = true;
    await this.current();
  }

  /** The token, as soon as there is one; null where none is needed. */
  async current() {
    if (!this.#isNeeded) return null;
    return sessionStorage.getItem(KEY) ?? (this.#asked ??= this.#ask());
  }

  /** The server did not take this token, so the next one is asked for. */
  refuse(/** @type {string | null} */ token) {
    this.#isNeeded = true;
    if (token === null || sessionStorage.getItem(KEY) !== token) return;
    sessionStorage.removeItem(KEY);
    this.#note.textContent = "The server did not accept that token. Please check it and enter it again.";
    this.#note.className = "error";
  }

  /** @returns {Promise<string>} */
  #ask() {
    this.#form.hidden = false;
    this.#input.focus();
    return new Promise((resolve) => {
      this.#form.onsubmit = (event) => {
        event.preventDefault();
        const token = this.#input.value;
        sessionStorage.setItem(KEY, token);
        this.#input.value = "";
        this.#form.hidden = true;
        this.#asked = null;
        resolve(token);
      };
    });
  }
}
