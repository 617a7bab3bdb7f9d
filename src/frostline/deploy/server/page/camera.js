/** Pictures from the camera, with a live view of it. */

/** @type {Record<string, string>} */
const TROUBLE = {
  NotAllowedError: "This page may not use the camera. Allow it in the browser’s settings for this site, then try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera cannot be started: another program may be using it.",
};

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

export class Camera {
  #panel = byId("camera");
  #open = byId("camera-open");
  #view = /** @type {HTMLVideoElement} */ (byId("camera-view"));
  #shot = byId("camera-shot");
  #trouble = byId("camera-trouble");
  #taken = 0;

  /** @param {(files: File[]) => void} onPictures */
  constructor(onPictures) {
    if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) return;
    this.#open.hidden = false;
    this.#open.addEventListener("click", () => this.#start());
    this.#shot.addEventListener("click", async () => onPictures([await this.#takePicture()]));
    byId("camera-stop").addEventListener("click", () => this.#stop());
  }

  async #start() {
    this.#open.hidden = true;
    this.#panel.hidden = false;
    this.#trouble.hidden = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      if (this.#panel.hidden) return stopTracks(stream);
      for (const track of stream.getTracks()) track.addEventListener("ended", () => this.#stop());
      this.#view.srcObject = stream;
      await this.#view.play();
      this.#show(true);
      this.#shot.focus();
    } catch (error) {
      const name = error instanceof DOMException ? error.name : "";
      this.#trouble.textContent = TROUBLE[name] ?? "The camera cannot be started.";
      this.#trouble.hidden = false;
    }
  }

  #stop() {
    stopTracks(/** @type {MediaStream | null} */ (this.#view.srcObject));
    this.#view.srcObject = null;
    this.#show(false);
    this.#panel.hidden = true;
    this.#open.hidden = false;
    this.#open.focus();
  }

  #show(/** @type {boolean} */ isLive) {
    this.#view.hidden = !isLive;
    this.#shot.hidden = !isLive;
  }

  /** @returns {Promise<File>} what the camera sees now, in its own resolution */
  #takePicture() {
    const canvas = document.createElement("canvas");
    canvas.width = this.#view.videoWidth;
    canvas.height = this.#view.videoHeight;
    canvas.getContext("2d")?.drawImage(this.#view, 0, 0);
    const name = `camera-${(this.#taken += 1)}.jpg`;
    return new Promise((resolve) => {
      canvas.toBlob((blob) => resolve(new File(blob ? [blob] : [], name, { type: "image/jpeg" })), "image/jpeg", 0.95);
    });
  }
}

function stopTracks(/** @type {MediaStream | null} */ stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
