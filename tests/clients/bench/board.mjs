/**
 * Measures the board in Chromium against a real server, on as much as a large region has
 * on one day: how long the first drawing takes once all is loaded, how long until one
 * live change is seen, and what frames do while changes stream in. Prints a table.
 *
 *   node bench/board.mjs [--quick]
 */

import { chromium } from "playwright-core";

import { Client, Server, claims, sign } from "../support.mjs";

const isQuick = process.argv.includes("--quick");
const CONTRACTORS = isQuick ? 20 : 200;
const JOBS_EACH = 10;
const FIRST_DRAWINGS = isQuick ? 1 : 5;
const SINGLE_CHANGES = isQuick ? 5 : 40;
const STREAM_PER_SECOND = 100;
const STREAM_SECONDS = isQuick ? 2 : 10;
const REQUESTS_AT_ONCE = 16;
const MINUTE_MS = 60000;

/** The first hour of the jobs: eight o'clock on some day far ahead. */
const DAY = "2033-05-10";
const MORNING = Date.parse(`${DAY}T08:00Z`);

/** Runs the tasks, some at a time, in their order. @param {(() => Promise<any>)[]} tasks */
async function all(tasks) {
  const results = new Array(tasks.length);
  let next = 0;
  const worker = async () => {
    while (next < tasks.length) {
      const at = next++;
      results[at] = await tasks[at]();
    }
  };
  await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, worker));
  return results;
}

/** @param {Client} admin */
async function fill(admin) {
  const contractors = await all(Array.from({ length: CONTRACTORS }, (_, index) => () => admin.contractor("north", `Contractor ${String(index).padStart(3, "0")}`)));
  const jobs = contractors.flatMap((id, index) => Array.from({ length: JOBS_EACH }, (_, place) => () => {
    const start = MORNING + (place * 60 + (index % 4) * 5) * MINUTE_MS;
    const window = { startUtc: new Date(start).toISOString(), endUtc: new Date(start + 40 * MINUTE_MS).toISOString() };
    return admin.job({ title: `Job ${index}.${place}`, contractorIds: [id], ...window });
  }));
  return (await all(jobs)).map(({ body }) => body);
}

/** What runs in the page before it does: it notes when what arrives and is drawn. */
function watch() {
  const seen = { arrived: [], firstBar: NaN, frames: [] };
  window.seen = seen;
  const { addEventListener } = EventTarget.prototype;
  const Plain = window.WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...args) {
      super(...args);
      addEventListener.call(this, "message", (event) => {
        if (String(event.data).includes('"JobRescheduled"')) seen.arrived.push(performance.now());
      });
    }
  };
  const twoFrames = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now()))));
  new MutationObserver((_, observer) => {
    if (!document.querySelector("[data-testid=bar]")) return;
    observer.disconnect();
    void twoFrames().then((now) => (seen.firstBar = now));
  }).observe(document, { childList: true, subtree: true });
  /** When the job is drawn with this version, and two frames have passed. */
  seen.drawn = (id, version) =>
    new Promise((resolve) => {
      const isDrawn = () => document.querySelector(`[data-job="${id}"][data-version="${version}"]`) !== null;
      const look = (observer) => {
        if (!isDrawn()) return;
        observer?.disconnect();
        void twoFrames().then(resolve);
      };
      const observer = new MutationObserver(() => look(observer));
      observer.observe(document, { childList: true, subtree: true, attributes: true });
      look(observer);
    });
  /** Notes the time between frames, until it is stopped; answers the longest ones. */
  seen.measureFrames = () => {
    const gaps = [];
    let last = performance.now();
    let isOver = false;
    const frame = (now) => {
      gaps.push(now - last);
      last = now;
      if (!isOver) requestAnimationFrame(frame);
    };
    requestAnimationFrame((now) => {
      last = now;
      requestAnimationFrame(frame);
    });
    seen.stopFrames = () => {
      isOver = true;
      return gaps;
    };
  };
}

/** How long after all was there the first drawing was on the screen. */
async function firstDrawing(page) {
  await page.waitForFunction(() => !Number.isNaN(window.seen.firstBar));
  return page.evaluate(() => {
    const needed = performance.getEntriesByType("resource").filter(({ name }) => /\/api\/(jobs|contractors)|daypilot/.test(name));
    return window.seen.firstBar - Math.max(...needed.map((one) => one.responseEnd));
  });
}

