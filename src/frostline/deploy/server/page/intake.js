/** Pictures that are dropped, pasted or chosen. */

export function takeIn(/** @type {(files: File[]) => void} */ onPictures) {
  const chosen = /** @type {HTMLInputElement} */ (document.getElementById("files"));
  chosen.addEventListener("change", () => {
    onPictures([...(chosen.files ?? [])]);
    chosen.value = "";
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) event.preventDefault();
    onPictures(files.map(named));
  });
  takeDrops(onPictures);
}

function takeDrops(/** @type {(files: File[]) => void} */ onPictures) {
  const isOver = (/** @type {boolean} */ over) => document.body.classList.toggle("dropping", over);
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    isOver(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) isOver(false);
  });
  document.addEventListener("drop", (event) => {
    isOver(false);
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    const { files, folders } = sort(event.dataTransfer);
    onPictures(files);
    tellOfFolders(folders);
  });
}

/** The files among what is dropped, and the names of the folders, which have no bytes of their own. */
function sort(/** @type {DataTransfer} */ dropped) {
  const folders = [...dropped.items].flatMap((item) => {
    const entry = item.webkitGetAsEntry?.();
    return entry?.isDirectory ? [entry.name] : [];
  });
  return { files: [...dropped.files].filter((file) => !folders.includes(file.name)), folders };
}

function tellOfFolders(/** @type {string[]} */ folders) {
  const line = /** @type {HTMLElement} */ (document.getElementById("folders"));
  line.textContent = `${folders.join(", ")} is a folder: drop the pictures that are in it.`;
  line.hidden = folders.length === 0;
}

let pasted = 0;

/** A pasted picture with a name of its own; browsers call them all image.png. */
function named(/** @type {File} */ file) {
  if (file.name !== "image.png") return file;
  return new File([file], `pasted-${(pasted += 1)}.png`, { type: file.type });
}
