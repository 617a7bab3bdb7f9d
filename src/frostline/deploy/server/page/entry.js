/**
 * One picture of the list: its preview, its answer, and what speaks for it.
 *
 * @typedef {import("./service.js").Prediction} Prediction
 * @typedef {import("./service.js").Unreadable} Unreadable
 * @typedef {{explain: ((file: File, className: string) => Promise<Blob>) | null, retry: (entry: Entry) => void,
 *   remove: (entry: Entry) => void}} Actions
 */

import { duration, percent } from "./words.js";

const template = /** @type {HTMLTemplateElement} */ (document.getElementById("entry"));

export class Entry {
  /** @type {Prediction | null} */
  prediction = null;
  /** @type {string | null} */
  error = null;
  #actions;
  /** @type {Map<string, Promise<string>>} addresses of the explanations, by class */
  #explanations = new Map();
  /** @type {string | null} the class whose explanation is shown */
  #explained = null;
  #preview;

  /**
   * @param {File} file
   * @param {Actions} actions
   */
  constructor(file, actions) {
    this.file = file;
    this.#actions = actions;
    this.node = /** @type {HTMLElement} */ (document.importNode(template.content, true).querySelector("li"));
    this.#preview = URL.createObjectURL(file);
    this.#find(".name").textContent = file.name;
    this.#find(".remove .spoken").textContent = ` ${file.name}`;
    this.#showPreview();
    this.#find(".remove").addEventListener("click", () => actions.remove(this));
    this.#find(".retry").addEventListener("click", () => actions.retry(this));
    this.#find(".explain").addEventListener("click", () => this.#toggle(this.#explained ?? this.#best.class));
  }

  /** Whether it is neither waiting nor on its way. */
  get isDone() {
    return this.prediction !== null || this.error !== null;
  }

  /** What a screen reader says of it. */
  get words() {
    if (!this.prediction) return `${this.file.name}: ${this.error ?? "waiting"}`;
    const { class: best, probability } = this.#best;
    const likely = `${best}, ${percent(probability)}`;
    const far = this.prediction.far ? ", unlike the training pictures" : "";
    return `${this.file.name}: ${this.prediction.unsure ? `unsure, most probable ${likely}` : likely}${far}`;
  }

  /** Its line of the table: name, answer, class, probability, far, error. */
  get row() {
    if (!this.prediction) return [this.file.name, "", "", "", "", this.error ?? ""];
    const { answer, far } = this.prediction;
    return [this.file.name, answer, this.#best.class, this.#best.probability, far, ""];
  }

  /** It waits, or is on its way to the server, or is sent again after a while. */
  showWaiting(words = "Waiting") {
    this.prediction = this.error = null;
    this.node.dataset.state = "waiting";
    this.#find("h3").textContent = words;
    this.#find(".error").hidden = true;
    this.#find(".retry").hidden = true;
  }

  /**
   * @param {Prediction} prediction
   * @param {number} milliseconds that its request took
   */
  showPrediction(prediction, milliseconds) {
    this.prediction = prediction;
    this.node.dataset.state = prediction.unsure ? "unsure" : "sure";
    this.#find("h3").textContent = prediction.answer;
    this.#find(".confidence").textContent = prediction.unsure ? "" : percent(this.#best.probability);
    this.#find(".far").hidden = !prediction.far;
    this.#find(".took").textContent = duration(milliseconds);
    this.#find(".ranking").replaceChildren(...prediction.top.map((ranked) => this.#rankedNode(ranked)));
    this.#find(".explain").hidden = this.#actions.explain === null;
    if (prediction.unsure) this.#showRunnerUp();
  }

  /**
   * @param {string} message
   * @param {boolean} isPassing whether it may work when tried again
   */
  showError(message, isPassing) {
    this.error = message;
    this.node.dataset.state = "failed";
    this.#find("h3").textContent = "No answer";
    this.#find(".error").textContent = message;
    this.#find(".error").hidden = false;
    this.#find(".retry").hidden = !isPassing;
  }

  focus() {
    this.#find(".remove").focus();
  }

  /** Forgets its pictures. */
  discard() {
    this.node.remove();
    URL.revokeObjectURL(this.#preview);
    for (const address of this.#explanations.values()) address.then(URL.revokeObjectURL, () => {});
  }

  get #best() {
    return /** @type {Prediction} */ (this.prediction).top[0];
  }

  #find(/** @type {string} */ selector) {
    return /** @type {HTMLElement} */ (this.node.querySelector(selector));
  }

  #showPreview() {
    const image = /** @type {HTMLImageElement} */ (this.#find(".picture"));
    image.addEventListener("error", () => {
      image.hidden = true;
      this.#find(".no-preview").textContent = "No preview";
      this.#find(".no-preview").hidden = false;
    });
    image.alt = this.file.name;
    image.src = this.#preview;
  }

  #showRunnerUp() {
    const name = document.createElement("bdi");
    name.textContent = this.#best.class;
    this.#find(".runner-up").replaceChildren("Most probable: ", name, `, ${percent(this.#best.probability)}`);
    this.#find(".runner-up").hidden = false;
  }

