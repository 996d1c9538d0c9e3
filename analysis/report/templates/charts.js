// Figures that one can touch: each is drawn from what was on its axes, over the picture that stands there without script.
const SVG = "http://www.w3.org/2000/svg", PX = 1.35, NEAR = 26, KEYS = 16, INK = "#1b1f24", GRID = "#e6e8eb";

function element(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

const fragment = html => document.createRange().createContextualFragment(html);
const button = (text, pressed, act, title) =>
  element("button", {type: "button", class: "tool", title, "aria-pressed": pressed === null ? null : String(pressed), onclick: act}, text);

function ticks(low, high, log) {
  if (!log || high / low < 5) {
    const rough = (high - low) / 6, unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 2.5, 5, 10].find(factor => factor * unit >= rough);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-9); k++) found.push(Number((k * step).toPrecision(12)));
    return found;
  }
  const decades = Math.log10(high / low), factors = decades > 2.2 ? [1] : decades > 1.3 || high >= 1e4 ? [1, 2, 5] : [1, 2, 3, 5, 7];
  const every = decades > 2.2 ? Math.ceil(decades / 7) : 1, found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    if (power % every === 0) for (const factor of factors) found.push(Number(`${factor}e${power}`));
  }
  return found.filter(value => value >= low && value <= high);
}

function tickWriter(values) {
  const wide = Math.max(...values.map(Math.abs)) >= 1e4 || Math.min(...values.filter(Boolean).map(Math.abs)) < 1e-3;
  return value => (value === 0 ? "0" : wide ? powerOfTen(value) : number(value));
}

class Panel {
  // together: the panels of a figure with one legend for all, and what it turned off.
  constructor(data, small, together = null) {
    this.data = data;
    this.small = small;
    this.together = together;
    this.off = together ? together.off : new Set();
    this.colours = new Map((data.key ? data.key.entries : []).map(([colour], i) => [colour, i]));
    this.seeds = false;
    this.svg = element("svg:svg", {role: "img", "aria-hidden": "true"});
    this.tip = element("div", {class: "tip", role: "status", hidden: true});
    this.tools = element("div", {class: "tools"});
    this.node = element("div", {class: "chart"}, ...(data.title ? [element("div", {class: "name"}, fragment(data.title))] : []),
      this.tools, this.stage(), ...(together ? [] : [this.legend()]));
    this.reset();
    this.listen();
  }

  stage() {
    const title = this.data.y.label.replace(/<[^>]*>/g, "");
    return element("div", {style: "position:relative", title: null, "aria-label": title}, this.svg, this.tip);
  }

  reset() {
    this.scales = {};
    for (const of of ["x", "y"]) this.scales[of] = {log: this.data[of].log, ends: [...this.data[of].ends]};
    this.draw();
  }

  // The place of a value, in pixels, and the value of a place.
  place(of, value) {
    const {log, ends} = this.scales[of], [from, to] = this.pixels[of];
    const [low, high, at] = log ? [Math.log(ends[0]), Math.log(ends[1]), Math.log(value)] : [...ends, value];
    return from + ((at - low) / (high - low)) * (to - from);
  }

  value(of, pixel) {
    const {log, ends} = this.scales[of], [from, to] = this.pixels[of], share = (pixel - from) / (to - from);
    return log ? ends[0] * (ends[1] / ends[0]) ** share : ends[0] + share * (ends[1] - ends[0]);
  }

  groups(mark) {
    const found = this.colours.has(mark.c) ? [`key ${this.colours.get(mark.c)}`] : [];
    return [...found, mark.k === "dots" ? `dots ${mark.shape || (found.length ? "" : mark.c)}${mark.hollow || ""}` : `line ${mark.c}`];
  }

  shown(mark) {
    return !this.groups(mark).some(group => this.off.has(group));
  }

