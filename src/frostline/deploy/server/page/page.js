/** The page of `frostline serve`: it asks what the server takes, and brings its parts together. */

import { Camera } from "./camera.js";
import { takeIn } from "./intake.js";
import { Pictures } from "./pictures.js";
import { Service } from "./service.js";
import { Tokens } from "./token.js";
import { count, mebibytes, percent } from "./words.js";

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const tokens = new Tokens(/** @type {HTMLFormElement} */ (byId("token")));
const service = new Service(tokens);

/** What the classifier knows and the server takes, in words. */
function describe(/** @type {import("./service.js").Model} */ model) {
  const { limits, input_size: side } = model;
  const unsure = model.unsure_below === null ? "" : ` Below ${percent(model.unsure_below)} its answer is “unsure”.`;
  const far = model.measures_distance ? " It marks pictures that are unlike those it was trained on." : "";
  byId("sees").textContent =
    `The classifier sees a picture at ${side} × ${side} pixels and answers with one of these classes.${unsure}${far} ` +
    `A picture may be ${new Intl.ListFormat("en", { type: "disjunction" }).format(limits.formats)}, ` +
    `of up to ${mebibytes(limits.body_bytes)} and ${limits.pixels.toLocaleString("en")} pixels.`;
  const names = model.classes.map((name) => {
    const item = document.createElement("li");
    item.dir = "auto";
    item.textContent = name;
    return item;
  });
  byId("classes").replaceChildren(...names);
  const summary = /** @type {HTMLElement} */ (document.querySelector("#about summary"));
  summary.textContent = `${count(names.length, "class", "classes")}, and what this server takes`;
  byId("about").hidden = false;
}

/** A line of trouble with its button. */
function notice(/** @type {string} */ words, /** @type {(value?: unknown) => void} */ retry) {
  const [line, button] = /** @type {HTMLElement[]} */ ([...byId("trouble").children]);
  line.textContent = words;
  button.onclick = () => retry();
  byId("trouble").hidden = false;
}

/** @returns {Promise<import("./service.js").Model>} as soon as the server tells it */
async function knownModel() {
  for (;;) {
    try {
      return await service.model();
    } catch (error) {
      await new Promise((resolve) => notice(error instanceof Error ? error.message : String(error), resolve));
      byId("trouble").hidden = true;
    }
  }
}

const pictures = knownModel().then((model) => {
  describe(model);
  if (model.token_needed) tokens.require();
  return new Pictures(service, model);
});
const add = async (/** @type {File[]} */ files) => (await pictures).add(files);
takeIn(add);
new Camera(add);
