// Comfort for the pages: live figures, local times, copy buttons, the keyboard. Every page is complete without it.
(() => {
  "use strict";
  const root = document.documentElement;
  const lang = root.lang;
  const words = document.getElementById("words").dataset;
  const whole = new Intl.NumberFormat(lang, { maximumFractionDigits: 0 });
  const tenths = new Intl.NumberFormat(lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const units = lang === "ru" ? ["Б", "КиБ", "МиБ", "ГиБ", "ТиБ", "ПиБ"] : ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  const two = (number) => String(number).padStart(2, "0");

  const bytes = (value) => {
    let unit = 0;
    while (value >= 1023.95 && unit + 1 < units.length) { value /= 1024; unit += 1; }
    return (unit ? tenths : whole).format(value) + "\u00a0" + units[unit];
  };
  const plural = new Intl.PluralRules(lang);
  const days = lang === "ru" ? { one: "день", few: "дня", many: "дней", other: "дня" } : { one: "day", other: "days" };
  const duration = (seconds) => {
    const count = Math.floor(seconds / 86400), rest = Math.floor(seconds % 86400);
    const clock = `${Math.floor(rest / 3600)}:${two(Math.floor(rest / 60) % 60)}:${two(rest % 60)}`;
    return count ? `${whole.format(count)}\u00a0${days[plural.select(count)]}, ${clock}` : clock;
  };
  const moment = (date) =>
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

  const localTime = (element) => {
    const date = new Date(element.dateTime);
    if (isNaN(date)) return;
    element.textContent = moment(date);
    element.title = element.dateTime;
  };
  document.querySelectorAll("time[datetime]").forEach(localTime);

  const show = (element, value) => {
    if (value === null || value === undefined) { element.textContent = "–"; return; }
    switch (element.dataset.unit) {
      case "bytes": element.textContent = bytes(value); break;
      case "duration": element.textContent = duration(value); break;
      case "time": element.dateTime = new Date(value * 1000).toISOString(); localTime(element); break;
      default: element.textContent = (element.dataset.places ? tenths : whole).format(value);
    }
  };

  // Live figures: fetched while the page is seen, marked when they are old.
  const live = [...document.querySelectorAll("[data-live]")];
  const every = Number(root.dataset.refresh) * 1000;
  const stale = document.getElementById("stale");
  const mark = (isStale) => {
    document.body.classList.toggle("is-stale", isStale);
    if (stale) stale.hidden = !isStale;
  };
  let timer = 0;
  let misses = 0;
  const refresh = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const reply = await fetch("/api/v1/stats", { credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (reply.status === 401) { location.reload(); return; }
      if (!reply.ok) throw new Error(reply.statusText);
      const figures = await reply.json();
      for (const element of live) show(element, figures[element.dataset.live]);
      misses = 0;
      mark(false);
      document.dispatchEvent(new CustomEvent("figures", { detail: figures }));
    } catch {
      misses += 1;
      mark(misses > 1);
    }
    timer = setTimeout(refresh, every * Math.min(misses + 1, 12));
  };
  if (live.length && every > 0) {
    timer = setTimeout(refresh, every);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  }

  // Copy buttons beside hashes.
  const copy = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  const icon = (path) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    svg.append(line);
    return svg;
  };
  const sheets = "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3";
  const tick = "M2.5 8.5l4 4 7-8";
  for (const holder of document.querySelectorAll(".copyable")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.append(icon(sheets));
    button.title = words.copy;
    button.setAttribute("aria-label", words.copy);
    button.addEventListener("click", async () => {
      await copy(holder.querySelector(".hash").textContent.trim());
      button.replaceChildren(icon(tick));
      button.setAttribute("aria-label", words.copied);
      setTimeout(() => { button.replaceChildren(icon(sheets)); button.setAttribute("aria-label", words.copy); }, 1500);
      button.focus();
    });
    holder.append(button);
  }

  // A table that is wider than its card is scrolled by keyboard as well.
  const reachable = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  document.querySelectorAll(".scroll").forEach((element) => reachable.observe(element));

  // The keyboard: / searches, arrows walk the links of a table.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, textarea, select")) return;
    if (event.key === "/") {
      const search = document.querySelector("input[type=search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
      return;
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const row = event.target.closest("tbody tr");
    if (!row) return;
    let next = row;
    do { next = event.key === "ArrowDown" ? next.nextElementSibling : next.previousElementSibling; } while (next && !next.querySelector("a, button"));
    if (next) { event.preventDefault(); next.querySelector("a, button").focus(); }
  });

  // On a phone the menu is folded; on a wide screen it has to be open for browsers without ::details-content.
  const menu = document.querySelector(".menu");
  if (menu) {
    const wide = matchMedia("(min-width: 60.01rem)");
    const fold = () => { menu.open = wide.matches; };
    wide.addEventListener("change", fold);
    fold();
  }
})();
