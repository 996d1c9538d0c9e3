// The table of all runs: sorted, filtered, a hundred rows at a time; a row opens to all that is known of its run.
const PAGE = 100;
const runs = {
  ids: new Map(DATA.runs.ids.map((id, i) => [id, i])),
  order: DATA.runs.ids.map((_, i) => i),
  sort: null, down: false, wanted: "", shown: PAGE, open: new Set(), found: new Set(),
};

const cell = (column, i) => DATA.runs.columns[column][i];
const labelOf = column => (column === "lr" ? "rate" : column);

function shortWords(id) {
  const i = runs.ids.get(id);
  if (i === undefined) return id;
  const words = ["seed", "loss"].filter(name => name in DATA.runs.columns).map(name => `${name} ${entry(name, cell(name, i))}`);
  return `${id} · ${words.join(" · ")}`;
}

function runWords(id) {
  const i = runs.ids.get(id), head = element("b", {}, `run ${id}`);
  if (i === undefined) return [head];
  const names = ["N", "D", "C", "loss", "error", "seed", "lr", "run_steps", "seconds"].filter(name => name in DATA.runs.columns && cell(name, i) !== null);
  return [head, ...names.flatMap(name => [element("br"), `${labelOf(name).replace("run_", "")} `, element("b", {}, entry(name, cell(name, i)))])];
}

// `width=64 loss<1 teacher abc123`: comparisons and words must all hold, of several run ids one.
function filter(text) {
  const words = text.trim().split(/\s+/).filter(Boolean), ids = words.filter(word => runs.ids.has(word));
  const tests = words.filter(word => !runs.ids.has(word)).map(word => {
    const [, column, sign, value] = word.match(/^([\w.]+)(<=|>=|!=|=|<|>)(.+)$/) || [];
    if (Object.hasOwn(DATA.runs.columns, column ?? "")) return i => compare(cell(column, i), sign, value);
    return i => DATA.runs.ids[i].includes(word) || Object.values(DATA.runs.columns).some(values => String(values[i] ?? "").includes(word));
  });
  return i => (!ids.length || ids.includes(DATA.runs.ids[i])) && tests.every(test => test(i));
}

function compare(found, sign, text) {
  if (found === null) return false;
  const [a, b] = typeof found === "number" ? [found, Number(text.replace(/,/g, ""))] : [String(found), text];
  return {"=": a === b, "!=": a !== b, "<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[sign];
}

function sorted() {
  const test = filter(runs.wanted), kept = runs.order.filter(test);
  if (runs.sort === null) return kept;
  const values = DATA.runs.columns[runs.sort] || DATA.runs.ids, sign = runs.down ? -1 : 1;
  const rank = (a, b) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : sign * (a < b ? -1 : 1));
  return kept.sort((i, j) => rank(values[i], values[j]) || i - j);
}

function drawRuns() {
  const box = document.getElementById("runs"), kept = sorted(), shown = kept.slice(0, runs.shown);
  const heads = [...box.querySelectorAll("th")];
  for (const head of heads) {
    if (head.dataset.column) head.setAttribute("aria-sort", head.dataset.column === runs.sort ? (runs.down ? "descending" : "ascending") : "none");
  }
  const held = document.activeElement.closest("#runs tr.run")?.id; // keys go on from the row that they have opened
  const rows = shown.flatMap(i => [runRow(i, heads), ...(runs.open.has(i) ? [moreRow(i, heads.length)] : [])]);
  box.querySelector("tbody").replaceChildren(...rows);
  if (held) document.getElementById(held)?.querySelector("button").focus();
  const total = DATA.runs.ids.length;
  document.getElementById("runs-shown").textContent = `${kept.length === total ? "" : `${kept.length.toLocaleString("en")} of `}${total.toLocaleString("en")} ${total === 1 ? "run" : "runs"}`;
  document.getElementById("runs-more").hidden = kept.length <= runs.shown;
}

