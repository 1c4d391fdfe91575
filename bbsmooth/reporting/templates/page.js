"use strict";

const tip = document.getElementById("tip");

function showTip(mark) {
  tip.textContent = mark.getAttribute("aria-label");
  tip.hidden = false;
  const at = mark.getBoundingClientRect(), own = tip.getBoundingClientRect();
  const left = Math.min(Math.max(4, at.left + at.width / 2 - own.width / 2), innerWidth - own.width - 4);
  const above = at.top - own.height - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 4 ? above : at.bottom + 8}px`;
}

function hideTip() {
  tip.hidden = true;
}

// A chart is one stop of the Tab key; arrow keys go from mark to mark.
for (const chart of document.querySelectorAll(".chart > svg")) {
  const marks = [...chart.querySelectorAll(".mark")];
  const reach = (mark) => {
    marks.forEach((each) => each.setAttribute("tabindex", each === mark ? "0" : "-1"));
  };
  if (marks.length) reach(marks[0]);
  for (const mark of marks) {
    mark.addEventListener("pointerenter", () => showTip(mark));
    mark.addEventListener("pointerleave", hideTip);
    mark.addEventListener("focus", () => { reach(mark); showTip(mark); });
    mark.addEventListener("blur", hideTip);
  }
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const place = marks.indexOf(document.activeElement);
    if (event.key === "Escape") hideTip();
    if (!step || place < 0) return;
    event.preventDefault();
    marks[(place + step + marks.length) % marks.length].focus();
  });
}
addEventListener("scroll", hideTip, { passive: true });

function compare(one, other) {
  if (one === other) return 0;
  if (one === null || one === "") return 1;
  if (other === null || other === "") return -1;
  return one < other ? -1 : 1;
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  table.querySelectorAll("th").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("th").forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const numeric = head.classList.contains("number"), place = head.cellIndex;
      const key = (row) => {
        const value = row.cells[place].dataset.value;
        return numeric && value !== "" ? Number(value) : value;
      };
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([one], [other]) => (one === "" || other === "" ? compare(one, other) : (up ? 1 : -1) * compare(one, other)));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function gallery(data) {
  const [INDEX, LABEL, PREDICTED, OUTCOME, RADIUS, P_LOWER, QUERIES, VOTES] = [0, 1, 2, 3, 4, 5, 6, 7];
  const KEYS = { index: INDEX, radius: RADIUS, p_lower: P_LOWER, queries: QUERIES };
  const CARDS = 24;
  const filters = document.getElementById("filters"), cards = document.getElementById("cards");
  const pages = document.getElementById("pages"), field = filters.elements;
  const name = (place) => (place === null ? "unknown" : place < 0 ? "others" : data.classes[place]);
  let rows = data.rows, page = 0;

  function option(select, value, text) {
    const made = element("option", text);
    made.value = value;
    select.append(made);
  }

  function wanted(row) {
    const one = field.class.value, outcome = field.outcome.value, radius = row[RADIUS] ?? 0;
    return (one === "" || row[LABEL] === Number(one) || row[PREDICTED] === Number(one))
      && (outcome === "" || row[OUTCOME] === outcome)
      && (field.from.value === "" || radius >= Number(field.from.value))
      && (field.to.value === "" || radius <= Number(field.to.value))
      && (!field.pictured.checked || String(row[INDEX]) in data.pictures);
  }

  function choose() {
    const key = KEYS[field.sort.value], sign = field.order.value === "up" ? 1 : -1;
    rows = data.rows.filter(wanted);
    rows.sort((one, other) => (one[key] === null || other[key] === null ? compare(one[key], other[key]) : sign * (one[key] - other[key])) || one[INDEX] - other[INDEX]);
    page = 0;
    show();
  }

  function pictures(row) {
    const shown = element("div", undefined, "pictures");
    (data.pictures[row[INDEX]] ?? []).forEach((address, place) => {
      if (!address) return;
      const figure = element("figure"), image = element("img");
      image.src = address;
      image.alt = `image ${row[INDEX]}, ${data.names[place]}`;
      figure.append(image, element("figcaption", data.names[place]));
      shown.append(figure);
    });
    return shown;
  }

  function votes(row) {
    const bar = element("div", undefined, "votes"), all = row[VOTES].reduce((sum, [, count]) => sum + count, 0);
    row[VOTES].forEach(([place, count], order) => {
      const part = element("span", undefined, `color-${place < 0 ? 7 : order}`);
      part.style.width = `${(100 * count) / all}%`;
      bar.append(part);
    });
    bar.setAttribute("role", "img");
    bar.setAttribute("aria-label", `votes: ${row[VOTES].map(([place, count]) => `${name(place)} ${count}`).join(", ")}`);
    bar.title = bar.getAttribute("aria-label");
    return bar;
  }

  function card(row) {
    const made = element("li");
    made.append(element("h3", `Image ${row[INDEX]}: ${row[OUTCOME]}`));
    if (String(row[INDEX]) in data.pictures) made.append(pictures(row));
    if (row[VOTES].length) made.append(votes(row));
    const said = row[PREDICTED] === null ? "no class proven" : `proven: ${name(row[PREDICTED])}`;
    made.append(element("p", row[LABEL] === null ? said : `label ${name(row[LABEL])}, ${said}`));
    const bound = row[P_LOWER] === null ? "" : `, probability at least ${row[P_LOWER]}`;
    made.append(element("p", `${row[RADIUS] === null ? "no radius" : `radius ${row[RADIUS]}`}${bound}, ${row[QUERIES]} queries`));
    return made;
  }

  function show() {
    const last = Math.max(0, Math.ceil(rows.length / CARDS) - 1);
    page = Math.min(Math.max(0, page), last);
    cards.replaceChildren(...rows.slice(page * CARDS, (page + 1) * CARDS).map(card));
    document.getElementById("found").textContent = `${rows.length} of ${data.rows.length} images`;
    document.getElementById("place").textContent = `page ${page + 1} of ${last + 1}`;
    const [before, after] = pages.querySelectorAll("button");
    before.disabled = page === 0;
    after.disabled = page === last;
  }

  data.classes.forEach((text, place) => option(field.class, place, text));
  [...new Set(data.rows.map((row) => row[OUTCOME]))].sort().forEach((text) => option(field.outcome, text, text));
  field.pictured.checked = field.pictured.defaultChecked = Object.keys(data.pictures).length > 0;
  filters.hidden = pages.hidden = false;
  filters.addEventListener("input", choose);
  filters.addEventListener("reset", () => { field.pictured.defaultChecked = false; setTimeout(choose); });
  filters.addEventListener("submit", (event) => event.preventDefault());
  pages.querySelectorAll("button").forEach((button) => button.addEventListener("click", () => {
    page += Number(button.dataset.step);
    show();
  }));
  choose();
}

const block = document.getElementById("gallery-data");
if (block) gallery(JSON.parse(block.textContent));

const folded = [...document.querySelectorAll("details")];
addEventListener("beforeprint", () => {
  folded.forEach((each) => { each.dataset.was ??= each.open; each.open = true; });
});
addEventListener("afterprint", () => {
  folded.forEach((each) => { each.open = each.dataset.was === "true"; delete each.dataset.was; });
});
