// Drives the pages of a running tracker in a headless Chromium, as an operator would.
//
//   node browser.mjs URL USERNAME PASSWORD [FOLDER FOR SCREENSHOTS]
//
// A viewer called `viewer` has the same password.
//
// Every check is counted; the last line is `N passed, N failed`, and the exit status says whether all passed.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import http from "node:http";
import { chromium } from "playwright-core";

const [url, username, password, screenshots] = process.argv.slice(2);
const origin = new URL(url).origin;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
// A tracker that has a page for subscribers.
const subscribers = process.env.SUBSCRIBERS;
const pages = ["/stat", "/torrents", "/all_peers", "/zones", "/clients", "/callers", "/blocklist", "/listed", "/keys", "/audit", "/sites", "/about", "/logout"];

let passed = 0;
let failed = 0;
const check = (what, isRight, told = "") => {
  if (isRight) {
    passed += 1;
  } else {
    failed += 1;
    console.log(`FAILED: ${what}${told ? `: ${told}` : ""}`);
  }
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

const foreign = new Set();
const complaints = [];

async function visitor(options = {}) {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1440, height: 1000 }, ...options });
  const page = await context.newPage();
  // Long enough for a machine that has other work: what takes longer hangs.
  page.setDefaultTimeout(120_000);
  page.on("request", (request) => {
    const isOwn = [origin, "data:", "blob:", subscribers].some((own) => own && request.url().startsWith(own));
    if (!isOwn) foreign.add(request.url());
  });
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`${page.url()}: ${message.text()}`);
  });
  return page;
}

async function logIn(page, name = username) {
  await page.goto(`${origin}/login`);
  await page.fill("[name=username]", name);
  await page.fill("[name=password]", password);
  await page.click("form[action='/login'] button");
  await page.waitForURL(`${origin}/stat`);
}

/** Forgets what the browser says of replies with this status, which are what was asked for. */
function expectStatus(status) {
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes(`status of ${status} `)));
}

/** Whether the page can be scrolled sideways. */
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

async function serious(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations
    .filter((violation) => ["serious", "critical"].includes(violation.impact))
    .map((violation) => `${violation.id} at ${violation.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`);
}

/** Asks the tracker as a client does; the text of its reply. */
function announce(query) {
  const id = encodeURIComponent("-qB4650-browsertest0");
  return new Promise((resolve, reject) => {
    http.get(`${origin}/announce?peer_id=${id}&port=6881&left=0&compact=1&${query}`, { agent: false }, (reply) => {
      let text = "";
      reply.setEncoding("latin1");
      reply.on("data", (part) => { text += part; });
      reply.on("end", () => resolve(text));
    }).on("error", reject);
  });
}

async function loginAndSession() {
  const page = await visitor();
  await page.goto(`${origin}/`);
  check("a stranger is sent to the login", page.url() === `${origin}/login`, page.url());
  await page.fill("[name=username]", username);
  await page.fill("[name=password]", "certainly wrong");
  await page.click("form[action='/login'] button");
  check("a wrong password is told", await page.locator(".notice.bad").innerText() === "Wrong user name or password");
  await logIn(page);
  const [session] = (await page.context().cookies()).filter((cookie) => cookie.name === "session");
  check("the session is hidden from scripts", session.httpOnly && session.sameSite === "Lax");
  await page.goto(`${origin}/logout`);
  await page.click("form[action='/logout'] button");
  await page.waitForURL(/\/login/);
  check("the logout is told", (await page.locator("[role=status]").first().innerText()).includes("logged out"));
  await page.context().addCookies([session]);
  await page.goto(`${origin}/stat`);
  check("a copy of the cookie is dead after the logout", page.url() === `${origin}/login`, page.url());
  await page.context().close();
}