function runRow(i, heads) {
  const cells = heads.map((head, place) => {
    const column = head.dataset.column, right = head.classList.contains("n");
    if (!column) return element("td", {class: "links"}, ...links(DATA.runs.ids[i]));
    const text = column === "run_id" ? element("code", {}, DATA.runs.ids[i]) : entry(column, cell(column, i));
    const shown = column === "status" ? element("span", {class: `pill ${text}`}, text) : text;
    return element("td", {class: right ? "n" : null}, place ? shown : opener(i, shown));
  });
  const act = event => { if (!event.target.closest("a")) toggleRun(i); };
  return element("tr", {class: `run ${runs.found.has(i) ? "found" : ""}`, id: `run-${DATA.runs.ids[i]}`, onclick: act}, ...cells);
}

// What a row begins with, which opens it by mouse and by key.
function opener(i, words) {
  return element("button", {type: "button", class: "open", "aria-expanded": String(runs.open.has(i)), title: "all of this run"}, words);
}

function links(id) {
  const i = runs.ids.get(id);
  if (!DATA.runs.folder || ("status" in DATA.runs.columns && cell("status", i) === "missing")) return [];
  return [["config", "config.yaml"], ["log", "log.jsonl"]].flatMap(([words, file]) =>
    [element("a", {href: `${DATA.runs.folder}/${id}/${file}`}, words), " "]);
}

function toggleRun(i) {
  runs.open.has(i) ? runs.open.delete(i) : runs.open.add(i);
  drawRuns();
}

function moreRow(i, span) {
  const facts = Object.keys(DATA.runs.columns).filter(name => cell(name, i) !== null && cell(name, i) !== "")
    .map(name => element("div", {}, element("dt", {}, labelOf(name)), element("dd", {}, entry(name, cell(name, i)))));
  const inside = element("td", {colspan: span}, element("dl", {class: "facts"}, ...facts)), curve = DATA.curves[DATA.runs.ids[i]];
  if (curve) inside.append(curveOf(curve));
  return element("tr", {class: "more"}, inside);
}

function curveOf(curve) {
  const series = [["train_loss", "#8a9099", "training"], ["val_loss", "#31688e", "validation"], ["loss", "#c2410c", "test"]].filter(([name]) => curve[name]);
  const y = series.flatMap(([name]) => curve[name]).filter(value => value > 0), pad = ends => [ends[0] / 1.05, ends[1] * 1.05];
  const axis = (label, values) => ({label, log: true, ends: pad([Math.min(...values), Math.max(...values)])});
  const marks = series.flatMap(([name, c, label]) => [{k: "line", x: curve.step, y: curve[name], c, w: 1.2, a: 1, label}, {k: "dots", x: curve.step, y: curve[name], c, s: 3, a: 1}]);
  return new Panel({x: axis("step", curve.step), y: axis("loss", y), marks}, false).node;
}

function showRuns(ids) {
  const places = ids.map(id => runs.ids.get(id)).filter(i => i !== undefined);
  if (!places.length) return;
  document.getElementById("runs").closest("details").open = true;
  runs.wanted = ids.length > 1 ? ids.join(" ") : "";
  document.getElementById("runs-filter").value = runs.wanted;
  runs.found = new Set(places);
  runs.open = new Set(ids.length > 1 ? [] : places);
  runs.shown = Math.max(PAGE, sorted().indexOf(places[0]) + 1);
  drawRuns();
  const row = document.getElementById(`run-${ids[0]}`);
  if (row) row.scrollIntoView({block: "center"});
}

function enlivenRuns() {
  const box = document.getElementById("runs");
  if (!box) return;
  document.getElementById("runs-bar").hidden = false;
  for (const head of box.querySelectorAll("th[data-column]")) {
    const sortBy = () => {
      runs.down = runs.sort === head.dataset.column && !runs.down;
      runs.sort = head.dataset.column;
      drawRuns();
    };
    const text = element("button", {type: "button", onclick: sortBy}, ...head.childNodes);
    head.replaceChildren(text);
  }
  document.getElementById("runs-filter").addEventListener("input", event => {
    [runs.wanted, runs.shown] = [event.target.value, PAGE];
    drawRuns();
  });
  document.getElementById("runs-more").addEventListener("click", () => { runs.shown += 5 * PAGE; drawRuns(); });
  drawRuns();
}
