// app.js - what the stream of /api/events tells, on the page. Texts go in as text, never as markup.
"use strict";

const $ = id => document.getElementById(id);
const stores = [], charts = new Charts($("charts"));
let runs = [], shown = 0, pinned = null, dirty = false;

function element(tag, text, name) {
  const e = document.createElement(tag);
  if (text !== undefined && text !== null) e.textContent = text;
  if (name) e.className = name;
  return e;
}

function duration(seconds) {
  if (seconds === null) return "";
  const all = Math.round(seconds), two = n => String(n).padStart(2, "0");
  return (all >= 3600 ? `${Math.floor(all / 3600)}:${two(Math.floor(all / 60) % 60)}` : Math.floor(all / 60)) + ":" + two(all % 60) + " left";
}

function stageOf(run) { return pinned !== null && pinned < run.stages.length ? pinned : run.stage; }

function showHead(run) {
  const state = run.state, kind = { live: "good", ended: "good", failed: "bad", silent: "bad" }[state] || "warn";
  document.body.dataset.state = state;
  document.title = `${run.label} – metaloop`;
  $("name").textContent = run.label;
  $("state").textContent = state;
  $("state").className = "badge " + kind;
  $("end").hidden = !run.end;
  $("end").textContent = `ended: ${run.end}${run.digest ? "  ·  digest " + run.digest : ""}`;
  $("run").hidden = runs.length < 2;
  const names = runs.map(r => r.name === r.source ? r.label : `${r.label} · ${r.source}`), key = JSON.stringify(names);
  if ($("run").dataset.key !== key) $("run").replaceChildren(...names.map((name, i) => new Option(name, i)));
  $("run").dataset.key = key;
  $("run").value = shown;
}

function showStages(run) {
  const buttons = run.stages.length < 2 ? [] : run.stages.map((s, i) => {
    const b = element("button", `${s.name} · ${s.method}`);
    b.type = "button";
    b.disabled = !s.started;
    b.setAttribute("aria-pressed", i === stageOf(run));
    b.onclick = () => { pinned = i === run.stage ? null : i; draw(); };
    return b;
  });
  const key = JSON.stringify([shown, run.stages.map(s => [s.name, s.started]), run.stage, stageOf(run)]);
  if ($("stages").dataset.key !== key) $("stages").replaceChildren(...buttons);
  $("stages").dataset.key = key;
}

function showProgress(run) {
  const s = run.stages[stageOf(run)];
  $("progress").hidden = !s;
  if (!s) return;
  const share = s.rounds ? Math.min(1, s.round / s.rounds) : 0;
  $("round").textContent = `${run.stages.length < 2 ? `${s.name} · ${s.method}  ` : ""}round ${s.round} of ${s.rounds}`;
  $("done").style.width = 100 * share + "%";
  $("left").textContent = `${Math.floor(100 * share)} %  ${stageOf(run) === run.stage ? duration(run.left) : ""}`;
}

const FIGURES = [["loss", "loss"], ["accuracy", "accuracy", true], ["tasks_per_second", "tasks per second"], ["gflops", "GFLOP/s"],
                 ["idle", "idle", true], ["communication", "communication", true], ["gradient_norm", "gradient norm"],
                 ["rate", "learning rate"]];

function showFigures(run, store) {
  const all = FIGURES.map(([field, name, share]) => [name, store.last(stageOf(run), "round", field), share])
    .filter(f => f[1] !== null && (f[1] !== 0 || f[0] === "loss")).map(([name, value, share]) => [name, figure(value, share)]);
  if (run.stages[stageOf(run)]) all.push(["parameters", run.stages[stageOf(run)].parameters.toLocaleString("en")]);
  if (run.failed) all.push(["tasks set aside", run.failed]);
  if (run.lost) all.push(["events missing", run.lost]);
  $("figures").replaceChildren(...all.map(([name, value]) => {
    const box = element("div", null, "figure");
    box.append(element("b", value), element("span", name));
    return box;
  }));
}

// A table's rows: cells are texts, numbers (right) or elements.
function fill(table, heads, lines) {
  const head = element("tr");
  head.append(...heads.map(h => element("th", h.replace("#", ""), h.startsWith("#") ? "number" : "")));
  table.replaceChildren(head, ...lines.map(({ cells, name }) => {
    const row = element("tr", null, name);
    row.append(...cells.map((c, i) => {
      const cell = element("td", c instanceof Node ? null : c, heads[i].startsWith("#") ? "number" : "");
      if (c instanceof Node) cell.append(c);
      return cell;
    }));
    return row;
  }));
}

// A bar with its interval, of 0 to `most`.
function range(value, spread, most) {
  const box = element("div", null, "range"), bar = element("i"), line = element("u");
  const at = x => 100 * Math.max(0, Math.min(1, x / most));
  bar.style.width = at(value) + "%";
  line.style.left = at(value - spread) + "%";
  line.style.width = Math.max(0.5, at(value + spread) - at(value - spread)) + "%";
  box.append(bar, line);
  return box;
}