async function everyPage() {
  const hash = await firstHash();
  for (const colorScheme of ["light", "dark"]) {
    for (const language of ["en", "ru"]) {
      const page = await visitor({ colorScheme });
      await logIn(page);
      for (const path of [...pages, `/torrents/${hash}`]) {
        for (const width of [360, 1440, 3840]) {
          await page.setViewportSize({ width, height: width === 360 ? 800 : 1000 });
          const reply = await page.goto(`${origin}${path}?lang=${language}`);
          const told = `${path} in ${language}, ${colorScheme}, ${width} px`;
          check(`${told} is there`, reply.status() === 200, reply.status());
          check(`${told} is in its language`, await page.evaluate(() => document.documentElement.lang) === language);
          check(`${told} does not scroll sideways`, await overflow(page) <= 0, await overflow(page));
          if (width !== 3840) {
            const findings = await serious(page);
            check(`${told} has no serious axe findings`, findings.length === 0, findings.join("; "));
          }
        }
      }
      await page.context().close();
    }
  }
}

async function firstHash() {
  const page = await visitor();
  await logIn(page);
  await page.goto(`${origin}/torrents`);
  const hash = await page.locator("tbody .hash").first().innerText();
  await page.context().close();
  return hash;
}

async function charts() {
  const page = await visitor();
  await logIn(page);
  for (const range of ["hour", "day", "month"]) {
    const [reply] = await Promise.all([
      page.waitForResponse((reply) => reply.url().includes(`range=${range}`)),
      range === "hour" ? page.reload() : page.click(`[data-range=${range}]`),
    ]);
    check(`the samples of the ${range} come`, reply.status() === 200);
    // A page with the pointer over its charts does not fetch again what came too early to have a sample.
    await page.mouse.move(0, 0);
    // One after another: the page is asked until all are there.
    await page.waitForFunction(() => [...document.querySelectorAll(".chart canvas")].filter((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value, at) => at % 4 === 3 && value > 0);
    }).length >= 3);
    check(`charts of the ${range} are drawn`, true);
  }
  await page.context().close();
}

async function liveFigures() {
  const page = await visitor();
  await logIn(page);
  const [reply] = await Promise.all([page.waitForResponse(/api\/v1\/stats$/), page.waitForTimeout(0)]);
  check("live figures are fetched", reply.status() === 200);
  await page.locator("#stale").waitFor({ state: "hidden" });
  check("nothing is marked stale", true);
  await page.route("**/api/v1/stats", (route) => route.abort());
  const before = complaints.length;
  await page.waitForSelector("#stale:not([hidden])", { timeout: 120_000 });
  check("figures that are old are marked", await page.evaluate(() => document.body.classList.contains("is-stale")));
  complaints.length = before;
  await page.unroute("**/api/v1/stats");
  await page.context().close();
}

async function savingsOfAZone() {
  const page = await visitor();
  await logIn(page);
  await page.goto(`${origin}/zones`);
  const row = page.locator(".branch", { hasText: "moscow" }).first();
  check("a zone has a rate of announces", parseFloat(await row.locator(".rate").innerText()) > 0);
  await row.locator(".name a").click();
  await page.waitForURL(/zone=moscow#savings$/);
  check("a zone has its savings", /moscow$/.test(await page.locator("#savings h2").innerText()));
  check("savings have a bar for each hour and day", await page.locator("#savings svg g").count() === 24 + 30);
  // The crowd downloads all the time, but what it has is booked by the next census only.
  const tallest = () => page.$$eval("#savings svg rect:not(.ground)", (bars) => Math.max(...bars.map((bar) => bar.height.baseVal.value)));
  for (let tries = 0; tries < 60 && await tallest() === 0; tries += 1) {
    await page.waitForTimeout(2_000);
    await page.reload();
  }
  check("the bar of this hour is the tallest", await tallest() === 100);
  await page.locator("#savings summary").click();
  check("savings are told as a table", await page.locator("#savings tbody tr").last().isVisible());
  await page.context().close();
}

async function keyboardAndSearch() {
  const page = await visitor();
  await logIn(page);
  await page.goto(`${origin}/torrents`);
  await page.keyboard.press("/");
  check("/ leads into the search", await page.evaluate(() => document.activeElement.type) === "search");
  const hash = await page.locator("tbody .hash").first().innerText();
  await page.keyboard.type(hash.slice(0, 12).toUpperCase());
  await page.keyboard.press("Enter");
  await page.waitForURL(/q=/);
  check("the search finds the hash", await page.locator("tbody .hash").first().innerText() === hash);
  await page.goto(`${origin}/torrents`);
  await page.locator("tbody a").first().focus();
  await page.keyboard.press("ArrowDown");
  const row = await page.evaluate(() => document.activeElement.closest("tr").rowIndex);
  check("arrows walk through a table", row === 2, row);
  await page.keyboard.press("Tab");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  check("the focus is seen", outline === "solid", outline);
  await page.click("thead a[href*='sort_by=seeders']");
  await page.waitForURL(/sort_by=seeders/);
  check("a column sorts", await page.locator("th[aria-sort=descending]").count() === 1);
  await page.context().close();
}

async function themes() {
  const page = await visitor({ colorScheme: "light" });
  await logIn(page);
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.click("a[href*='theme=dark']");
  await page.waitForURL(/theme=dark/);
  const dark = await paper();
  check("the switch makes it dark", light !== dark, dark);
  await page.goto(`${origin}/zones`);
  check("the switch is remembered", await paper() === dark);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.click("a[href*='theme=auto']");
  await page.waitForURL(/theme=auto/);
  check("the system's wish counts again", await paper() === dark);
  await page.context().close();
}

/** What the browser itself says of forms that come back. */
const expectRefusals = () => {
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !/40(0 \(Bad Request|9 \(Conflict)\)/.test(text)));
};

