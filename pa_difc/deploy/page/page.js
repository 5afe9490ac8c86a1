// Photographs that are dropped, chosen or pasted: each is sent, and shown with what is said of it.
import { Camera } from "/camera.js";
import { ask, card, plural, show } from "/faces.js";

const at = (id) => document.getElementById(id);
let about = { classes: [], crops: {}, max_bytes: Infinity };
let given = [], waiting = [];
let busy = false;

function say(text) {
  at("status").textContent = text;
}

function enqueue(files) {
  const found = [...files];
  if (!found.length) return;
  for (const file of found) {
    const place = card(file.name || "pasted image");
    at("results").append(place.article);
    given.push({ file, place });
    waiting.push({ file, place });
  }
  at("clear").hidden = false;
  if (!busy) work();
}

async function work() {
  busy = true;
  let faces = 0, done = 0, failed = 0;
  while (waiting.length) {
    const { file, place } = waiting.shift();
    say(waiting.length ? `Looking at ${file.name}; ${plural(waiting.length, "photograph")} to go …` : `Looking at ${file.name} …`);
    const found = await look(file, place);
    if (found === null) failed += 1;
    else [done, faces] = [done + 1, faces + found];
  }
  busy = false;
  const unread = failed ? `; ${plural(failed, "file")} could not be read` : "";
  say(`${plural(done, "photograph")}, ${plural(faces, "face")}${unread}.`);
}

// The number of faces; null if there was no answer.
async function look(file, place) {
  if (file.size > about.max_bytes) {
    place.fail(`The file is too large: ${about.max_bytes >> 20} MB is the limit.`);
    return null;
  }
  try {
    const answer = await ask(file, about.crop);
    place.fail("");
    await show(place, answer, file, about);
    return answer.faces.length;
  } catch (error) {
    place.fail(error.message);
    return null;
  }
}

function dropping() {
  const zone = at("drop");
  const over = (event) => {
    event.preventDefault();
    zone.classList.toggle("over", event.type !== "dragleave");
  };
  for (const name of ["dragenter", "dragover", "dragleave"]) addEventListener(name, over);
  addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) enqueue(event.dataTransfer.files);
    else say("That was not a file. Drop photographs from a folder.");
  });
  addEventListener("paste", (event) => enqueue(event.clipboardData.files));
  at("files").addEventListener("change", () => {
    enqueue(at("files").files);
    at("files").value = "";
  });
}

// Shows the notes on a crop, and looks again at what is on the page.
function take(crop) {
  about.crop = crop;
  const line = (note) => Object.assign(document.createElement("li"), { textContent: `${note[0].toUpperCase()}${note.slice(1)}.` });
  const { notes, whole } = about.crops[crop];
  at("notes").replaceChildren(...notes.map(line));
  at("notes").hidden = !notes.length;
  at("whole").checked = whole;
  waiting = [...given];
  if (waiting.length && !busy) work();
}

async function start() {
  dropping();
  const camera = new Camera(at("live"), at("camera"), say, () => about);
  at("camera").addEventListener("click", () => camera.toggle());
  at("clear").addEventListener("click", () => {
    given = [];
    waiting = [];
    at("results").replaceChildren();
    at("clear").hidden = true;
    say("");
    at("files").focus();
  });
  try {
    about = await (await fetch("/about.json")).json();
  } catch {
    say("pa-difc serve does not answer: has it been stopped?");
    return;
  }
  document.title = `${about.name} – pa-difc`;
  at("name").textContent = about.name;
  at("about").textContent = `${about.method}, ${about.data}. Classes: ${about.classes.join(", ")}.`;
  at("limits").textContent = about.limits;
  at("whole").addEventListener("change", () => take(at("whole").checked ? "none" : about.searching));
  take(about.crop);
}

start();