const sorted = (numbers) => [...numbers].sort((a, b) => a - b);
const median = (numbers) => sorted(numbers)[Math.floor(numbers.length / 2)];
const highest = (numbers) => Math.max(...numbers);

async function open(browser, server, token) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 } });
  await context.addInitScript(watch);
  await context.addInitScript((value) => sessionStorage.setItem("signalbox.token", value), token);
  const page = await context.newPage();
  await page.goto(`${server.url}/?view=day&date=${DAY}&zone=UTC`);
  return { context, page };
}

/** Moves a job there and back again by a few minutes: it never overlaps another. */
function wobble(admin, job) {
  const by = job.version % 2 === 1 ? 5 : -5;
  const shift = (text) => new Date(Date.parse(text) + by * MINUTE_MS).toISOString();
  return admin.reschedule(job, { startUtc: shift(job.startUtc), endUtc: shift(job.endUtc) });
}

async function main() {
  const server = await Server.serve();
  const browser = await chromium.launch({
    executablePath: process.env.SIGNALBOX_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
  try {
    const admin = new Client(server.url, sign(claims.admin()));
    const jobs = await fill(admin);

    const drawings = [];
    for (let round = 0; round < FIRST_DRAWINGS; round += 1) {
      const { context, page } = await open(browser, server, admin.token);
      drawings.push(await firstDrawing(page));
      await context.close();
    }

    const { page } = await open(browser, server, admin.token);
    await page.locator("[data-testid=connection][data-state=live]").waitFor();
    await firstDrawing(page);
    const inSight = await page.locator("[data-testid=bar]").evaluateAll((bars) => bars.map((one) => one.dataset.job));
    const shown = jobs.filter((job) => inSight.includes(job.id));

    const singles = [];
    for (let at = 0; at < SINGLE_CHANGES; at += 1) {
      const job = shown[at % shown.length];
      const drawn = page.evaluate(([id, version]) => window.seen.drawn(id, version), [job.id, job.version + 1]);
      Object.assign(job, (await wobble(admin, job)).body);
      singles.push((await drawn) - (await page.evaluate(() => window.seen.arrived.at(-1))));
    }

    // The same time without changes first: what the machine itself does to frames.
    await page.evaluate(() => window.seen.measureFrames());
    await new Promise((resolve) => setTimeout(resolve, STREAM_SECONDS * 1000));
    const idle = await page.evaluate(() => window.seen.stopFrames());
    const before = await page.evaluate(() => window.seen.arrived.length);
    await page.evaluate(() => window.seen.measureFrames());
    const began = Date.now();
    const sent = [];
    for (let at = 0; at < STREAM_PER_SECOND * STREAM_SECONDS; at += 1) {
      const due = began + (at * 1000) / STREAM_PER_SECOND;
      if (due > Date.now()) await new Promise((resolve) => setTimeout(resolve, due - Date.now()));
      // Of all jobs in turn, so most of the changes are out of sight, as in real life.
      const job = jobs[(at * 7) % jobs.length];
      sent.push(wobble(admin, job).then(({ body }) => Object.assign(job, body)));
    }
    await Promise.all(sent);
    const seconds = (Date.now() - began) / 1000;
    const busy = await page.evaluate(() => window.seen.stopFrames());
    const messages = (await page.evaluate(() => window.seen.arrived.length)) - before;

    const ms = (/** @type {number} */ value) => `${value.toFixed(0)} ms`;
    console.log(`### The board: ${CONTRACTORS} contractors, ${jobs.length} jobs of one day\n`);
    console.log("| what | median | highest | bound |\n|---|---|---|---|");
    console.log(`| first drawing, from the last answer to the second frame (${drawings.length} times) | ${ms(median(drawings))} | ${ms(highest(drawings))} | 500 ms |`);
    console.log(`| one live change, from its arrival to the second frame (${singles.length} times) | ${ms(median(singles))} | ${ms(highest(singles))} | 50 ms |`);
    console.log(`| a frame while nothing changes, ${STREAM_SECONDS} s | ${ms(median(idle))} | ${ms(highest(idle))} | |`);
    console.log(`| a frame during ${(sent.length / seconds).toFixed(0)} changes a second, ${seconds.toFixed(1)} s, in ${messages} messages | ${ms(median(busy))} | ${ms(highest(busy))} | 100 ms |`);
  } finally {
    await browser.close();
    await server.dispose();
  }
}

await main();
