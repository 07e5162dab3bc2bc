// Charts of the past hour, day and month, drawn by uPlot from /api/v1/history.
(() => {
  "use strict";
  const section = document.querySelector(".charts");
  if (!section || !window.uPlot) return;
  section.hidden = false;
  const lang = document.documentElement.lang;
  const places = (count) => new Intl.NumberFormat(lang, { maximumFractionDigits: count });
  // A tick has as many places as its value and the step to the next one need: 0.25 is not 0.3, and 1,250 of 250 is not 1.3K.
  const label = (mark, step) => {
    const unit = [1e12, 1e9, 1e6, 1e3].find((unit) => Math.abs(mark) >= unit) ?? 1;
    const isTold = (count) => [mark, step].every((value) => {
      const scaled = (value / unit) * 10 ** count;
      return Math.abs(scaled - Math.round(scaled)) < 1e-6;
    });
    let count = 0;
    while (count < 6 && !isTold(count)) count += 1;
    return new Intl.NumberFormat(lang, { notation: "compact", maximumFractionDigits: count }).format(mark);
  };
  const holders = [...section.querySelectorAll("[data-chart]")];
  const buttons = [...section.querySelectorAll("[data-range]")];
  const charts = new Map();
  let range = "hour";
  let data = null;

  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    return { ink: of("--ink"), dim: of("--dim"), line: of("--faint"), series: [of("--accent"), of("--dim")] };
  };

  const two = (number) => String(number).padStart(2, "0");
  const tick = (seconds) => {
    const date = new Date(seconds * 1000);
    return range === "month" ? `${two(date.getDate())}.${two(date.getMonth() + 1)}` : `${two(date.getHours())}:${two(date.getMinutes())}`;
  };
  const full = (seconds) => {
    const date = new Date(seconds * 1000);
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
    return range === "hour" ? `${clock}:${two(date.getSeconds())}` : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock}`;
  };

  const draw = (holder) => {
    const names = holder.dataset.chart.split(" ");
    const labels = holder.dataset.names.split("|");
    const rows = [data.time, ...names.map((name) => data.series[name])];
    const old = charts.get(holder);
    if (old) { old.destroy(); charts.delete(holder); }
    const has = rows.slice(1).some((row) => row && row.some((value) => value !== null));
    if (!has) { holder.replaceChildren(); holder.append(Object.assign(document.createElement("p"), { className: "empty", textContent: "–" })); return; }
    holder.replaceChildren();
    const colour = colours();
    const value = places(Number(holder.dataset.places || 0));
    const font = "11px system-ui, sans-serif";
    const axis = { stroke: colour.dim, font, grid: { stroke: colour.line, width: 1 }, ticks: { show: false } };
    const length = { hour: 3600, day: 86400, month: 2592000 }[range];
    const end = data.time[data.time.length - 1];
    // A tracker that has just started shows what it has, not an empty day before it.
    const start = Math.min(Math.max(end - length, data.time[0]), end - length / 12);
    const low = holder.dataset.from === undefined ? null : Number(holder.dataset.from);
    const high = holder.dataset.to === undefined ? null : Number(holder.dataset.to);
    const chart = new uPlot({
      width: Math.max(holder.clientWidth, 200),
      height: 190,
      padding: [10, 18, 0, 0],
      cursor: { sync: { key: "charts" }, points: { size: 6 } },
      legend: { live: true },
      scales: {
        x: { range: () => [start, end] },
        y: { range: (_, min, max) => low !== null ? [low, high] : [0, max > 0 ? max * 1.1 : 1] },
      },
      axes: [
        { ...axis, size: 26, space: 60, values: (_, marks) => marks.map(tick) },
        { ...axis, size: 52, values: (_, marks, __, ___, step) => marks.map((mark) => label(mark, step)) },
      ],
      series: [
        // Without a pointer over the chart the legend tells the latest sample.
        { value: (_, shown) => full(shown ?? end), label: section.dataset.time },
        ...names.map((_, at) => ({
          label: labels[at],
          stroke: colour.series[at],
          width: at ? 1.25 : 1.75,
          fill: at ? undefined : colour.series[0] + "1c",
          points: { show: false },
          value: (__, shown) => {
            const known = shown ?? rows[at + 1].findLast((sample) => sample !== null);
            return known === undefined ? "–" : value.format(known);
          },
        })),
      ],
    }, rows, holder);
    charts.set(holder, chart);
  };

  const redraw = () => { if (data && data.time.length) holders.forEach(draw); };

  const load = async () => {
    try {
      const reply = await fetch(`/api/v1/history?range=${range}`, { credentials: "same-origin", signal: AbortSignal.timeout(10000) });
      if (!reply.ok) return;
      data = await reply.json();
      redraw();
      section.dataset.drawn = String(charts.size);
    } catch {
      // The next turn tries again; the live figures carry the mark that they are old.
    }
  };

  for (const button of buttons) {
    button.addEventListener("click", () => {
      range = button.dataset.range;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      load();
    });
  }
  let turns = 0;
  document.addEventListener("figures", () => {
    turns += 1;
    // A chart under the pointer stays as it is.
    if (turns % 2 === 0 && !section.matches(":hover")) load();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let wait = 0;
  new ResizeObserver(() => {
    clearTimeout(wait);
    wait = setTimeout(() => charts.forEach((chart, holder) => {
      if (Math.abs(chart.width - holder.clientWidth) > 1) chart.setSize({ width: Math.max(holder.clientWidth, 200), height: 190 });
    }), 100);
  }).observe(section);
  load();
})();