async function blocklist() {
  const page = await visitor();
  await logIn(page);
  const hash = "f0".repeat(20);
  const query = `info_hash=${hash.replace(/../g, "%$&")}`;
  check("an announce is answered", (await announce(query)).includes("8:interval"));
  for (const [field, value] of [["ip", "127.0.0.1"], ["ip", "127.0.0.0/8"], ["info_hash", hash.toUpperCase()]]) {
    await page.goto(`${origin}/blocklist`);
    await page.fill(`form.fields [name=${field}]`, value);
    await page.fill("[name=reason]", "browser test <b>");
    await page.click("form.fields button");
    if (field === "ip") {
      // The browser's own address: a slip, unless it is sent once more.
      await page.locator("button.danger").waitFor();
      const asked = await page.locator(".notice.bad").innerText();
      check(`blocking ${value} is asked about`, /covers the address that you ask from/.test(asked), asked);
      check(`and says whom it refuses`, /Peers that it refuses: [\d,]+ of [\d,]+/.test(asked), asked);
      check(`nothing is blocked by ${value} before it is confirmed`, (await announce(query)).includes("8:interval"));
      const findings = await serious(page);
      check(`the question has no serious axe findings`, findings.length === 0, findings.join("; "));
      await page.setViewportSize({ width: 390, height: 844 });
      check(`the question does not scroll sideways`, await overflow(page) <= 0, await overflow(page));
      await page.setViewportSize({ width: 1440, height: 1000 });
      check(`the form keeps what was typed`, await page.inputValue("[name=reason]") === "browser test <b>" && await page.inputValue("[name=ip]") === value);
      await page.click("button.danger");
    }
    await page.waitForURL(/done=block/);
    const refusal = await announce(query);
    check(`blocking ${value} refuses a real announce`, refusal.includes("14:failure reason"), refusal);
    await page.locator("tr", { hasText: "browser test <b>" }).first().locator("button[type=submit], form button").click();
    await page.waitForURL(/done=unblock/);
    check(`unblocking ${value} serves it again`, (await announce(query)).includes("8:interval"));
  }
  await page.goto(`${origin}/blocklist`);
  await page.fill("form.fields [name=ip]", "999.1.1.1");
  await page.click("form.fields button");
  // A click does not wait for the page that it leads to.
  await page.locator(".notice.bad").first().waitFor();
  check("a bad address is explained", await page.locator(".notice.bad").count() === 1);
  expectStatus(400);
  expectRefusals();
  await page.context().close();
}