function showEvaluations(run) {
  const list = run.evaluations, share = list.some(v => v.accuracy !== null);
  const most = share ? 1 : Math.max(1e-9, ...list.map(v => v.loss + (v.loss_ci95 || 0)));
  $("evaluations-card").hidden = !list.length;
  fill($("evaluations"), ["stage", "data", "steps", share ? "#accuracy" : "#loss", "", "#round", "#n"], list.map(v => {
    const value = share ? v.accuracy : v.loss, spread = share ? v.accuracy_ci95 : v.loss_ci95;
    return { cells: [run.stages[v.stage].name, v.data, v.samples ? "whole" : v.step, figure(value, share) + (spread === null ? "" : ` ± ${figure(spread, share)}`),
                     range(value, spread || 0, most), v.round, v.n] };
  }));
}

function showWorkers(run) {
  const up = run.workers.filter(w => w.up).length;
  $("workers-card").hidden = !run.workers.length;
  $("workers-count").textContent = up < run.workers.length ? `${up} of ${run.workers.length}` : `${up}`;
  const list = [...run.workers].sort((a, b) => a.up - b.up || a.rank - b.rank).slice(0, 500);
  fill($("workers"), ["#rank", "host", "state", "#tasks", "#tasks/s", "#busy", "#MiB"], list.map(w => ({
    name: w.up ? "" : "gone",
    cells: [w.rank, w.host, w.state, w.tasks === null ? "" : w.tasks, w.tasks_per_second === null ? "" : figure(w.tasks_per_second),
            w.busy === null ? "" : Math.round(100 * w.busy) + " %", w.memory_mib ? Math.round(w.memory_mib) : ""],
  })));
}

const ALARMS = ["collapsed", "swapped", "discriminator"];

function showWatch(run) {
  const targets = new Map();
  for (const w of run.watch.filter(x => x.stage === stageOf(run))) {
    if (!targets.has(w.target)) targets.set(w.target, new Map());
    targets.get(w.target).set(w.field, w);
  }
  $("watch-card").hidden = !targets.size;
  $("watch").replaceChildren(...[...targets].flatMap(([target, fields]) => {
    const head = element("h3", `target ${target}`), list = element("dl");
    const alarms = ALARMS.filter(a => fields.has(a) && fields.get(a).value);
    head.append(...(alarms.length ? alarms.map(a => element("span", a, "badge bad")) : [element("span", "no alarm", "badge good")]));
    for (const [name, w] of fields) {
      if (ALARMS.includes(name)) continue;
      const pair = element("div");
      pair.append(element("dt", name.replaceAll("_", " ")), element("dd", figure(w.value)));
      list.append(pair);
    }
    return [head, list];
  }));
}

function showNotes(run) {
  $("notes-card").hidden = !run.notes.length;
  $("notes").replaceChildren(...[...run.notes].reverse().map(n => {
    const line = element("li"), stage = run.stages[n.stage];
    line.append(element("span", stage ? `${stage.name} ${n.round}` : "", "where"),
                element("span", (n.level === "log" ? "" : n.level + ": ") + n.text + (n.count > 1 ? ` (${n.count} times)` : ""), n.level));
    return line;
  }));
}

function showFacts(run) {
  const facts = [["source", run.source], ["run id", run.run_id], ...Object.entries(run.facts), ["checkpoint", run.checkpoint], ["digest", run.digest]];
  $("facts").replaceChildren(...facts.filter(f => f[1]).map(([key, value]) => {
    const row = element("tr");
    row.append(element("td", key.replaceAll("_", " ")), element("td", value));
    return row;
  }));
  $("configuration").hidden = !run.configuration;
}

function draw() {
  dirty = false;
  const run = runs[shown], store = stores[shown];
  if (!run || !store) return;
  for (const show of [showHead, showStages, showProgress, showEvaluations, showWorkers, showWatch, showNotes, showFacts]) show(run);
  showFigures(run, store);
  const stage = run.stages[stageOf(run)], how = { log: $("log").checked, smooth: Number($("smooth").value) };
  charts.update(`${shown} ${stageOf(run)} ${run.generation}`, stage ? stage.charts : [], store, how);
}

function soon() {
  if (!dirty) requestAnimationFrame(draw);
  dirty = true;
}

function listen() {
  const source = new EventSource("api/events");
  source.addEventListener("runs", e => { runs = JSON.parse(e.data).runs; soon(); });
  source.addEventListener("points", e => {
    const message = JSON.parse(e.data);
    (stores[message.run] ||= new Store()).take(message);
    soon();
  });
  source.onerror = () => {
    document.body.dataset.state = $("state").textContent = "observer gone";
    $("state").className = "badge bad";
  };
}

function themeNext() {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme || (dark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  charts.clear();
  soon();
}

if (location.search) history.replaceState(null, "", location.pathname); // the token is a cookie by now
$("theme").onclick = themeNext;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { charts.clear(); soon(); });
$("log").onchange = soon;
$("smooth").oninput = () => { $("smooth-value").textContent = Number($("smooth").value).toFixed(2); soon(); };
$("controls").onsubmit = e => e.preventDefault();
$("run").onchange = e => { shown = Number(e.target.value); pinned = null; $("configuration").open = false; soon(); };
$("configuration").ontoggle = async e => {
  if (e.target.open) e.target.querySelector("pre").textContent = await (await fetch("api/configuration?run=" + shown)).text();
};
listen();
