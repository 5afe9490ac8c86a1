// Of every page: tables that sort and filter, folded details, and contents that say where one is.
// Nothing here adds content: without it every number is on the page all the same.
(() => {
  "use strict";
  const FEW = 12; // rows that need no filter
  const all = (query, inside = document) => [...inside.querySelectorAll(query)];
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

  /** "+5.7", "53.9 ± 1.7", "< 0.001", "1,234", "2:05" as a number, and NaN for what is none. */
  const number = (text) => {
    const clock = /^(\d+):(\d\d)$/.exec(text);
    if (clock) return 60 * clock[1] + Number(clock[2]);
    const found = /^[<>]?\s*([+\u2212-]?\d[\d,]*(?:\.\d+)?)/.exec(text);
    return found ? Number(found[1].replaceAll(",", "").replace("\u2212", "-")) : NaN;
  };
  const empty = (text) => text === "" || text === "–";
  const cell = (row, column) => row.cells[column].textContent.trim();

  /** Rows by one column, those without a value last. */
  const sorted = (rows, column, direction) => {
    const texts = rows.map((row) => cell(row, column));
    const numeric = texts.every((text) => empty(text) || !Number.isNaN(number(text)));
    const compare = numeric
      ? (a, b) => number(a) - number(b)
      : (a, b) => a.localeCompare(b, undefined, { numeric: true });
    const order = texts.map((text, row) => ({ text, row: rows[row] }));
    order.sort((a, b) => empty(a.text) - empty(b.text) || (empty(a.text) ? 0 : direction * compare(a.text, b.text)));
    return { rows: order.map((item) => item.row), numeric };
  };

  /** Numbers from the largest, words from the first; once more turns it round; then the order of the page again. */
  const sortable = (table) => {
    const body = table.tBodies[0], original = [...body.rows];
    if (original.length < 2) return;
    all("thead th", table).forEach((head, column) => {
      const button = make("button", { type: "button", title: "Sort by this column" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const { numeric } = sorted(original, column, 1);
        const turns = numeric ? ["descending", "ascending"] : ["ascending", "descending"];
        const next = turns[turns.indexOf(head.ariaSort) + 1];
        all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next);
        body.append(...(next ? sorted(original, column, next === "ascending" ? 1 : -1).rows : original));
      });
    });
  };

  /** A field that hides the rows in which one of its words does not occur. */
  const filterable = (table) => {
    const rows = [...table.tBodies[0].rows];
    if (rows.length <= FEW) return;
    const label = make("label", { className: "filter", textContent: "Filter " });
    const input = make("input", { type: "search" });
    const count = make("output", {});
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      count.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
    });
    label.append(input, count);
    table.closest(".scroll").before(label);
  };

  /** A line above each table that is wider than its place. */
  const hint = (scroll) => {
    const line = make("p", { className: "hint", textContent: "More columns to the right: scroll the table →" });
    scroll.before(line);
    new ResizeObserver(() => { line.hidden = scroll.scrollWidth <= scroll.clientWidth + 1; }).observe(scroll);
  };

  all("table").forEach((table) => { sortable(table); filterable(table); });
  all(".scroll").forEach(hint);

  const narrow = matchMedia("(max-width: 600px)").matches;
  const folds = all(narrow ? "details.fold, details.fold-narrow" : "details.fold");
  folds.forEach((fold) => { fold.open = false; });
  const unfold = () => {
    let place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (; place; place = place.parentElement) if (place.tagName === "DETAILS") place.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = folds.filter((fold) => !fold.open);
    closed.forEach((fold) => { fold.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((fold) => { fold.open = false; }));

  const links = new Map(all(".contents a").map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
  const watch = new IntersectionObserver((entries) => {
    const seen = entries.find((entry) => entry.isIntersecting);
    if (!seen) return;
    links.forEach((link) => link.removeAttribute("aria-current"));
    links.get(seen.target.id)?.setAttribute("aria-current", "true");
  }, { rootMargin: "0px 0px -70% 0px" });
  all("h2[id]").forEach((heading) => watch.observe(heading));
})();