async function refusalsInTheFrame() {
  const page = await visitor({ locale: "ru-RU" });
  const reply = await page.goto(`${origin}/nothing`);
  check("a path that is none is 404", reply.status() === 404, reply.status());
  check("a refusal is in the reader's language", await page.locator("h1").innerText() === "Страница не найдена");
  check("a stranger is shown no menu", await page.locator(".menu").count() === 0);
  await logIn(page);
  await page.goto(`${origin}/torrents/nothing`);
  check("who has logged in keeps the menu", await page.locator(".menu nav a").count() > 5);
  await page.click(".choice a[lang=en]");
  await page.waitForURL(/lang=en/);
  check("the language can be switched on it", await page.locator("h1").innerText() === "Page not found");
  for (const width of [360, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    const findings = await serious(page);
    check(`a refusal has no serious axe findings at ${width} px`, findings.length === 0, findings.join("; "));
    check(`a refusal does not scroll sideways at ${width} px`, await overflow(page) <= 0);
  }
  expectStatus(404);
  await page.context().close();
}

async function backAfterTheLogin() {
  const page = await visitor();
  const enter = async () => {
    await page.fill("[name=username]", username);
    await page.fill("[name=password]", password);
    await page.click("form[action='/login'] button");
  };
  const asked = `${origin}/torrents?sort_by=seeders&sort=asc`;
  await page.goto(asked);
  check("the login comes first", page.url() === `${origin}/login`, page.url());
  await page.fill("[name=username]", username);
  await page.fill("[name=password]", "certainly wrong");
  await page.click("form[action='/login'] button");
  await page.locator(".notice.bad").waitFor();
  await enter();
  await page.waitForURL(asked);
  check("the login leads back", true);
  await page.goto(`${origin}/blocklist`);
  await page.fill("form.fields [name=ip]", "203.0.113.9");
  await page.fill("[name=reason]", "причина & <b>");
  await page.fill("[name=hours]", "7");
  await page.context().clearCookies({ name: "session" });
  await page.click("form.fields button");
  await page.locator("form[action='/login']").waitFor();
  check("an end of the session is told", (await page.locator(".notice").innerText()).includes("What you had entered is kept"));
  expectStatus(403);
  await enter();
  await page.waitForURL(/blocklist\?ip=/);
  const kept = await page.$$eval("form.fields input:not([type=hidden])", (fields) => fields.map((field) => field.value));
  check("the form comes back filled in", kept.join("|") === "203.0.113.9||причина & <b>|7", kept.join("|"));
  check("nothing was sent by itself", !(await page.locator("main").innerText()).includes("203.0.113.9"));
  await page.click("form.fields button");
  await page.waitForURL(/done=block/);
  await page.locator("tr", { hasText: "203.0.113.9" }).locator("form button").click();
  await page.waitForURL(/done=unblock/);
  await page.context().close();
}

async function searchesThatCannotBeRead() {
  const page = await visitor();
  await logIn(page);
  for (const [path, field, text] of [["/all_peers", "q", "no such client"], ["/all_peers", "zone", "no/such/zone"], ["/torrents", "q", "xyz"]]) {
    await page.goto(`${origin}${path}`);
    await page.fill(`.search [name=${field}]`, text);
    await page.press(`.search [name=${field}]`, "Enter");
    await page.locator(".notice.bad").waitFor();
    check(`${text} stays in its field`, await page.inputValue(`.search [name=${field}]`) === text);
    check(`the field of ${text} is marked`, await page.getAttribute(`.search [name=${field}]`, "aria-invalid") === "true");
    check(`${text} shows nothing`, await page.locator("tbody .hash").count() === 0);
    const findings = await serious(page);
    check(`the page of ${text} has no serious axe findings`, findings.length === 0, findings.join("; "));
  }
  expectStatus(400);
  await page.context().close();
}

async function peersByZone() {
  const page = await visitor();
  await logIn(page);
  await page.goto(`${origin}/zones`);
  await page.locator(".branch", { hasText: "north" }).first().locator("a[href*='all_peers']").click();
  await page.waitForURL(/all_peers\?zone=moscow\/north/);
  const zones = () => page.$$eval("tbody tr td:nth-child(5)", (cells) => cells.map((cell) => cell.innerText));
  const found = await zones();
  check("a zone leads to its peers", found.length > 0 && found.every((zone) => zone.startsWith("moscow/north")), found.join(", "));
  await page.fill(".search [name=zone]", "");
  await page.fill(".search [name=q]", "spb/center");
  await page.press(".search [name=q]", "Enter");
  await page.waitForURL(/q=spb/);
  const searched = await zones();
  check("the search finds a zone", searched.length > 0 && searched.every((zone) => zone === "spb/center"), searched.join(", "));
  await page.locator("tbody .hash").first().click();
  await page.waitForURL(/torrents\//);
  await page.locator("a[href*='zone=']").first().click();
  await page.waitForURL(/zone=/);
  const zone = new URL(page.url()).searchParams.get("zone");
  const narrowed = await page.$$eval("#peers tbody tr td:nth-child(4)", (cells) => cells.map((cell) => cell.innerText));
  check("a torrent's peers are narrowed down to a zone", narrowed.length > 0 && narrowed.every((path) => path.startsWith(zone)), `${zone}: ${narrowed.join(", ")}`);
  await page.context().close();
}

async function treeOfZones() {
  for (const javaScriptEnabled of [true, false]) {
    const told = javaScriptEnabled ? "" : " without scripts";
    const page = await visitor({ javaScriptEnabled });
    await logIn(page);
    await page.goto(`${origin}/zones`);
    const house = page.locator(".branch", { hasText: "building-7" });
    const moscow = page.locator(".fold").first();
    check(`a short tree is open${told}`, await house.isVisible());
    await moscow.click();
    check(`a branch is folded by a click${told}`, !await house.isVisible());
    await moscow.press("Enter");
    check(`a branch is unfolded by the keyboard${told}`, await house.isVisible());
    await page.context().close();
  }
}

async function tablesAsFiles() {
  const page = await visitor();
  await logIn(page);
  const hash = await firstHash();
  for (const path of ["/stat", "/torrents", "/all_peers", "/zones", "/clients", "/audit", "/about", `/torrents/${hash}`]) {
    await page.goto(`${origin}${path}`);
    const links = await page.$$eval("a.csv", (found) => found.map((link) => link.href));
    const tables = await page.locator("table:not(.u-legend), .tree").count();
    check(`${path} has its tables as CSV`, links.length > 0 && links.length >= tables - 1, `${links.length} of ${tables}`);
    for (const link of links) {
      const reply = await page.request.get(link);
      const rows = (await reply.text()).split("\r\n").length - 2;
      check(`${link} is a CSV file`, reply.status() === 200 && reply.headers()["content-type"].startsWith("text/csv"));
      check(`${link} has rows`, rows > 0 || link.includes("savings") || link.includes("tokens"), rows);
    }
  }
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("a.csv").first().click()]);
  check("a link saves a file", /^retracker-.*\.csv$/.test(download.suggestedFilename()), download.suggestedFilename());
  await page.context().close();
}

