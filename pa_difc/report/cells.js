// The picture of all cells: drawn by Vega over the still one, which stays where that fails.
(() => {
  "use strict";
  const tip = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
  document.body.append(tip);

  /** What one points at, in words; texts are set as texts, whatever a method is called. */
  const say = (handler, event, item, value) => {
    tip.hidden = !value;
    if (!value) return;
    tip.replaceChildren(...Object.entries(value).map(([name, text]) => {
      const line = document.createElement("div");
      line.append(Object.assign(document.createElement("span"), { textContent: `${name} ` }));
      line.append(Object.assign(document.createElement("b"), { textContent: text }));
      return line;
    }));
    const { width, height } = tip.getBoundingClientRect();
    const below = event.clientY + 14;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - width - 4))}px`;
    tip.style.top = `${below + height > innerHeight ? event.clientY - height - 8 : below}px`;
  };

  /** The keys of methods and losses: one that is pressed leaves its own cells alone in colour. */
  const connect = (figure, view) => {
    for (const button of figure.querySelectorAll(".keys button")) {
      button.addEventListener("click", () => {
        const pressed = button.getAttribute("aria-pressed") === "true";
        for (const other of button.parentElement.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-pressed", String(!pressed));
        view.signal(button.dataset.signal, pressed ? "" : button.dataset.value).runAsync();
      });
    }
  };

  /** Vega itself, which stands in the page compressed: a third of its size. */
  const unpack = async () => {
    const packed = document.getElementById("vega").textContent;
    const stream = new Blob([Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0))]).stream();
    const text = await new Response(stream.pipeThrough(new DecompressionStream("gzip"))).text();
    (0, eval)(text);
  };

  const draw = async (figure) => {
    figure.classList.add("drawn"); // so that the plot has a width
    try {
      const spec = JSON.parse(figure.querySelector("script").textContent);
      const options = { renderer: "svg", actions: false, tooltip: say };
      connect(figure, (await vegaEmbed(figure.querySelector(".plot"), spec, options)).view);
    } catch (error) {
      figure.classList.remove("drawn");
      throw error;
    }
  };

  unpack()
    .then(() => Promise.all([...document.querySelectorAll("figure.cells")].map(draw)))
    .then(() => { document.documentElement.dataset.drawn = "true"; })
    .catch((error) => console.warn(`The picture of all cells stays still: ${error.message}`));
})();
