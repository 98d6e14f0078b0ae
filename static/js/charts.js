// Draws every <figure data-figure>, dressed from the tokens. uirevision is constant, so zoom survives a refresh.
import { pause } from "atelier/poll";

// Plotly writes style attributes and elements, which the policy forbids; cssText and a nonce are allowed.
const nonce = document.querySelector("script[nonce]")?.nonce || "";
const { setAttribute } = Element.prototype;
Element.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value; else setAttribute.call(this, name, value);
};
let library = null;
function plotly() {
  library ??= new Promise((done, failed) => {
    const create = document.createElement;
    document.createElement = function (...given) {
      const element = create.apply(document, given);
      if (given[0] === "style") element.nonce = nonce;
      return element;
    };
    const onload = () => { document.createElement = create; done(window.Plotly); };
    document.head.append(make("script", { src: import.meta.resolve("plotly-url"), nonce, onerror: failed, onload }));
  });
  return library;
}

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);
// A canvas turns the browser's notation of a colour into one that Plotly reads.
const brush = document.createElement("canvas").getContext("2d");
function token(name) {
  probe.style.color = `var(${name})`;
  brush.fillStyle = getComputedStyle(probe).color;
  return brush.fillStyle;
}
function resolve(value) {
  if (typeof value === "string") return /^var\(--[\w-]+\)$/.test(value) ? token(value.slice(4, -1)) : value;
  if (Array.isArray(value)) return value.length && typeof value[0] === "number" ? value : value.map(resolve);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v)]));
  return value;
}
const merge = (base, over) => {
  const out = { ...base };
  for (const [key, value] of Object.entries(over || {})) out[key] = value && typeof value === "object" && !Array.isArray(value) ? merge(out[key] || {}, value) : value;
  return out;
};

function look(layout) {
  const ink = token("--chart-ink");
  const axis = { gridcolor: token("--chart-grid"), linecolor: token("--chart-axis"), zerolinecolor: token("--chart-axis"), tickcolor: token("--chart-axis"), automargin: true, tickfont: { size: 11 }, title: { font: { size: 12 }, standoff: 8 } };
  const style = getComputedStyle(document.body);
  const base = {
    font: { family: style.fontFamily, size: 12, color: ink },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    colorway: Array.from({ length: 10 }, (_, i) => token(`--series-${i + 1}`)),
    margin: { l: 48, r: 12, t: 8, b: 36 }, uirevision: "atelier", hovermode: "closest", autosize: true,
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", font: { size: 11 }, bgcolor: "rgba(0,0,0,0)" },
    hoverlabel: { bgcolor: token("--ink"), bordercolor: token("--ink"), font: { color: token("--on-ink"), size: 12, family: style.fontFamily } },
    coloraxis: { colorbar: { thickness: 10, outlinewidth: 0 }, colorscale: [[0, token("--heat-0")], [1, token("--heat-1")]] },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: token("--ink-3"), activecolor: token("--ink") },
  };
  const merged = merge(base, resolve(layout));
  for (const name of new Set(["xaxis", "yaxis", ...Object.keys(merged).filter((key) => /^[xy]axis\d*$/.test(key))])) merged[name] = merge(axis, merged[name]);
  if (typeof merged.title === "string") merged.title = { text: merged.title };
  return merged;
}

// Exponential moving average, corrected for its start as in Adam's first moment.
function smooth(ys, weight) {
  let average = 0, scale = 1;
  return ys.map((y) => {
    if (typeof y !== "number") return y;
    average = average * weight + y * (1 - weight);
    scale *= weight;
    return average / (1 - scale);
  });
}

function dress(trace, weight) {
  const dressed = resolve(trace);
  if (trace.type === "heatmap") {
    if (!trace.coloraxis) dressed.colorscale ??= [[0, token("--heat-0")], [1, token("--heat-1")]];
    dressed.colorbar = merge({ thickness: 8, outlinewidth: 0, tickfont: { size: 11 }, title: { side: "right", font: { size: 11 } } }, dressed.colorbar);
    dressed.textfont ??= { color: token("--ink") };
    dressed.xgap ??= 2;
    dressed.ygap ??= 2;
  }
  if ((!trace.type || trace.type === "scatter") && String(trace.mode || "lines").includes("lines")) {
    dressed.line = merge({ width: 1.75 }, dressed.line);
    if (weight > 0 && Array.isArray(trace.y)) dressed.y = smooth(trace.y, weight);
  }
  return dressed;
}

const make = (name, fields) => Object.assign(document.createElement(name), fields);
const note = (canvas, textContent) => canvas.replaceChildren(make("span", { className: "chart-note", textContent }));