/** W12, W13: a viewer sees the pages and no button; who did what stands on the page for operators. */
async function rolesAndAudit() {
  const viewer = await visitor();
  await logIn(viewer, "viewer");
  for (const path of pages.filter((path) => !["/keys", "/audit", "/logout"].includes(path))) {
    await viewer.goto(`${origin}${path}`);
    check(`a viewer has no form to send on ${path}`, await viewer.locator("form[method=post]").count() === 0);
    check(`a viewer is led to no audit by ${path}`, await viewer.locator("a[href='/audit']").count() === 0);
  }
  const refused = await viewer.evaluate(() => fetch("/audit").then((reply) => reply.status));
  check("the audit is not for viewers", refused === 403, refused);
  await viewer.context().close();
  const page = await visitor();
  await logIn(page);
  await page.goto(`${origin}/blocklist`);
  await page.fill("form.fields [name=ip]", "198.51.100.77");
  await page.fill("[name=reason]", "audited <b>");
  await page.click("form.fields button");
  await page.waitForURL(/done=block/);
  await page.goto(`${origin}/about`);
  await page.fill("[name=name]", "audited token");
  await page.selectOption("[name=scope]", "block");
  await page.fill("[name=days]", "90");
  await page.click("form[action='/about/tokens'] button");
  await page.locator("#secret").waitFor();
  const row = page.locator("tr", { hasText: "audited token" }).first();
  check("a token says what it opens", (await row.innerText()).includes("reading, the blocklist and the listed torrents"));
  await row.locator("button").click();
  await page.waitForURL(/done=revoke/);
  await page.goto(`${origin}/audit`);
  const rows = await page.locator("tbody tr").allInnerTexts();
  const first = (words) => rows.findIndex((row) => words.every((word) => row.includes(word)));
  const block = first(["admin", "127.0.0.1", "blocked", "198.51.100.77 (audited <b>)"]);
  const made = first(["admin", "token made", "audited token (block until"]);
  const revoked = first(["admin", "token revoked", "audited token"]);
  check("the audit has a block, with who, from where and what", block >= 0, rows.slice(0, 5).join(" / "));
  check("the audit is newest first", revoked >= 0 && revoked < made && made < block, `${revoked} ${made} ${block}`);
  check("the audit has logins of both", first(["viewer", "login"]) >= 0 && first(["admin", "login"]) >= 0);
  await page.goto(`${origin}/audit?lang=ru`);
  check("the audit is in Russian too", (await page.locator("tbody").innerText()).includes("токен отозван"));
  await page.goto(`${origin}/blocklist?lang=en`);
  await page.locator("tr", { hasText: "198.51.100.77" }).first().locator("form button").click();
  await page.waitForURL(/done=unblock/);
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes("403 (Forbidden)")));
  await page.context().close();
}

