"use strict";
const data = JSON.parse(document.getElementById("data").textContent);

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

function figure(row) {
  const [path, confidence] = data.info[row];
  const made = element("figure");
  if (data.pictures[row]) {
    const image = element("img");
    image.src = data.pictures[row];
    image.alt = path;
    made.append(image);
  } else {
    made.append(element("div", "not kept", "none"));
  }
  const caption = element("figcaption", confidence);
  caption.append(element("br"), element("bdi", path, "path"));
  made.append(caption);
  return made;
}

function showCell(name) {
  const cell = data.cells[name];
  const panel = document.getElementById("cell");
  if (!cell || !panel) return;
  for (const old of document.querySelectorAll("[aria-pressed=true]")) old.setAttribute("aria-pressed", "false");
  for (const now of document.querySelectorAll(`[data-cell="${name}"]`)) now.setAttribute("aria-pressed", "true");
  const [truth, answer] = name.split(",").map((index) => data.names[index]);
  const title = element("h3");
  title.append("true class ", element("bdi", truth), ", answered ", element("bdi", answer));
  const more = cell.rows.length < cell.count ? `, ${cell.rows.length} of them here` : "";
  const note = element("p", `${cell.count.toLocaleString("en")} ${cell.count === 1 ? "picture" : "pictures"}${more}`);
  const pictures = element("div", undefined, "pictures");
  pictures.append(...cell.rows.map(figure));
  panel.replaceChildren(title, note, pictures);
  panel.hidden = false;
  panel.scrollIntoView({ block: "nearest", behavior: "smooth" });
}

function nameCell(name) {
  const line = document.getElementById("hovered");
  const cell = data.cells[name];
  if (!line || !cell) return;
  const [truth, answer] = name.split(",").map((index) => data.names[index]);
  line.replaceChildren(element("bdi", truth), " → ", element("bdi", answer), `: ${cell.count.toLocaleString("en")}`);
}

function sortBy(header) {
  const table = header.closest("table");
  const column = [...header.parentNode.children].indexOf(header);
  const down = header.getAttribute("aria-sort") !== "descending";
  for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.children[column].dataset.value ?? row.children[column].textContent;
  const numeric = header.classList.contains("number");
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => (numeric ? key(a) - key(b) : key(a).localeCompare(key(b), undefined, { numeric: true })));
  if (numeric ? down : !down) rows.reverse();
  table.tBodies[0].append(...rows);
}

document.addEventListener("click", (event) => {
  const cell = event.target.closest("[data-cell]");
  const header = event.target.closest("th button");
  if (cell) showCell(cell.dataset.cell);
  if (header) sortBy(header.closest("th"));
});
document.addEventListener("mouseover", (event) => {
  if (event.target.dataset.cell && event.target.tagName === "rect") nameCell(event.target.dataset.cell);
});
