// The camera: a frame is sent when the answer to the one before has come, five a second at most.
import { ask, card, plural, update } from "/faces.js";

const PAUSE_MS = 200, SIDE = 640, QUALITY = 0.9;
const WHY = {
  NotAllowedError: "The browser was not allowed to use the camera. Allow it for this page, and try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program.",
};

export class Camera {
  constructor(place, button, say, about) {
    Object.assign(this, { place, button, say, about, stream: null });
    document.addEventListener("visibilitychange", () => document.hidden && this.stop());
  }

  toggle() {
    return this.stream ? this.stop() : this.start();
  }

  async start() {
    try {
      if (!navigator.mediaDevices) throw new Error("This browser has no camera for a page at this address.");
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
    } catch (error) {
      this.say(WHY[error.name] ?? error.message);
      return;
    }
    const stream = this.stream;
    const shown = card("Camera");
    const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, srcObject: stream });
    stream.getVideoTracks()[0].addEventListener("ended", () => this.stop("The camera has stopped."));
    shown.picture.append(video);
    this.place.replaceChildren(shown.article);
    this.button.setAttribute("aria-pressed", "true");
    this.button.textContent = "Stop the camera";
    await video.play();
    while (this.stream === stream) await this.frame(video, shown, stream);
  }

  async frame(video, shown, stream) {
    const begun = performance.now();
    const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth * scale, video.videoHeight * scale];
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const image = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
    try {
      const answer = await ask(image, this.about().crop);
      if (this.stream !== stream) return;
      update(shown, answer, this.about());
      this.say(`Camera: ${plural(answer.faces.length, "face")}.`);
    } catch (error) {
      this.stop(error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, PAUSE_MS - (performance.now() - begun))));
  }

  stop(why = "") {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.place.replaceChildren();
    this.button.setAttribute("aria-pressed", "false");
    this.button.textContent = "Use the camera";
    this.say(why);
  }
}