async function addressesToCopy() {
  const page = await visitor({ permissions: ["clipboard-read", "clipboard-write"] });
  await logIn(page);
  const address = page.locator(".addresses li").first();
  const text = await address.locator("code").innerText();
  check("the overview tells the announce address", text === `${origin}/announce`, text);
  await address.locator("button.copy").click();
  await page.waitForTimeout(100);
  check("its button copies it", await page.evaluate(() => navigator.clipboard.readText()) === text);
  const udp = await page.locator(".addresses code").allInnerTexts();
  check("the overview tells the UDP address", udp.some((url) => url === `${origin.replace("http", "udp")}/announce`), udp.join(", "));
  await page.context().close();
}

async function ticksAreTrue() {
  const page = await visitor();
  await logIn(page);
  await page.addInitScript(() => {
    globalThis.drawn = [];
    const { fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
      globalThis.drawn.push(text);
      return fillText.call(this, text, ...rest);
    };
  });
  for (const most of [0.9, 1, 1.3, 4, 7, 900, 1_150, 4_600, 1_150_000]) {
    await page.unroute("**/api/v1/history*");
    await page.route("**/api/v1/history*", async (route) => {
      const history = await (await route.fetch()).json();
      const time = Array.from({ length: 60 }, (_, at) => 1_700_000_000 + at * 60);
      const series = Object.fromEntries(Object.keys(history.series).map((name) => [name, time.map(() => name === "announces_http" ? most : null)]));
      await route.fulfill({ json: { ...history, time, series } });
    });
    await page.goto(`${origin}/stat`);
    await page.waitForSelector(".chart canvas");
    await page.waitForTimeout(100);
    const units = { K: 1e3, M: 1e6 };
    const texts = (await page.evaluate(() => globalThis.drawn)).filter((text) => /^[0-9.]+[KM]?$/.test(text));
    const ticks = [...new Set(texts.map((text) => parseFloat(text) * (units[text.at(-1)] ?? 1)))].sort((one, other) => one - other);
    const steps = ticks.slice(1).map((tick, at) => tick - ticks[at]);
    const areEven = steps.length > 1 && steps.every((step) => Math.abs(step - steps[0]) < steps[0] * 1e-6);
    check(`ticks up to ${most} are true`, areEven && ticks.length === new Set(texts).size, texts.join(" "));
  }
  await page.context().close();
}

