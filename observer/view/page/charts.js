// charts.js - the points of a run, and its charts drawn with dygraphs.
"use strict";

const POINTS_MAX = 4000;

// The points of one run's curves, by their number.
class Store {
  constructor() { this.generation = -1; this.series = new Map(); }

  take(message) {
    if (message.generation !== this.generation) this.series.clear();
    this.generation = message.generation;
    for (const one of message.series) this.add(one);
  }

  add(one) {
    const s = this.series.get(one.series) || { ...one, points: [] };
    for (const p of one.points) {
      while (s.points.length && s.points[s.points.length - 1][0] >= p[0]) s.points.pop();
      s.points.push(p);
    }
    if (s.points.length > POINTS_MAX) s.points = s.points.filter((_, i) => i % 2 === 0 || i === s.points.length - 1);
    this.series.set(one.series, s);
  }

  last(stage, kind, field) {
    for (const s of this.series.values())
      if (s.stage === stage && s.kind === kind && s.field === field && s.points.length) return s.points[s.points.length - 1][1];
    return null;
  }
}

function css(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

function figure(value, share) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (share) return (100 * value).toFixed(1) + " %";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 0.001 || size >= 1e6) return value.toExponential(1);
  if (size < 1) return String(Number(value.toPrecision(3)));
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

// An exponential mean, without the pull of its beginning.
function smoothed(points, weight) {
  let mean = 0, n = 0;
  return points.map(([round, value]) => {
    if (value === null) return [round, null];
    mean = weight * mean + (1 - weight) * value;
    n++;
    return [round, mean / (1 - Math.pow(weight, n))];
  });
}

// Columns of (round, value) as rows; a round that a column lacks is null there.
function rows(columns, bars) {
  const at = new Map();
  columns.forEach((column, k) => {
    for (const [round, value, spread] of column) {
      if (!at.has(round)) at.set(round, [round, ...columns.map(() => bars ? [null, null, null] : null)]);
      at.get(round)[k + 1] = bars ? [value - (spread || 0), value, value + (spread || 0)] : value;
    }
  });
  return [...at.values()].sort((a, b) => a[0] - b[0]);
}

class Chart {
  constructor(parent, title) {
    this.box = document.createElement("section");
    this.box.className = "chart";
    this.box.dataset.title = title;
    const head = document.createElement("h2");
    head.textContent = title;
    this.legend = document.createElement("div");
    this.legend.className = "legend";
    this.plot = document.createElement("div");
    this.plot.className = "plot";
    this.box.append(head, this.legend, this.plot);
    parent.append(this.box);
    this.graph = null;
  }

  free() { if (this.graph) this.graph.destroy(); this.box.remove(); }

  // curves: [{name, points}]; what is drawn faintly below the smoothed lines has the names that end in a blank.
  update(chart, curves, how) {
    const bars = curves.some(c => c.points.some(p => p[2] !== null && p[2] !== undefined));
    const smooth = how.smooth > 0 && chart.noisy && !bars, shades = curves.map((_, k) => css("--c" + k % 8));
    const columns = [...(smooth ? curves.map(c => c.points) : []),
                     ...curves.map(c => smooth ? smoothed(c.points, how.smooth) : c.points)];
    const labels = curves.map((c, k) => `${k} ${c.name}`);
    this.share = chart.share;
    this.curves = curves.map((c, k) => ({ name: c.name, colour: shades[k], column: k })); // as told, not as smoothed
    this.rows = rows(columns, bars);
    this.bars = bars;
    this.show(this.rows.length - 1);
    this.draw({
      file: this.rows, labels: ["round", ...(smooth ? labels.map(l => l + " ") : []), ...labels], customBars: bars,
      colors: [...(smooth ? shades.map(c => c + "40") : []), ...shades], logscale: how.log && this.positive(),
      drawPoints: bars, pointSize: 3, strokeWidth: bars ? 1.5 : smooth ? 2 : 1.3, gridLineColor: css("--grid"),
      axisLineColor: css("--line"), valueRange: this.span(),
    });
  }

  positive() { return this.rows.every(r => r.slice(1).every(v => v === null || (Array.isArray(v) ? v[1] === null || v[0] > 0 : v > 0))); }

  // Room around a curve that is one level; else dygraphs finds the range.
  span() {
    const values = this.rows.flatMap(r => r.slice(1)).filter(v => typeof v === "number"), first = values[0];
    if (this.bars || !values.length || values.some(v => v !== first)) return null;
    return first === 0 ? [-1, 1] : [Math.min(0.5 * first, 1.5 * first), Math.max(0.5 * first, 1.5 * first)];
  }

  draw(options) {
    if (this.graph) { this.graph.updateOptions(options); return; }
    const short = v => figure(v, this.share).replace(".0 %", " %");
    this.graph = new Dygraph(this.plot, options.file, {
      ...options, legend: "never", connectSeparatedPoints: true, fillAlpha: 0.18, rightGap: 10, highlightCircleSize: 3,
      axes: { x: { axisLabelFormatter: v => String(v), pixelsPerLabel: 60 }, y: { axisLabelFormatter: short, axisLabelWidth: 54 } },
      highlightCallback: (e, x, points, row) => this.show(row), unhighlightCallback: () => this.show(this.rows.length - 1),
    });
  }

  show(index) {
    const row = this.rows[index];
    this.legend.replaceChildren(...this.curves.map(c => {
      const span = document.createElement("span");
      let value = row ? row[c.column + 1] : null, at = index;
      while (at > 0 && (value === null || (this.bars && value[1] === null))) value = this.rows[--at][c.column + 1];
      span.style.color = c.colour;
      span.textContent = `${this.curves.length > 1 || this.bars ? c.name + " " : ""}` +
        (this.bars && value ? `${figure(value[1], this.share)} ± ${figure(value[2] - value[1], this.share)}` : figure(value, this.share));
      return span;
    }));
    const where = document.createElement("span");
    where.className = "faint";
    where.textContent = row ? "round " + row[0] : "";
    this.legend.append(where);
  }
}

// All charts of a stage; made and taken away as the stage has them.
class Charts {
  constructor(parent) { this.parent = parent; this.charts = new Map(); this.key = ""; }

  update(key, list, store, how) {
    if (key !== this.key) this.clear();
    this.key = key;
    for (const chart of list) {
      const curves = chart.curves.map(c => ({ name: c.name, points: (store.series.get(c.series) || { points: [] }).points }))
        .filter(c => c.points.length);
      if (!curves.length) continue;
      if (!this.charts.has(chart.title)) this.charts.set(chart.title, new Chart(this.parent, chart.title));
      this.charts.get(chart.title).update(chart, curves, how);
    }
  }

  clear() {
    for (const chart of this.charts.values()) chart.free();
    this.charts.clear();
  }
}