  drawTools() {
    const {x, y} = this.data, buttons = [];
    for (const of of ["x", "y"]) {
      const positive = this.data[of].ends[0] > 0;
      if (positive && !this.small) buttons.push(button(`log ${of}`, this.scales[of].log, () => this.flip(of), `logarithmic or linear ${of}`));
    }
    if (this.seeds || this.points.some(point => point.runs.length > 1)) buttons.push(button("seeds", this.seeds, () => { this.seeds = !this.seeds; this.draw(); }, "every run beside the means"));
    const changed = ["x", "y"].some(of => this.scales[of].log !== this.data[of].log || String(this.scales[of].ends) !== String(this.data[of].ends));
    if (!this.small) buttons.push(button("+", null, () => this.zoom(0.6), "zoom in; or drag over the figure"), button("−", null, () => this.zoom(1 / 0.6), "zoom out"));
    if (changed) buttons.push(button("reset", null, () => this.reset(), "the whole figure"));
    const held = [...this.tools.children].indexOf(document.activeElement);
    this.tools.replaceChildren(...buttons);
    if (held >= 0) this.tools.children[Math.min(held, buttons.length - 1)].focus();
  }

  flip(of) {
    this.scales[of] = {log: !this.scales[of].log, ends: [...this.data[of].ends]};
    this.draw();
  }

  zoom(factor) {
    for (const of of ["x", "y"]) {
      const [from, to] = this.pixels[of], middle = (from + to) / 2, half = ((to - from) / 2) * factor;
      this.scales[of].ends = [this.value(of, middle - half), this.value(of, middle + half)];
    }
    this.draw();
  }

  draw() {
    const width = this.svg.clientWidth || 460, height = Math.round(Math.min(width * (this.small ? 0.8 : 0.7), 400));
    this.pixels = {x: [58, width - 10], y: [height - 42, 8]};
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.style.height = `${height}px`;
    const [left, right] = this.pixels.x, [bottom, top] = this.pixels.y, id = `clip${(Panel.n = (Panel.n || 0) + 1)}`;
    const clip = element("svg:clipPath", {id}, element("svg:rect", {x: left, y: top, width: right - left, height: bottom - top}));
    const marks = element("svg:g", {"clip-path": `url(#${id})`});
    this.points = [];
    for (const mark of this.data.marks) if (this.shown(mark)) this.drawMark(marks, mark);
    if (this.seeds) this.drawSeeds(marks);
    this.svg.replaceChildren(clip, ...this.axes(left, right, bottom, top), marks);
    this.ring = this.svg.appendChild(element("svg:circle", {r: 7, fill: "none", stroke: INK, "stroke-width": 1.5, visibility: "hidden"}));
    this.svg.classList.add("tint");
    this.drawTools();
  }

  axes(left, right, bottom, top) {
    const parts = [];
    for (const of of ["x", "y"]) {
      const {log, ends} = this.scales[of], values = ticks(...ends, log), write = tickWriter(values);
      let taken = -Infinity; // up to where a label of the x axis has been written
      for (const value of values) {
        const at = this.place(of, value), across = of === "x";
        parts.push(element("svg:path", {d: across ? `M${at},${top}V${bottom}` : `M${left},${at}H${right}`, stroke: GRID}));
        const where = across ? {x: at, y: bottom + 15, "text-anchor": "middle"} : {x: left - 6, y: at + 4, "text-anchor": "end"};
        const half = 3.2 * write(value).length;
        if (across && at - half < taken) continue;
        taken = at + half + 4;
        parts.push(element("svg:text", where, write(value)));
      }
    }
    parts.push(element("svg:path", {d: `M${left},${top}V${bottom}H${right}`, fill: "none", stroke: INK}));
    const label = of => this.data[of].label.replace(/<sub>(.*?)<\/sub>/g, "_$1").replace(/<[^>]*>/g, "")
      .replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
    const middle = (top + bottom) / 2;
    parts.push(element("svg:text", {x: (left + right) / 2, y: bottom + 34, "text-anchor": "middle"}, label("x")));
    parts.push(element("svg:text", {x: 0, y: 0, "text-anchor": "middle", transform: `translate(12,${middle}) rotate(-90)`}, label("y")));
    return parts;
  }