async function phone() {
  const page = await visitor({ viewport: { width: 1440, height: 900 } });
  await logIn(page);
  await page.goto(`${origin}/blocklist`);
  await page.fill("form.fields [name=ip]", "198.51.100.7");
  await page.fill("[name=reason]", "a reason that is long enough to need more than one line of a phone, and some more");
  await page.click("form.fields button");
  await page.waitForURL(/done=block/);
  await page.goto(`${origin}/about`);
  await page.fill("form[action='/about/tokens'] [name=name]", "a token for the phone");
  await page.click("form[action='/about/tokens'] button");
  await page.waitForSelector("#secret");
  await page.setViewportSize({ width: 360, height: 800 });
  for (const language of ["en", "ru"]) {
    for (const path of [...pages, `/torrents/${await firstHash()}`]) {
      await page.goto(`${origin}${path}?lang=${language}`);
      const told = `${path} in ${language} on a phone`;
      const outside = await page.$$eval("main button, main a.button, main input, main meter, .csv", (found) => found
        .map((one) => [one, one.getBoundingClientRect()])
        .filter(([one, box]) => box.width > 0 && (box.left < 0 || box.right > innerWidth) && !one.classList.contains("copy"))
        .map(([one, box]) => `${one.outerHTML.slice(0, 60)} at ${box.right}`));
      check(`${told} has no button outside of the screen`, outside.length === 0, outside.join("; "));
      const empty = await page.$$eval("main .card, main .figure, main .notice, main td, main .branch", (found) => found
        .filter((one) => one.getBoundingClientRect().height > 0 && !one.textContent.trim() && !one.querySelector("canvas, svg, input, button"))
        .map((one) => one.outerHTML.slice(0, 80)));
      check(`${told} has no empty box`, empty.length === 0, empty.join("; "));
      if (screenshots && process.env.ALL_PICTURES) await page.screenshot({ path: `${screenshots}/phone-${path.split("/")[1]}-${language}.png`, fullPage: true });
    }
  }
  await page.goto(`${origin}/blocklist?lang=en`);
  await page.locator("tr", { hasText: "198.51.100.7" }).locator("form button").click();
  await page.waitForURL(/done=unblock/);
  await page.context().close();
}

async function subscriberPage() {
  if (!subscribers) return;
  for (const javaScriptEnabled of [true, false]) {
    for (const locale of ["en-GB", "ru-RU"]) {
      for (const width of [360, 1440]) {
        const page = await visitor({ locale, javaScriptEnabled, viewport: { width, height: 800 } });
        const reply = await page.goto(`${subscribers}/`);
        const told = `the page for subscribers in ${locale} at ${width} px`;
        check(`${told} is there`, reply.status() === 200 && page.url() === `${subscribers}/`, page.url());
        check(`${told} is in its language`, locale.startsWith(await page.getAttribute("html", "lang")));
        check(`${told} has the address`, (await page.locator(".addresses code").first().innerText()) === "http://retracker.local/announce");
        check(`${told} tells how to add it`, (await page.locator("main h2").allInnerTexts()).slice(1).join() === "qBittorrent,Transmission,µTorrent");
        check(`${told} does not scroll sideways`, await overflow(page) <= 0);
        check(`${told} keeps nothing`, (await page.context().cookies()).length === 0);
        if (javaScriptEnabled) {
          const findings = await serious(page);
          check(`${told} has no serious axe findings`, findings.length === 0, findings.join("; "));
          if (screenshots) await page.screenshot({ path: `${screenshots}/subscribers-${locale}-${width}.png`, fullPage: true });
        }
        await page.context().close();
      }
    }
  }
}

/** O26: the page Sites where there are others, in both languages, and where there are none. */
async function otherSites() {
  const page = await visitor();
  await logIn(page);
  await page.goto(`${origin}/sites?lang=en`);
  const isShown = async (text) => {
    for (let tries = 0; tries < 600; tries += 1) {
      if ((await page.locator("main").innerText()).includes(text)) return true;
      await page.waitForTimeout(200);
      await page.reload();
    }
    return false;
  };
  check("the other tracker stands on the page", await isShown("spb"));
  check("that a name is taken stands on the page", await isShown("somebody else writes to this log"));
  check("a tracker is not among the others", await page.locator("tbody th", { hasText: /^msk$/ }).count() === 0);
  await page.goto(`${origin}/sites?lang=ru`);
  check("in Russian too", (await page.locator(".notice.bad").first().innerText()).includes("в этот журнал пишет кто-то ещё"));
  await page.goto(`${origin}/sites?lang=en`);
  await page.click("form[action='/sites/resend'] button");
  await page.waitForURL(/done=resend/);
  check("everything is told again on demand", (await page.locator("[role=status]").first().innerText()).includes("being told again"));
  if (subscribers) {
    await page.goto(`${subscribers}/login`);
    await page.fill("[name=username]", username);
    await page.fill("[name=password]", password);
    await page.click("form[action='/login'] button");
    for (const language of ["en", "ru"]) {
      await page.goto(`${subscribers}/sites?lang=${language}`);
      check(`a tracker that is alone says so in ${language}`, (await page.locator("main").innerText()).includes("docs/SITES.md"));
      const findings = await serious(page);
      check(`the page Sites of one that is alone has no serious axe findings in ${language}`, findings.length === 0, findings.join("; "));
    }
  }
  await page.context().close();
}

