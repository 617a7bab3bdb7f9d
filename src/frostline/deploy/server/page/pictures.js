/** The pictures of this tab: those that are being asked about, and those that are answered. */

import { Entry } from "./entry.js";
import { ServiceError, countThatFit, mostBytes } from "./service.js";
import { count, mebibytes, toCsv } from "./words.js";

/** Requests that are on their way at once, and pictures in each: few enough that the first answers come soon. */
const MOST_REQUESTS = 3;
const MOST_PICTURES = 8;
const NEWS_KEPT = 20;

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Reads something to those who listen to the page. */
function say(/** @type {string} */ words) {
  const line = document.createElement("p");
  line.textContent = words;
  byId("spoken").append(line);
  while (byId("spoken").childElementCount > NEWS_KEPT) byId("spoken").firstElementChild?.remove();
}

export class Pictures {
  /** @type {Entry[]} newest first */
  #entries = [];
  /** @type {Entry[]} in the order in which they are asked about */
  #waiting = [];
  #requests = 0;
  #service;
  #model;
  /** @type {import("./entry.js").Actions} */
  #actions = {
    explain: null,
    retry: (entry) => this.#queue([entry]),
    remove: (entry) => this.#remove(entry),
  };

  /**
   * @param {import("./service.js").Service} service
   * @param {import("./service.js").Model} model
   */
  constructor(service, model) {
    this.#service = service;
    this.#model = model;
    if (model.can_explain) this.#actions.explain = (file, className) => service.explain(file, className);
    byId("clear").addEventListener("click", () => this.#clear());
    byId("download").addEventListener("click", () => this.#download());
  }

  add(/** @type {File[]} */ files) {
    if (!files.length) return;
    const added = files.map((file) => new Entry(file, this.#actions));
    this.#entries.unshift(...added);
    byId("entries").prepend(...added.map((entry) => entry.node));
    say(`${count(added.length, "picture", "pictures")} added`);
    const isTooLarge = (/** @type {Entry} */ entry) => entry.file.size > mostBytes(this.#model.limits);
    for (const entry of added.filter(isTooLarge)) this.#refuse(entry);
    this.#queue(added.filter((entry) => !isTooLarge(entry)));
  }

  #refuse(/** @type {Entry} */ entry) {
    const most = mebibytes(this.#model.limits.body_bytes);
    entry.showError(`It has ${mebibytes(entry.file.size)}: this server takes up to ${most}.`, false);
    say(entry.words);
  }

  #queue(/** @type {Entry[]} */ entries) {
    for (const entry of entries) entry.showWaiting();
    this.#waiting.push(...entries);
    this.#ask();
    this.#update();
  }

  #ask() {
    while (this.#waiting.length && this.#requests < MOST_REQUESTS) {
      const files = this.#waiting.slice(0, MOST_PICTURES).map((entry) => entry.file);
      const group = this.#waiting.splice(0, countThatFit(files, this.#model.limits));
      this.#requests += 1;
      this.#answer(group).finally(() => {
        this.#requests -= 1;
        this.#ask();
      });
    }
  }

  /** Asks about some pictures; where all are refused together, about each, so that each has its own reason. */
  async #answer(/** @type {Entry[]} */ group) {
    try {
      await this.#predict(group);
    } catch (error) {
      const isRefused = error instanceof ServiceError && !error.isPassing;
      if (isRefused && group.length > 1) {
        for (const entry of group) await this.#answer([entry]);
        return;
      }
      for (const entry of group) {
        entry.showError(error instanceof Error ? error.message : String(error), !isRefused);
        this.#tell(entry);
      }
    }
  }

  async #predict(/** @type {Entry[]} */ group) {
    for (const entry of group) entry.showWaiting("Looking …");
    const files = group.map((entry) => entry.file);
    const started = performance.now();
    const predictions = await this.#service.predict(files, this.#model.top_k, (seconds) => {
      for (const entry of group) entry.showWaiting(`The server is busy: again in ${seconds} s`);
    });
    const milliseconds = performance.now() - started;
    group.forEach((entry, index) => {
      const prediction = predictions[index];
      if ("error" in prediction) entry.showError(`It cannot be read: ${prediction.error}.`, false);
      else entry.showPrediction(prediction, milliseconds);
      this.#tell(entry);
    });
  }

  #tell(/** @type {Entry} */ entry) {
    if (this.#entries.includes(entry)) say(entry.words);
    this.#update();
  }

  #remove(/** @type {Entry} */ entry) {
    const place = this.#entries.indexOf(entry);
    this.#entries.splice(place, 1);
    this.#waiting = this.#waiting.filter((other) => other !== entry);
    entry.discard();
    say(`${entry.file.name} removed`);
    const next = this.#entries[Math.min(place, this.#entries.length - 1)];
    if (next) next.focus();
    else byId("files").focus();
    this.#update();
  }

  #clear() {
    for (const entry of this.#entries) entry.discard();
    this.#entries = [];
    this.#waiting = [];
    say("All pictures removed");
    byId("files").focus();
    this.#update();
  }

  #update() {
    const number = this.#entries.length;
    const done = this.#entries.filter((entry) => entry.isDone).length;
    byId("count").textContent = done < number ? `${done} of ${number}` : String(number || "");
    byId("empty").hidden = number > 0;
    byId("tools").hidden = number === 0;
    byId("intake").classList.toggle("compact", number > 0);
    /** @type {HTMLButtonElement} */ (byId("download")).disabled = done === 0;
  }

  #download() {
    const head = ["name", "answer", "class", "probability", "far", "error"];
    const table = toCsv([head, ...this.#entries.filter((entry) => entry.isDone).map((entry) => entry.row)]);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
    link.download = "frostline.csv";
    link.click();
    URL.revokeObjectURL(link.href);
  }
}