function table(state) {
  const place = state.box.querySelector("[data-chart-table]");
  if (!place || !place.closest("details").open) return;
  const columns = new Map(); // equal columns, such as a shared x, once
  const add = (name, values) => { const key = `${values}`; if (!columns.has(key)) columns.set(key, { name, values }); };
  for (const trace of state.figure.data) {
    for (const key of ["labels", "x", "y", "values"]) if (Array.isArray(trace[key])) {
      const title = state.figure.layout?.[`${key}axis`]?.title;
      add((key !== "x" && trace.name) || title?.text || title || key, trace[key]);
    }
    if (trace.type === "heatmap") trace.z.forEach((values, row) => add(`${trace.y?.[row] ?? row}`, values));
  }
  const element = make("table", { className: "table compact" });
  const head = element.createTHead().insertRow();
  for (const { name } of columns.values()) head.append(make("th", { textContent: name, scope: "col" }));
  const body = element.createTBody();
  for (let i = 0; i < Math.min(1000, Math.max(0, ...[...columns.values()].map((c) => c.values.length))); i++) {
    const row = body.insertRow();
    for (const { values } of columns.values()) {
      const value = values[i];
      const cell = row.insertCell();
      if (typeof value === "number") cell.className = "num";
      cell.textContent = typeof value === "number" ? Number(value.toPrecision(6)) : value ?? "–";
    }
  }
  const wrap = make("div", { className: "table-wrap", tabIndex: 0 });
  wrap.append(element);
  place.replaceChildren(wrap);
}

const states = new Map();
const seen = new IntersectionObserver((entries) => { for (const { target, isIntersecting } of entries) if (isIntersecting) { seen.unobserve(target); begin(target); } }, { rootMargin: "200px" });

async function draw(state) {
  const Plotly = await plotly();
  const canvas = state.box.querySelector(".chart-canvas");
  const weight = Number(state.box.querySelector("[data-smoothing]")?.value || 0);
  const layout = look(state.figure.layout);
  if (state.box.querySelector("[data-log-toggle]")?.checked) layout.yaxis.type = "log";
  if (state.figure.data.some((trace) => trace.type === "heatmap")) layout.xaxis.showgrid = layout.yaxis.showgrid = false;
  if (layout.height) canvas.style.height = `${layout.height}px`;
  if (state.figure.data.length < 2 && layout.showlegend === undefined) layout.showlegend = false;
  canvas.querySelector(".chart-note, noscript")?.remove();
  state.box.classList.toggle("blank", !state.figure.data.length);
  if (!state.figure.data.length) { note(canvas, "Nothing was logged yet."); return; }
  await Plotly.react(canvas, state.figure.data.map((trace) => dress(trace, weight)), layout, { displaylogo: false, responsive: true, displayModeBar: "hover", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"] });
  state.box.dataset.drawn = "";
  table(state);
}

async function load(state) {
  if (!state.box.isConnected) return;
  if (!document.hidden) {
    try {
      const response = await fetch(state.url, { headers: { Accept: "application/json", ...(state.etag && { "If-None-Match": state.etag }) }, cache: "no-store" });
      if (response.status === 200) { state.etag = response.headers.get("ETag"); state.figure = await response.json(); await draw(state); }
      else if (response.status !== 304) throw new Error(response.status);
    } catch {
      if (!state.figure) { note(state.box.querySelector(".chart-canvas"), "This chart could not be loaded. Reload the page to try again."); return; }
    }
  }
  if (state.figure?.live) setTimeout(load, pause(state.since), state);
}

function begin(box) {
  const state = { box, url: box.dataset.figure, since: Date.now(), figure: null, etag: null, source: null };
  states.set(box, state);
  box.addEventListener("input", (event) => { if (event.target.matches("[data-smoothing], [data-log-toggle]") && state.figure) draw(state); });
  box.querySelector(".chart-data")?.addEventListener("toggle", () => state.figure && table(state));
  if (state.url) load(state); else inline(state);
}
function inline(state) {
  const source = state.box.querySelector("script[type='application/json']")?.textContent;
  if (!source || source === state.source) return;
  state.source = source;
  state.figure = JSON.parse(source);
  draw(state);
}

export function drawAll() {
  for (const box of document.querySelectorAll("[data-figure]")) {
    const state = states.get(box);
    if (!state) { if (!box.dataset.watched) { box.dataset.watched = ""; seen.observe(box); } }
    else if (!state.url) inline(state);
  }
}
document.addEventListener("atelier:theme", () => { for (const state of states.values()) if (state.figure) draw(state); });