async function withoutScript() {
  const page = await visitor({ javaScriptEnabled: false, viewport: { width: 360, height: 800 } });
  await logIn(page);
  for (const path of pages) {
    await page.goto(`${origin}${path}`);
    check(`${path} has its contents without scripts`, (await page.locator("main").innerText()).length > 20);
  }
  await page.goto(`${origin}/stat`);
  check("tables stay without scripts", await page.locator("tbody tr").count() > 5);
  check("the menu opens without scripts", await page.locator(".menu summary").isVisible());
  await page.goto(`${origin}/blocklist?lang=ru`);
  await page.fill("form.fields [name=ip]", "198.18.0.0/15");
  await page.fill("[name=hours]", "7");
  await page.click("form.fields button");
  await page.locator("button.danger").waitFor();
  check("a wide network is asked about without scripts", (await page.locator(".notice.bad").innerText()).includes("префикс короче /16"));
  await page.click("a.button[href='/blocklist']");
  check("and may be left", await page.locator(".notice.bad").count() === 0 && !(await page.content()).includes("198.18.0.0/15"));
  expectRefusals();
  await page.goto(`${origin}/stat?lang=en`);
  await page.locator(".menu summary").click();
  check("the menu shows its pages", await page.locator(".menu nav a").first().isVisible());
  await page.context().close();
}

async function pictures() {
  for (const colorScheme of ["light", "dark"]) {
    const page = await visitor({ colorScheme, viewport: { width: 1440, height: 900 } });
    await logIn(page);
    await page.waitForSelector(".chart canvas");
    await page.waitForLoadState("networkidle");
    await page.mouse.move(0, 0);
    await page.screenshot({ path: `${screenshots}/overview-${colorScheme}.png`, fullPage: false });
    if (process.env.ALL_PICTURES) {
      for (const path of [...pages, `/torrents/${await firstHash()}`]) {
        const name = path.split("/").slice(1, 3).join("-").slice(0, 20);
        await page.setViewportSize({ width: 1440, height: 900 });
        await page.goto(`${origin}${path}`);
        await page.waitForTimeout(300);
        await page.screenshot({ path: `${screenshots}/${name}-${colorScheme}.png`, fullPage: true });
        await page.setViewportSize({ width: 360, height: 800 });
        await page.waitForTimeout(300);
        await page.screenshot({ path: `${screenshots}/${name}-${colorScheme}-phone.png`, fullPage: true });
      }
      await page.context().clearCookies();
      await page.goto(`${origin}/login`);
      await page.screenshot({ path: `${screenshots}/login-${colorScheme}.png` });
    }
    await page.context().close();
  }
}

const steps = [loginAndSession, charts, liveFigures, savingsOfAZone, keyboardAndSearch, themes, blocklist, rolesAndAudit, refusalsInTheFrame, backAfterTheLogin,
  searchesThatCannotBeRead, peersByZone, treeOfZones, tablesAsFiles, addressesToCopy, ticksAreTrue, phone, subscriberPage, otherSites, withoutScript, everyPage];
const only = process.env.ONLY?.split(",");
for (const step of steps) {
  if (only && !only.includes(step.name)) continue;
  try {
    await step();
  } catch (error) {
    check(step.name, false, error.message.split("\n").slice(0, 4).join(" | "));
  }
}
check("no page complains on the console", complaints.length === 0, complaints.slice(0, 5).join("; "));
check("no other host is asked for anything", foreign.size === 0, [...foreign].join(", "));
if (screenshots) await pictures();
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