  /** A class with its probability; where it can be explained, a button that does. */
  #rankedNode(/** @type {import("./service.js").Ranked} */ ranked) {
    const node = document.createElement("li");
    const line = document.createElement(this.#actions.explain ? "button" : "div");
    line.className = "ranked";
    line.append(part("bdi", ranked.class), part("span", percent(ranked.probability), "share"), bar(ranked.probability));
    if (line instanceof HTMLButtonElement) {
      line.type = "button";
      line.dataset.class = ranked.class;
      line.setAttribute("aria-pressed", "false");
      line.append(part("span", ": what speaks for it", "spoken"));
      line.addEventListener("click", () => this.#toggle(ranked.class));
    }
    node.append(line);
    return node;
  }

  #toggle(/** @type {string} */ className) {
    this.#explained = this.#explained === className ? null : className;
    for (const line of this.node.querySelectorAll(".ranked")) {
      line.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (line).dataset.class === this.#explained));
    }
    const button = this.#find(".explain");
    button.setAttribute("aria-expanded", String(this.#explained !== null));
    button.textContent = this.#explained === null ? "What speaks for it" : "Hide what speaks for it";
    this.#find(".explanation").hidden = this.#find(".hint").hidden = this.#explained === null;
    this.#find(".explain-error").hidden = true;
    if (this.#explained !== null) this.#showExplanation(this.#explained);
  }

  async #showExplanation(/** @type {string} */ className) {
    const image = /** @type {HTMLImageElement} */ (this.#find(".explanation img"));
    const caption = this.#find(".explanation figcaption");
    image.removeAttribute("src");
    caption.textContent = "Looking …";
    const result = await this.#explanationOf(className).catch((/** @type {Error} */ error) => error);
    if (this.#explained !== className) return;
    if (result instanceof Error) {
      this.#explanations.delete(className);
      this.#toggle(className);
      this.#find(".explain-error").textContent = result.message;
      this.#find(".explain-error").hidden = false;
      return;
    }
    image.src = result;
    image.alt = `What speaks for ${className}: the warmer the colour, the more`;
    caption.replaceChildren("what speaks for ", part("bdi", className));
  }

  #explanationOf(/** @type {string} */ className) {
    const explain = /** @type {NonNullable<Actions["explain"]>} */ (this.#actions.explain);
    const known = this.#explanations.get(className);
    const address = known ?? explain(this.file, className).then((blob) => URL.createObjectURL(blob));
    this.#explanations.set(className, address);
    return address;
  }
}

/**
 * @param {string} tag
 * @param {string} text
 * @param {string} [className]
 */
function part(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

/** A bar as long as the share; the share stands beside it in words. */
function bar(/** @type {number} */ share) {
  const made = part("span", "", "bar");
  made.setAttribute("aria-hidden", "true");
  made.style.setProperty("--share", String(share));
  return made;
}
