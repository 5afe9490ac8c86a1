// What is said of a picture: boxes on it, and bars for each face beside it.

const SVG = "http://www.w3.org/2000/svg";
const SMALLEST = 320; // pixels of a picture's longer side; smaller ones are enlarged
const ALL = 10, MOST = 8; // up to 10 classes have a bar each; of more, the 8 most probable ones

export const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  Object.assign(node, attributes);
  node.append(...children);
  return node;
}

function draw(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Sends an image; gives its size and faces under a crop, or throws an error in words.
export async function ask(image, crop) {
  let answer;
  try {
    answer = await fetch(`/predict?crop=${encodeURIComponent(crop)}`, { method: "POST", body: image, headers: { "Content-Type": "application/octet-stream" } });
  } catch {
    throw new Error("pa-difc serve does not answer: has it been stopped?");
  }
  if (!answer.ok) throw new Error(answer.status === 500 ? "pa-difc failed; its terminal says why." : await answer.text());
  return answer.json();
}

// An empty place for a picture and what is said of it.
export function card(title) {
  const picture = make("div", { className: "picture" });
  const faces = make("ol", { className: "faces" });
  const wrong = make("p", { className: "wrong", hidden: true });
  const article = make("article", { className: "photograph" }, make("h2", { textContent: title }), wrong, picture, faces);
  const fail = (text) => {
    wrong.textContent = text;
    wrong.hidden = !text;
  };
  return { article, picture, faces, fail };
}

export async function show(place, answer, file, about) {
  const image = make("img", { alt: place.article.firstChild.textContent });
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    const longer = Math.max(image.naturalWidth, image.naturalHeight);
    if (longer < SMALLEST) image.width = Math.round(image.naturalWidth * SMALLEST / longer);
    place.picture.replaceChildren(image);
  } catch {
    place.fail("Your browser can't show this format; what was found in it is listed all the same.");
  }
  URL.revokeObjectURL(image.src);
  update(place, answer, about);
}

// Draws boxes over the picture that is there, if one is, and lists the faces.
export function update(place, answer, about) {
  const lists = answer.faces.map((face, index) => listed(face, index, answer.faces.length, about));
  place.picture.querySelector("svg")?.remove();
  if (!lists.length) lists.push(make("li", { className: "quiet", textContent: "No face was found." }));
  else if (place.picture.firstChild && !about.crops[answer.crop].whole) {
    const boxes = answer.faces.map((face, index) => boxed(face, index, answer));
    const view = { viewBox: `0 0 ${answer.width} ${answer.height}`, preserveAspectRatio: "none", "aria-hidden": "true" };
    place.picture.append(draw("svg", view, ...boxes));
    boxes.forEach((box, index) => together(box, lists[index]));
  }
  place.faces.classList.toggle("many", lists.length > 2);
  place.faces.replaceChildren(...lists);
}

function together(box, item) {
  const lit = (on) => () => [box, item].forEach((node) => node.classList.toggle("lit", on));
  for (const name of ["mouseenter", "focus"]) item.addEventListener(name, lit(true));
  for (const name of ["mouseleave", "blur"]) item.addEventListener(name, lit(false));
}

function boxed(face, index, { width, height, faces: { length: number } }) {
  const [left, top, right, bottom] = face.box;
  const size = Math.max(height / 28, width / 36);
  const text = number > 1 ? `${index + 1} ${face.label}` : face.label;
  const wide = size * (0.62 * text.length + 0.7), high = 1.4 * size;
  const x = Math.max(0, Math.min(left, width - wide)), y = top >= high ? top - high : Math.min(bottom, height - high);
  const rect = { x: left, y: top, width: right - left, height: bottom - top };
  const label = draw("text", { x: x + 0.35 * size, y: y + 1.03 * size, "font-size": size, textLength: wide - 0.7 * size, lengthAdjust: "spacingAndGlyphs" });
  label.textContent = text;
  return draw(
    "g", { class: "box" }, draw("rect", { ...rect, class: "halo" }), draw("rect", rect),
    draw("rect", { x, y, width: wide, height: high, class: "tag" }), label,
  );
}

function listed(face, index, number, about) {
  let bars = face.probabilities.map((p, k) => ({ p, name: about.classes[k] }));
  if (bars.length > ALL) bars = bars.sort((a, b) => b.p - a.p).slice(0, MOST);
  const sure = Math.max(...face.probabilities);
  const head = make("h3", {}, ...(number > 1 ? [make("span", { className: "number", textContent: `${index + 1}` })] : []), face.label);
  const item = make("li", { className: "face", tabIndex: 0 }, head, make("dl", { className: "bars" }, ...bars.flatMap((bar) => row(bar, bar.p === sure))));
  item.setAttribute("aria-label", `Face ${index + 1}: ${face.label}, ${percent(sure)}`);
  return item;
}

function row({ name, p }, best) {
  const bar = draw("svg", { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" }, draw("rect", { width: 100 * p, height: 1 }));
  const mark = best ? "best" : "";
  const value = make("dd", { className: mark }, bar, make("span", { className: `number ${mark}`, textContent: percent(p) }));
  return [make("dt", { className: mark, textContent: name }), value];
}

function percent(p) {
  return p > 0 && p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`;
}
