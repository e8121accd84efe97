/** The web page, in a real browser, against a real demo. */

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { Client, Server, claims, later, nextWindow, secondsFromNow, sign } from "./support.mjs";

const CHROMIUM = process.env.SIGNALBOX_CHROMIUM ?? "/usr/bin/chromium";
const CHROMIUM_FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1360, height: 860 };

/** @type {Server} */
let demo;
/** @type {import("playwright-core").Browser} */
let browser;
/** The dispatcher of the region north, over HTTP. @type {Client} */
let nora;
/** A contractor of the region north. */
let ada = "";
/** What the pages of a test did that they should not. @type {string[]} */
let complaints = [];
/** Complaints that a test brings about itself. @type {RegExp[]} */
let expected = [];

before(async () => {
  demo = await Server.demo();
  browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS });
  const { personas } = await (await fetch(`${demo.url}/demo/personas`)).json();
  nora = new Client(demo.url, personas.find((one) => one.id === "dispatcher-north").token);
  ada = personas.find((one) => one.id === "contractor-ada").contractorId;
});

after(async () => {
  await browser?.close();
  await demo?.dispose();
});

afterEach(async () => {
  await closePages();
  const unexpected = complaints.filter((text) => !expected.some((pattern) => pattern.test(text)));
  [complaints, expected] = [[], []];
  assert.deepEqual(unexpected, []);
});

async function closePages() {
  await Promise.all(browser.contexts().map((context) => context.close()));
}

/** Ends a test's own servers; their pages first, since those would miss them. */
async function dispose(...servers) {
  await closePages();
  await Promise.all(servers.map((server) => server?.dispose()));
}

/** A page of its own browser profile, watched for errors and foreign requests. */
async function page(url, options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  const opened = await context.newPage();
  const host = new URL(url).host;
  opened.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  opened.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  opened.on("request", (request) => {
    const asked = new URL(request.url());
    if (asked.protocol !== "data:" && asked.host !== host) complaints.push(`a request to ${asked.host}`);
  });
  opened.on("websocket", (socket) => {
    if (new URL(socket.url()).host !== host) complaints.push(`a socket to ${socket.url()}`);
  });
  await opened.goto(url);
  return opened;
}

/** The page of a persona, live. */
async function as(persona, options) {
  const opened = await page(`${demo.url}/?persona=${persona}`, options);
  await state(opened, "live");
  return opened;
}

/** Waits until the page says that its connection is so. */
async function state(opened, name) {
  await opened.locator(`[data-testid=connection][data-state=${name}]`).waitFor();
}

/** The card of a job. */
function card(opened, job) {
  return opened.locator(`[data-job-id="${job.id}"]`);
}

/** A part of the card of a job, once it has this text. */
async function shows(opened, job, part, text) {
  await card(opened, job).locator(`[data-part=${part}]`).filter({ hasText: text }).waitFor();
}

/** The window's times of day as a card in Berlin shows them. */
function times({ startUtc, endUtc }) {
  const format = new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Berlin", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return [startUtc, endUtc].map((text) => format.format(Date.parse(text))).join("–");
}

/** Opens the dialog that reschedules or cancels the job. */
async function open(opened, job, action) {
  await card(opened, job).getByTestId(action).click();
  const dialog = opened.getByTestId(`${action}-dialog`);
  await dialog.waitFor();
  return dialog;
}

