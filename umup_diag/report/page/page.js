"use strict";
// Links charts and table: what is picked is lit in both, what is filtered out is hidden in both.
const table = document.getElementById("findings");
const rows = table ? [...table.tBodies[0].rows] : [];
const bar = document.getElementById("picked");
const views = [];
const state = { dark: false, lit: "", hidden: {} };
const tensor = (row) => row.cells[0].textContent;

function show(name, value) {
  state[name] = value;
  for (const view of views) view.signal(name, value).run();
}

// --- charts -------------------------------------------------------------------------------------
async function draw() {
  for (const panel of document.querySelectorAll(".panel")) {
    const spec = JSON.parse(panel.querySelector("script").textContent);
    const box = panel.querySelector(".draw");
    const { view } = await vegaEmbed(box, spec, { actions: false, renderer: "canvas" });
    for (const name in state) view.signal(name, state[name]);
    view.addEventListener("click", (_, item) => {
      const datum = item && item.datum;
      if (datum && datum.tensor) pick(datum.tensor, rows[datum.row]);
    });
    const enlarge = panel.querySelector(".enlarge");
    enlarge.addEventListener("click", () => {
      const large = panel.classList.toggle("large");
      enlarge.setAttribute("aria-pressed", large);
      if (typeof spec.height === "number") view.height(large ? 2 * spec.height : spec.height);
      view.resize().runAsync().then(() => window.dispatchEvent(new Event("resize")));
    });
    views.push(view.run());
  }
  document.body.dataset.drawn = views.length;
}

const night = matchMedia("(prefers-color-scheme: dark)");
state.dark = night.matches;
night.addEventListener("change", () => show("dark", night.matches));
addEventListener("beforeprint", () => show("dark", false));
addEventListener("afterprint", () => show("dark", night.matches));

// --- what is picked -----------------------------------------------------------------------------
function pick(name, row) {
  const off = !name || (state.lit === name && (!row || row.classList.contains("picked")));
  for (const each of rows) {
    each.classList.toggle("lit", !off && tensor(each) === name);
    each.classList.toggle("picked", !off && each === row);
    const button = each.cells[0].querySelector("button");
    if (button) button.setAttribute("aria-pressed", !off && each === row);
  }
  bar.hidden = off;
  bar.replaceChildren();
  if (!off) {
    const text = document.createElement("span");
    text.textContent = row ? [...row.cells].map((cell) => cell.textContent).filter(Boolean).slice(0, 6).join(" · ") : name;
    bar.append(text);
    if (row) bar.append(button("Go to its row", () => {
      row.scrollIntoView({ block: "center" });
      row.cells[0].querySelector("button").focus();
    }));
    bar.append(button("Clear (Esc)", () => pick("")));
  }
  show("lit", off ? "" : name);
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}

// --- table --------------------------------------------------------------------------------------
function filter() {
  const find = document.getElementById("find").value.trim();
  const words = find.split("*").map((word) => word.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(words.join(".*"), "i");
  const headings = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const wanted = [...document.querySelectorAll("select[data-heading]")]
    .filter((select) => select.value)
    .map((select) => [headings.indexOf(select.dataset.heading), select.value]);
  const hidden = {};
  rows.forEach((row, at) => {
    row.hidden = !pattern.test(tensor(row)) || wanted.some(([cell, value]) => row.cells[cell].textContent !== value);
    if (row.hidden) hidden[at] = true;
  });
  const folds = document.getElementById("fold").checked && !wanted.some(([, value]) => value === "PASS");
  table.classList.toggle("fold", folds);
  count();
  show("hidden", hidden);
}

function visible() {
  const folds = table.classList.contains("fold");
  return [...table.tBodies[0].rows].filter((row) => !row.hidden && !(folds && row.classList.contains("PASS") && !row.classList.contains("lit")));
}

function count() {
  const seen = visible().length;
  document.getElementById("count").textContent = seen === rows.length ? `${seen} rows` : `${seen} of ${rows.length} rows`;
}

function sort(heading) {
  const at = heading.cellIndex;
  const next = { none: "ascending", ascending: "descending", descending: "none" }[heading.ariaSort];
  for (const cell of table.tHead.rows[0].cells) cell.ariaSort = "none";
  heading.ariaSort = next;
  const place = new Map(rows.map((row, index) => [row, index]));
  const key = (row) => {
    const cell = row.cells[at];
    const number = parseFloat(cell.dataset.k ?? cell.textContent.replace("−", "-"));
    return Number.isNaN(number) ? cell.textContent : number;
  };
  const sign = next === "descending" ? -1 : 1;
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1; // what has no number comes last
    return sign * (typeof x === "number" ? x - y : x.localeCompare(y, undefined, { numeric: true }));
  };
  const order = next === "none" ? rows : [...rows].sort((a, b) => compare(a, b) || place.get(a) - place.get(b));
  table.tBodies[0].append(...order);
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // a browser that gives files no clipboard
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

async function unpack(link) {
  const bytes = Uint8Array.from(atob(link.href.split(",")[1]), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
}

if (table) {
  const form = document.querySelector(".filters");
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  table.tHead.addEventListener("click", (event) => {
    const heading = event.target.closest("th");
    if (heading) sort(heading);
  });
  table.tBodies[0].addEventListener("click", (event) => {
    if (getSelection().toString() || event.target.closest("a")) return;
    const row = event.target.closest("tr");
    if (row && views.length) pick(tensor(row), row);
  });
  table.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest("tbody tr");
    if (!step || !row) return;
    event.preventDefault();
    const seen = visible();
    const next = seen[seen.indexOf(row) + step];
    next?.cells[0].querySelector("button")?.focus();
  });
  document.getElementById("copy").addEventListener("click", async (event) => {
    const lines = [table.tHead.rows[0], ...visible()].map((row) => [...row.cells].map((cell) => cell.textContent).join("\t"));
    await copy(lines.join("\n") + "\n");
    event.target.textContent = `Copied ${lines.length - 1} rows`;
  });
  const link = document.getElementById("json");
  link?.addEventListener("click", async (event) => {
    if (!("DecompressionStream" in window) || link.dataset.plain) return;
    event.preventDefault();
    link.dataset.plain = "yes";
    link.download = link.download.replace(/\.gz$/, "");
    link.href = URL.createObjectURL(await unpack(link));
    link.click();
  });
  filter();
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.lit) pick("");
});
if (document.querySelector(".panel")) draw();