  xy(mark) {
    return mark.x.map((x, i) => [x === null ? NaN : this.place("x", x), mark.y[i] === null ? NaN : this.place("y", mark.y[i])]);
  }

  drawMark(into, mark) {
    const add = d => into.append(element("svg:path", {d, ...look(mark)}));
    const [left, right] = this.pixels.x, [bottom, top] = this.pixels.y;
    if (mark.k === "rule") {
      const at = this.place(mark.of, mark.at);
      return add(mark.of === "y" ? `M${left},${at}H${right}` : `M${at},${top}V${bottom}`);
    }
    if (mark.k === "span") {
      const [a, b] = mark.ends.map(value => this.place(mark.of, value));
      return add(mark.of === "y" ? `M${left},${a}H${right}V${b}H${left}Z` : `M${a},${top}V${bottom}H${b}V${top}Z`);
    }
    const places = this.xy(mark);
    if (mark.k === "bars") return add(places.map(([x, y], i) => `${i % 2 ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join(""));
    if (mark.k === "line" || mark.k === "area") return add(path(places));
    const group = this.colours.get(mark.c);
    places.forEach(([x, y], i) => this.points.push({x, y, mark, i, runs: this.runsAt(mark.x[i], mark.y[i], group)}));
    return add(dots(places, mark));
  }

  drawSeeds(into) {
    const runs = this.data.runs, places = this.xy(runs), byColour = new Map();
    places.forEach((place, i) => {
      const group = runs.c ? runs.c[i] : null, colour = group === null ? "#31688e" : this.data.key.entries[group][0];
      if (group !== null && this.off.has(`key ${group}`)) return;
      byColour.set(colour, [...(byColour.get(colour) || []), place]);
      this.points.push({x: place[0], y: place[1], mark: null, i, runs: [i]});
    });
    for (const [colour, found] of byColour) {
      into.append(element("svg:path", {d: dots(found, {s: 2.6}), stroke: colour, "stroke-width": 2.6 * PX, "stroke-linecap": "round", opacity: 0.6}));
    }
  }

  // The runs, as places in data.runs, that a mean (or the one run) at a place of one colour is of.
  runsAt(x, y, group) {
    const runs = this.data.runs;
    if (!runs) return [];
    this.index ||= runs.x.reduce((map, value, i) => {
      const name = `${value} ${runs.c ? runs.c[i] : ""}`;
      map.set(name, [...(map.get(name) || []), i]);
      return map;
    }, new Map());
    const found = this.index.get(`${x} ${runs.c ? group : ""}`) || [], exact = found.filter(i => runs.y[i] === y);
    return exact.length ? exact.slice(0, 1) : found;
  }

  nearest(event) {
    const box = this.svg.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = null, least = NEAR ** 2;
    for (const point of this.points) {
      const distance = (point.x - x) ** 2 + (point.y - y) ** 2 - (point.runs.length ? 4 : 0);
      if (distance < least) [best, least] = [point, distance];
    }
    return best;
  }

  hover(event) {
    const point = this.nearest(event);
    this.tip.hidden = !point;
    this.ring.setAttribute("visibility", point ? "visible" : "hidden");
    this.svg.style.cursor = point && point.runs.length ? "pointer" : "crosshair";
    if (!point) return;
    this.ring.setAttribute("cx", point.x);
    this.ring.setAttribute("cy", point.y);
    this.tip.replaceChildren(...this.words(point));
    const left = Math.min(Math.max(0, point.x + 12), this.svg.clientWidth - this.tip.offsetWidth - 4);
    this.tip.style.left = `${point.x + 12 + this.tip.offsetWidth > this.svg.clientWidth ? Math.max(0, point.x - this.tip.offsetWidth - 12) : left}px`;
    this.tip.style.top = `${Math.max(0, point.y - this.tip.offsetHeight / 2)}px`;
  }

  words(point) {
    const ids = point.runs.map(i => this.data.runs.id[i]);
    if (ids.length === 1) return runWords(ids[0]);
    const value = of => `${this.data[of].label.replace(/ \(.*\)$/, "")}: <b>${number(point.mark[of][point.i])}</b>`;
    const head = fragment(`${value("x")}<br>${value("y")}`), parts = [head];
    const group = this.colours.get(point.mark.c);
    if (group !== undefined) parts.push(fragment(`<br>${this.data.key.title}: ${this.data.key.entries[group][1]}`));
    if (ids.length) parts.push(fragment(`<br>mean of ${ids.length} runs:`), ...ids.slice(0, 5).flatMap(id => [element("br"), shortWords(id)]));
    return parts;
  }

  listen() {
    let from = null, box = null;
    const at = event => {
      const frame = this.svg.getBoundingClientRect();
      return [event.clientX - frame.left, event.clientY - frame.top];
    };
    this.svg.addEventListener("pointerdown", event => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      from = at(event);
      this.svg.setPointerCapture(event.pointerId);
    });
    this.svg.addEventListener("pointermove", event => {
      if (!from) return this.hover(event);
      const [x, y] = at(event);
      box ||= this.svg.appendChild(element("svg:rect", {fill: INK, opacity: 0.12}));
      for (const [name, value] of Object.entries({x: Math.min(x, from[0]), y: Math.min(y, from[1]), width: Math.abs(x - from[0]), height: Math.abs(y - from[1])})) box.setAttribute(name, value);
    });
    this.svg.addEventListener("pointerup", event => {
      const to = at(event), began = from;
      from = null;
      if (box) box.remove();
      box = null;
      const touched = event.pointerType !== "mouse", point = this.nearest(event), again = touched && point === this.touched;
      this.touched = touched ? point : null;
      if (touched) this.hover(event); // a first tap tells of a point, a second leads to its runs
      else if (!began) return;
      else if (Math.max(Math.abs(to[0] - began[0]), Math.abs(to[1] - began[1])) > 8) return this.zoomTo(began, to);
      if (point && point.runs.length && (again || !touched)) showRuns(point.runs.map(i => this.data.runs.id[i]));
    });
    this.svg.addEventListener("pointerleave", event => {
      if (event.pointerType !== "mouse") return; // a finger that is lifted leaves; what it asked for stays to be read
      this.tip.hidden = true;
      this.ring.setAttribute("visibility", "hidden");
    });
    this.svg.addEventListener("dblclick", () => this.reset());
  }

  // Zoom to what was dragged over; along one axis alone where the mouse kept its place on the other.
  zoomTo(from, to) {
    for (const [i, of] of ["x", "y"].entries()) {
      if (Math.abs(to[i] - from[i]) <= 8) continue;
      this.scales[of].ends = [this.value(of, from[i]), this.value(of, to[i])].sort((a, b) => a - b);
    }
    this.draw();
  }

  legend() {
    const items = [], toggle = (group, mark, words) => {
      const made = element("button", {type: "button", "aria-pressed": "true", onclick: () => {
        this.off.has(group) ? this.off.delete(group) : this.off.add(group);
        made.setAttribute("aria-pressed", String(!this.off.has(group)));
        (this.together ? this.together.panels : [this]).forEach(panel => panel.draw());
      }}, glyph(mark), fragment(words));
      items.push(made);
    };
    for (const mark of this.data.marks) if (mark.label) toggle(this.groups(mark).pop(), mark, mark.label);
    if (this.data.key && (!this.small || this.together)) {
      const {title, entries} = this.data.key, every = Math.ceil(entries.length / KEYS);
      const chosen = [...entries.keys()].filter(i => i % every === 0 || i === entries.length - 1);
      const some = every > 1 ? ` (${chosen.length} of ${entries.length})` : "";
      items.push(element("span", {class: "turn"}), fragment(`<span>${title}${some}:</span>`));
      for (const i of chosen) toggle(`key ${i}`, {k: "dots", c: entries[i][0], s: 7, a: 1}, entries[i][1]);
    }
    return element("div", {class: "legend"}, ...items);
  }
}

// How a mark is drawn.
function look(mark) {
  const faint = {fill: "none", opacity: mark.a === 1 ? null : mark.a};
  if (mark.k === "area" || mark.k === "span") return {...faint, fill: mark.c};
  if (mark.k !== "dots") return {...faint, stroke: mark.c, "stroke-width": (mark.w || 1) * PX, "stroke-dasharray": mark.dash ? "5 3" : null};
  if (mark.hollow) return {...faint, stroke: mark.c, "stroke-width": 1.2};
  return mark.shape ? {...faint, fill: mark.c, stroke: INK} : {...faint, stroke: mark.c, "stroke-width": mark.s * PX, "stroke-linecap": "round"};
}

// A mark as its legend shows it: a star for stars, a dashed line for dashed lines.
function glyph(mark) {
  const seen = {...mark, s: Math.max(4, Math.min(mark.s || 0, 8))};
  const d = mark.k === "dots" ? dots([[11, 7]], seen) : mark.k === "area" || mark.k === "span" ? "M1,2H21V12H1Z" : "M1,7H21";
  return element("svg:svg", {class: "glyph tint", viewBox: "0 0 22 14", "aria-hidden": "true"}, element("svg:path", {d, ...look(seen)}));
}

function path(places) {
  let open = false;
  return places.map(([x, y]) => {
    if (!Number.isFinite(x) || !Number.isFinite(y)) { open = false; return ""; }
    const step = `${open ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`;
    open = true;
    return step;
  }).join("");
}

function dots(places, {s, hollow, shape}) {
  const r = (s * PX) / 2;
  return places.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)).map(([x, y]) => {
    if (shape) {
      const corner = i => `${(x + r * (i % 2 ? 0.45 : 1) * Math.sin((i * Math.PI) / 5)).toFixed(1)},${(y - r * (i % 2 ? 0.45 : 1) * Math.cos((i * Math.PI) / 5)).toFixed(1)}`;
      return `M${Array.from({length: 10}, (_, i) => corner(i)).join("L")}Z`;
    }
    return hollow ? `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0` : `M${x.toFixed(1)},${y.toFixed(1)}h0`;
  }).join("");
}

// What a panel's legend says; panels that say the same have one together.
const legendOf = ({marks, key}) => JSON.stringify([marks.filter(mark => mark.label).map(({k, c, label}) => [k, c, label]), key]);

// Draw each figure when it comes into view, and anew when its width changes.
function enliven() {
  const seen = new IntersectionObserver(entries => entries.filter(one => one.isIntersecting).forEach(one => {
    seen.unobserve(one.target);
    const panels = DATA.charts[one.target.dataset.chart], small = panels.length > 4;
    const together = new Set(panels.map(legendOf)).size < Math.min(panels.length, 2) ? {off: new Set()} : null;
    const drawn = panels.map(data => new Panel(data, small, together));
    one.target.querySelector("img").hidden = true;
    one.target.append(element("div", {class: `charts ${small ? "small" : ""}`}, ...drawn.map(panel => panel.node)));
    if (together) {
      together.panels = drawn;
      one.target.append(drawn[0].legend());
    }
    let width = 0;
    new ResizeObserver(() => {
      if (one.target.clientWidth === width) return;
      width = one.target.clientWidth;
      drawn.forEach(panel => panel.draw());
    }).observe(one.target);
  }), {rootMargin: "300px"});
  document.querySelectorAll("[data-chart]").forEach(frame => seen.observe(frame));
}