/** Whether anything on the page is wider than the page. */
async function overflow(opened) {
  return opened.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

describe("two people", () => {
  test("see a reschedule and a cancellation at once, without reloading", async () => {
    const { body: job } = await nora.job({ contractorIds: [ada] });
    const dispatcher = await as("dispatcher-north");
    const contractor = await as("contractor-ada");
    await shows(contractor, job, "window", times(job));
    await contractor.evaluate(() => { window.isSamePage = true; });

    const reschedule = await open(dispatcher, job, "reschedule");
    await reschedule.getByTestId("shift-plus-30").click();
    await reschedule.getByTestId("reason").fill("traffic");
    await reschedule.getByTestId("dialog-submit").click();
    for (const opened of [dispatcher, contractor]) {
      await shows(opened, job, "window", times(later(job, 30)));
      const change = card(opened, job).getByTestId("change").filter({ hasText: "rescheduled" });
      await change.filter({ hasText: "traffic" }).filter({ hasText: times(job) }).waitFor();
      await change.filter({ hasText: "Nora" }).waitFor();
    }
    await reschedule.waitFor({ state: "hidden" });

    const cancel = await open(dispatcher, job, "cancel");
    await cancel.getByTestId("reason").fill("customer ill");
    await cancel.getByTestId("dialog-submit").click();
    for (const opened of [dispatcher, contractor]) {
      await shows(opened, job, "status", "Cancelled");
      assert.equal(await card(opened, job).getAttribute("data-state"), "cancelled");
      const newest = opened.getByTestId("feed-line").first();
      await newest.filter({ hasText: "Cancelled" }).filter({ hasText: job.title }).filter({ hasText: "customer ill" }).waitFor();
      assert.equal(await card(opened, job).getByTestId("cancel").count(), 0);
    }
    assert.equal(await contractor.evaluate(() => window.isSamePage), true);
  });

  test("of different regions see nothing of each other", async () => {
    const west = await as("dispatcher-west");
    const { body: job } = await nora.job();
    const { personas } = await (await fetch(`${demo.url}/demo/personas`)).json();
    const wes = new Client(demo.url, personas.find((one) => one.id === "dispatcher-west").token);
    const { body: mark } = await wes.job({ region: "west" });
    await card(west, mark).waitFor();
    assert.equal(await card(west, job).count(), 0);
    assert.equal(await west.getByTestId("feed-line").filter({ hasText: job.title }).count(), 0);
  });

  test("a contractor only looks, and sees jobs come and go", async () => {
    const contractor = await as("contractor-ada");
    assert.equal(await contractor.getByTestId("reschedule").count(), 0);
    const { body: job } = await nora.job({ contractorIds: [ada] });
    await card(contractor, job).waitFor();
    await nora.must("POST", `/api/jobs/${job.id}/assign`, { contractorIds: [] });
    await card(contractor, job).waitFor({ state: "detached" });
    await contractor.getByTestId("feed-line").first().filter({ hasText: "nobody assigned" }).waitFor();
  });

  test("the second one to change a job is told who was first", async () => {
    expected = [/status of 412/];
    const { body: job } = await nora.job();
    const slow = await as("dispatcher-north");
    const quick = await as("dispatcher-north");
    const dialog = await open(slow, job, "reschedule");
    await dialog.getByTestId("shift-plus-60").click();
    const first = await open(quick, job, "reschedule");
    await first.getByTestId("shift-plus-30").click();
    await first.getByTestId("dialog-submit").click();

    await dialog.getByTestId("dialog-changed").filter({ hasText: "Nora" }).waitFor();
    await dialog.getByTestId("dialog-submit").click();
    await dialog.getByTestId("dialog-problem").filter({ hasText: "somebody was first" }).waitFor();
    await shows(slow, job, "window", times(later(job, 30)));
    assert.equal((await nora.must("GET", `/api/jobs/${job.id}`)).body.version, 2);

    await dialog.getByTestId("start-over").click();
    await dialog.getByTestId("shift-plus-60").click();
    await dialog.getByTestId("dialog-submit").click();
    await dialog.waitFor({ state: "hidden" });
    await shows(quick, job, "window", times(later(job, 90)));
  });

  test("a conflict names the job in the way", async () => {
    expected = [/status of 409/];
    const window = nextWindow();
    const { body: job } = await nora.job({ ...window, contractorIds: [ada] });
    const { body: other } = await nora.job({ ...later(window, 60), contractorIds: [ada] });
    const dispatcher = await as("dispatcher-north");
    const dialog = await open(dispatcher, job, "reschedule");
    await dialog.getByTestId("shift-plus-30").click();
    await dialog.getByTestId("dialog-submit").click();
    await dialog.getByTestId("dialog-problem").filter({ hasText: other.title }).waitFor();
    await shows(dispatcher, job, "window", times(job));
  });
});

describe("text", () => {
  test("stays text, whatever it says", async () => {
    const evil = `<img src=x onerror="window.evil=1"><script>window.evil=1</script>${Date.now()}`;
    const dispatcher = await as("dispatcher-north");
    const { body: job } = await nora.job({ title: evil, customer: evil, address: evil, contractorIds: [ada] });
    const contractor = await as("contractor-ada");
    await nora.reschedule(job, { ...later(job, 30), reason: evil });
    await nora.cancel(job, { reason: evil });
    for (const opened of [dispatcher, contractor]) {
      await shows(opened, job, "status", "Cancelled");
      assert.equal(await card(opened, job).locator("[data-part=title]").textContent(), evil);
      await opened.getByTestId("feed-line").first().filter({ hasText: evil }).waitFor();
      const markup = await opened.evaluate(() => document.querySelectorAll("main img, main script, [onerror]").length);
      assert.deepEqual([await opened.evaluate(() => window.evil), markup], [undefined, 0]);
    }
  });
});

describe("finding jobs", () => {
  test("the filter narrows the list, and an empty result says so", async () => {
    const { body: job } = await nora.job();
    const dispatcher = await as("dispatcher-north");
    await dispatcher.getByTestId("filter").fill(job.title.toUpperCase());
    await dispatcher.getByTestId("jobs-count").filter({ hasText: /^1 of/ }).waitFor();
    assert.equal(await card(dispatcher, job).count(), 1);
    await dispatcher.getByTestId("filter").fill("no such words");
    await dispatcher.locator("[data-testid=jobs][data-state=empty]").waitFor();
    await dispatcher.getByRole("button", { name: "Clear the filter" }).click();
    await card(dispatcher, job).waitFor();
  });

  test("days that are over are shown on request", async () => {
    const past = { startUtc: "2020-03-01T09:00:00.000Z", endUtc: "2020-03-01T10:00:00.000Z" };
    const { body: job } = await nora.job(past);
    const dispatcher = await as("dispatcher-north");
    assert.equal(await card(dispatcher, job).count(), 0);
    await dispatcher.getByTestId("period").selectOption("all");
    await shows(dispatcher, job, "window", "10:00–11:00");
  });
});

describe("time", () => {
  test("is the site's, also where clocks change", async () => {
    const opened = await page(demo.url);
    const moments = await opened.evaluate(async () => {
      const { fromLocal, toLocal } = await import("/time.js");
      const asUtc = (/** @type {string} */ local, /** @type {string} */ zone) =>
        fromLocal(local, zone)?.map((moment) => new Date(moment).toISOString());
      return {
        winter: asUtc("2026-01-15T09:00", "Europe/Berlin"),
        summer: asUtc("2026-07-15T09:00", "Europe/Berlin"),
        beforeTheGap: asUtc("2026-03-29T01:59", "Europe/Berlin"),
        inTheGap: asUtc("2026-03-29T02:30", "Europe/Berlin"),
        afterTheGap: asUtc("2026-03-29T03:00", "Europe/Berlin"),
        twice: asUtc("2026-10-25T02:30", "Europe/Berlin"),
        newYork: asUtc("2026-11-01T12:00", "America/New_York"),
        halfHours: asUtc("2026-06-01T00:15", "Asia/Kolkata"),
        acrossTheDateLine: asUtc("2026-06-01T00:15", "Pacific/Kiritimati"),
        nonsense: fromLocal("", "Europe/Berlin"),
        back: toLocal(Date.parse("2026-10-25T01:30:00Z"), "Europe/Berlin"),
      };
    });
    assert.deepEqual(moments, {
      winter: ["2026-01-15T08:00:00.000Z"],
      summer: ["2026-07-15T07:00:00.000Z"],
      beforeTheGap: ["2026-03-29T00:59:00.000Z"],
      inTheGap: [],
      afterTheGap: ["2026-03-29T01:00:00.000Z"],
      twice: ["2026-10-25T00:30:00.000Z", "2026-10-25T01:30:00.000Z"],
      newYork: ["2026-11-01T17:00:00.000Z"],
      halfHours: ["2026-05-31T18:45:00.000Z"],
      acrossTheDateLine: ["2026-05-31T10:15:00.000Z"],
      nonsense: null,
      back: "2026-10-25T02:30",
    });
  });

  test("that is typed in is taken in the site's zone, whichever the device's is", async () => {
    const { body: job } = await nora.job({ timezone: "America/New_York" });
    const dispatcher = await as("dispatcher-north", { timezoneId: "Asia/Tokyo" });
    const dialog = await open(dispatcher, job, "reschedule");
    await dialog.getByTestId("start").fill("2099-07-01T09:00");
    await dialog.getByTestId("end").fill("2099-07-01T08:00");
    assert.equal(await dialog.getByTestId("dialog-submit").isDisabled(), true);
    await dialog.getByTestId("end").fill("2099-07-01T10:30");
    await dialog.getByTestId("dialog-submit").click();
    await shows(dispatcher, job, "window", "09:00–10:30");
    await shows(dispatcher, job, "zone", "America/New_York");
    const { body: moved } = await nora.must("GET", `/api/jobs/${job.id}`);
    assert.deepEqual([moved.startUtc, moved.endUtc], ["2099-07-01T13:00:00.000Z", "2099-07-01T14:30:00.000Z"]);
  });
});

describe("a server that goes away", () => {
  test("is noticed, changes are paused, and what was missed is caught up", async () => {
    expected = [/ERR_/, /WebSocket/];
    const own = await Server.demo();
    let successor;
    try {
      const { personas } = await (await fetch(`${own.url}/demo/personas`)).json();
      const { token } = personas.find((one) => one.id === "dispatcher-north");
      const { body: job } = await new Client(own.url, token).job();
      const opened = await page(`${own.url}/?persona=dispatcher-north`);
      await state(opened, "live");
      const dialog = await open(opened, job, "reschedule");
      await dialog.getByTestId("shift-plus-30").click();

      await own.kill();
      await state(opened, "offline");
      assert.match(await opened.getByTestId("connection").innerText(), /^Offline since \d\d:\d\d$/);
      assert.equal(await dialog.getByTestId("dialog-submit").isDisabled(), true);
      await dialog.getByTestId("dialog-problem").filter({ hasText: "paused" }).waitFor();
      await dialog.getByTestId("dialog-close").click();
      assert.equal(await card(opened, job).getByTestId("reschedule").isDisabled(), true);
      await opened.getByTestId("paused").filter({ hasText: "Changes are paused" }).waitFor();

      // Elsewhere first, so that the page certainly misses the change.
      const elsewhere = await Server.demo({ folder: own.folder });
      const change = await new Client(elsewhere.url, token).reschedule(job, { ...later(job, 60), reason: "while away" });
      await elsewhere.stop();
      successor = await Server.demo({ port: own.port, folder: own.folder });
      await state(opened, "live");
      await shows(opened, job, "window", times(change.body));
      await card(opened, job).getByTestId("change").filter({ hasText: "while away" }).waitFor();
      await opened.getByTestId("feed-line").first().filter({ hasText: "while away" }).waitFor();
      assert.equal(await card(opened, job).getByTestId("reschedule").isDisabled(), false);
      assert.equal(await opened.getByTestId("paused").isHidden(), true);
    } finally {
      await dispose(own, successor);
    }
  });
});

describe("signing in", () => {
  test("offers the personas, and another user can take over", async () => {
    const opened = await page(demo.url);
    await opened.locator('[data-persona-id="dispatcher-west"]').click();
    await state(opened, "live");
    assert.match(await opened.getByTestId("account-scope").innerText(), /west/);
    await opened.reload();
    await state(opened, "live");
    await opened.getByTestId("sign-out").click();
    await opened.locator('[data-persona-id="contractor-ada"]').click();
    await state(opened, "live");
    assert.equal(await opened.getByTestId("account-scope").innerText(), "Contractor");
  });

  test("takes a token outside of demo mode, and asks again when it ends", async () => {
    expected = [/status of 40[14]/, /WebSocket/];
    const server = await Server.serve();
    try {
      const { body: job } = await new Client(server.url, sign(claims.admin())).job({ region: "north" });
      const opened = await page(server.url);
      await opened.getByTestId("token").fill("nonsense");
      await opened.getByTestId("token-submit").click();
      await opened.getByTestId("token-problem").filter({ hasText: "not a JSON Web Token" }).waitFor();

      await opened.getByTestId("token").fill(sign(claims.admin()));
      await opened.getByTestId("token-submit").click();
      await state(opened, "live");
      await card(opened, job).waitFor();
      await opened.getByTestId("sign-out").click();

      await opened.getByTestId("token").fill(sign({ ...claims.dispatcher("north"), exp: secondsFromNow(6) }));
      await opened.getByTestId("token-submit").click();
      await state(opened, "live");
      await opened.getByTestId("sign-in-notice").filter({ hasText: "expired" }).waitFor();
      assert.equal(await opened.getByTestId("board").isHidden(), true);
    } finally {
      await dispose(server);
    }
  });

  test("a server that refuses the token leads back to it", async () => {
    expected = [/status of 40[14]/];
    const server = await Server.serve();
    try {
      const opened = await page(server.url);
      await opened.getByTestId("token").fill(sign(claims.admin(), { secret: "some other secret of 32 bytes and more" }));
      await opened.getByTestId("token-submit").click();
      await opened.getByTestId("sign-in-notice").filter({ hasText: "sign in again" }).waitFor();
    } finally {
      await dispose(server);
    }
  });
});

describe("a phone", () => {
  test("shows everything without scrolling sideways", async () => {
    const long = "Averylongwordthatnobreakcanbefoundin".repeat(4);
    const { body: job } = await nora.job({ title: long, customer: long, address: long });
    for (const width of [320, PHONE.width]) {
      const opened = await page(demo.url, { viewport: { ...PHONE, width } });
      await opened.getByTestId("persona").first().waitFor();
      assert.equal(await overflow(opened), 0, "signing in");
      await opened.goto(`${demo.url}/?persona=dispatcher-north`);
      await state(opened, "live");
      await card(opened, job).waitFor();
      assert.equal(await overflow(opened), 0, "the jobs");
      const dialog = await open(opened, job, "reschedule");
      const box = await dialog.boundingBox();
      assert.ok(box && box.x >= 0 && box.x + box.width <= width, "the dialog fits");
      await dialog.getByTestId("dialog-close").click();
      await opened.getByTestId("show-feed").click();
      await opened.getByTestId("feed").waitFor();
      assert.equal(await overflow(opened), 0, "the events");
    }
  });
});

describe("the keyboard", () => {
  test("reaches and closes a dialog, and comes back to where it was", async () => {
    const { body: job } = await nora.job();
    const dispatcher = await as("dispatcher-north");
    await card(dispatcher, job).getByTestId("cancel").focus();
    await dispatcher.keyboard.press("Enter");
    await dispatcher.getByTestId("cancel-dialog").waitFor();
    await dispatcher.keyboard.press("Escape");
    await dispatcher.getByTestId("cancel-dialog").waitFor({ state: "hidden" });
    const focused = () => dispatcher.evaluate(() => document.activeElement?.getAttribute("data-testid"));
    assert.equal(await focused(), "cancel");
    // Drawing the card again does not take the focus away.
    const { body: moved } = await nora.reschedule(job, later(job, 30));
    await shows(dispatcher, job, "window", times(moved));
    assert.equal(await focused(), "cancel");
  });
});

const SCREENSHOTS = process.env.SIGNALBOX_SCREENSHOTS;

test("screenshots", { skip: SCREENSHOTS ? false : "SIGNALBOX_SCREENSHOTS names no folder" }, async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  const showcase = await Server.demo();
  try {
    const { personas } = await (await fetch(`${showcase.url}/demo/personas`)).json();
    const client = new Client(showcase.url, personas.find((one) => one.id === "dispatcher-north").token);
    const { body } = await client.must("GET", `/api/jobs?contractorId=${ada}&limit=10`);
    for (const [size, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      for (const colorScheme of ["light", "dark"]) {
        const shoot = async (opened, name) => opened.screenshot({ path: join(SCREENSHOTS, `${name}-${size}-${colorScheme}.png`) });
        const start = await page(showcase.url, { viewport, colorScheme });
        await start.getByTestId("persona").first().waitFor();
        await shoot(start, "sign-in");
        const pages = {};
        for (const persona of ["dispatcher-north", "contractor-ada"]) {
          pages[persona] = await page(`${showcase.url}/?persona=${persona}`, { viewport, colorScheme });
          await state(pages[persona], "live");
        }
        const job = (await client.must("GET", `/api/jobs/${body.items[1].id}`)).body;
        await client.reschedule(job, { ...later(job, 5), reason: "the customer asked for it" });
        for (const [persona, opened] of Object.entries(pages)) {
          await card(opened, job).getByTestId("change").waitFor();
          await shoot(opened, persona);
        }
        await open(pages["dispatcher-north"], job, "reschedule");
        await shoot(pages["dispatcher-north"], "reschedule");
      }
    }
  } finally {
    await dispose(showcase);
  }
});
