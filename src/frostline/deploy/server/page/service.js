/**
 * The server's answers. A busy server is asked again; every failure becomes one plain sentence.
 *
 * @typedef {{class: string, probability: number}} Ranked
 * @typedef {{name: string, answer: string, unsure: boolean, far: boolean, top: Ranked[]}} Prediction
 * @typedef {{name: string, error: string}} Unreadable
 * @typedef {{body_bytes: number, pixels: number, pictures: number, formats: string[]}} Limits
 * @typedef {{classes: string[], input_size: number, unsure_below: number | null, measures_distance: boolean,
 *   can_explain: boolean, top_k: number, limits: Limits, token_needed: boolean}} Model
 */

/** How often a busy server is asked, and the most seconds between. */
const MOST_TRIES = 6;
const LONGEST_WAIT = 30;
/** Bytes that a request has beside each of its files, at most. */
const OVERHEAD = 1024;

/** What went wrong, in one sentence for the reader. */
export class ServiceError extends Error {
  /**
   * @param {string} message
   * @param {number} [status] of HTTP; 0 where the server was not reached
   */
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }

  /** Whether the same request may succeed later. */
  get isPassing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** The most bytes that a picture may have, since its request has a few more. */
export function mostBytes(/** @type {Limits} */ limits) {
  return limits.body_bytes - OVERHEAD;
}

/** How many of the first files fit into one request; at least one. */
export function countThatFit(/** @type {File[]} */ files, /** @type {Limits} */ limits) {
  let bytes = 0;
  const beyond = files.findIndex((file) => (bytes += file.size + OVERHEAD) > limits.body_bytes);
  return Math.max(1, Math.min(beyond < 0 ? files.length : beyond, limits.pictures));
}

export class Service {
  #tokens;

  /** @param {import("./token.js").Tokens} tokens */
  constructor(tokens) {
    this.#tokens = tokens;
  }

  /** @returns {Promise<Model>} */
  async model() {
    return (await this.#ask("model")).json();
  }

  /**
   * @param {File[]} files of one request
   * @param {number} topK
   * @param {(seconds: number) => void} onWait told when the server is busy and is asked again after some seconds
   * @returns {Promise<(Prediction | Unreadable)[]>} in the order of the files
   */
  async predict(files, topK, onWait) {
    const body = new FormData();
    for (const file of files) body.append("picture", file, file.name);
    const answer = await (await this.#ask(`predict?top_k=${topK}`, { method: "POST", body }, onWait)).json();
    return answer.predictions;
  }

  /**
   * @param {File} file
   * @param {string} className
   * @returns {Promise<Blob>} a picture of what speaks for the class
   */
  async explain(file, className) {
    const headers = { "Content-Type": file.type.startsWith("image/") ? file.type : "application/octet-stream" };
    const path = `explain?class=${encodeURIComponent(className)}`;
    return (await this.#ask(path, { method: "POST", headers, body: file })).blob();
  }

  /**
   * @param {string} path
   * @param {RequestInit} [init]
   * @param {(seconds: number) => void} [onWait]
   */
  async #ask(path, init = {}, onWait = () => {}) {
    for (let tries = 1; ; tries += 1) {
      const response = await this.#send(path, init);
      if (response.ok) return response;
      if (response.status !== 503 || tries === MOST_TRIES) throw await problemOf(response);
      const seconds = Math.min(Number(response.headers.get("Retry-After")) || 1, LONGEST_WAIT);
      onWait(seconds);
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   */
  async #send(path, init) {
    for (;;) {
      const token = await this.#tokens.current();
      const headers = new Headers(init.headers);
      if (token !== null) headers.set("Authorization", `Bearer ${token}`);
      const response = await fetch(path, { ...init, headers }).catch(() => {
        throw new ServiceError("The server cannot be reached. Is it running, and is this device online?");
      });
      if (response.status !== 401) return response;
      this.#tokens.refuse(token);
    }
  }
}

/**
 * The sentence of a refusal: RFC 9457's `detail`.
 *
 * @param {Response} response
 */
async function problemOf(response) {
  const problem = await response.json().catch(() => null);
  const detail = typeof problem?.detail === "string" ? problem.detail : `The server answered ${response.status}.`;
  return new ServiceError(detail, response.status);
}
