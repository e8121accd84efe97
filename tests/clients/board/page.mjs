/**
 * What the tests of the page share: a demo, a browser, and pages of people in it that
 * are watched for errors and foreign requests.
 */

import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";

import { chromium } from "playwright-core";

import { Client, Server } from "../support.mjs";
import { TIME_LIMIT_MS } from "../waiting.mjs";

const CHROMIUM = process.env.SIGNALBOX_CHROMIUM ?? "/usr/bin/chromium";
const CHROMIUM_FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
/** The folder of the page's sources, to serve them as they are and not as they were built. */
const SOURCES = process.env.SIGNALBOX_PAGE_SOURCES;
export const PHONE = { width: 390, height: 844 };
export const DESKTOP = { width: 1360, height: 860 };

/** @type {import("playwright-core").Browser} */
let browser;
/** What the pages of a test did that they should not. @type {string[]} */
let complaints = [];
/** Complaints that a test brings about itself. @type {RegExp[]} */
let expected = [];

/** The demo, and people of it. */
export const stage = {
  /** @type {Server} */
  demo: /** @type {any} */ (null),
  /** The dispatcher of the region north, over HTTP. @type {Client} */
  nora: /** @type {any} */ (null),
  /** A contractor of the region north. */
  ada: "",
};

before(async () => {
  stage.demo = await Server.demo();
  // Chromium takes an answer of the test's own for one of another network.
  const flags = SOURCES ? [...CHROMIUM_FLAGS, "--disable-features=LocalNetworkAccessChecks"] : CHROMIUM_FLAGS;
  browser = await chromium.launch({ executablePath: CHROMIUM, args: flags });
  const personas = await personasOf(stage.demo);
  stage.nora = new Client(stage.demo.url, personas.get("dispatcher-north").token);
  stage.ada = personas.get("contractor-ada").contractorId;
});

after(async () => {
  await browser?.close();
  await stage.demo?.dispose();
});

afterEach(async () => {
  await closePages();
  const unexpected = complaints.filter((text) => !expected.some((pattern) => pattern.test(text)));
  [complaints, expected] = [[], []];
  assert.deepEqual(unexpected, []);
});

/** Says which complaints of the browser belong to the test. @param {...RegExp} patterns */
export function expect(...patterns) {
  expected = patterns;
}

/** The personas of a demo by their ids. @param {Server} server */
export async function personasOf(server) {
  const { personas } = await (await fetch(`${server.url}/demo/personas`)).json();
  return new Map(personas.map((/** @type {any} */ one) => [one.id, one]));
}

async function closePages() {
  await Promise.all(browser.contexts().map((context) => context.close()));
}

/** Ends a test's own servers; their pages first, since those would miss them. */
export async function dispose(...servers) {
  await closePages();
  await Promise.all(servers.map((server) => server?.dispose()));
}

/**
 * A page of its own browser profile, watched for errors and foreign requests. What is to
 * be so before it loads is brought about by `prepare`.
 */
export async function page(url, { prepare, ...options } = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  if (SOURCES) await context.route(({ pathname }) => /^\/$|\.\w+$/.test(pathname), fromSources);
  context.setDefaultTimeout(TIME_LIMIT_MS);
  await prepare?.(context);
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

/** The page of a persona, live: the list unless the address is to say something else. */
export async function as(persona, options, query = "view=list") {
  const opened = await page(`${stage.demo.url}/?persona=${persona}&${query}`, options);
  await state(opened, "live");
  return opened;
}

/** The page of whoever has this token, outside of demo mode, signed in. */
export async function withToken(url, token, query = "view=list") {
  const opened = await page(`${url}/?${query}`);
  await opened.getByTestId("token").fill(token);
  await opened.getByTestId("token-submit").click();
  return opened;
}

/** Answers with a file of the sources, where there is one: to try a change without a build. */
async function fromSources(route) {
  const { pathname } = new URL(route.request().url());
  const file = join(SOURCES, pathname === "/" ? "index.html" : pathname);
  if (!existsSync(file)) return route.continue();
  const response = await route.fetch().catch(() => null);
  if (!response) return; // The page has been closed.
  // One that the build does not know is answered as its kind is.
  const type = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript" }[extname(file)] ?? response.headers()["content-type"];
  const { "content-length": _, ...headers } = response.headers();
  return route.fulfill({ status: 200, headers: { ...headers, "content-type": type }, body: await readFile(file) });
}

/** Waits until the page says that its connection is so. */
export async function state(opened, name) {
  await opened.locator(`[data-testid=connection][data-state=${name}]`).waitFor();
}

/** The card of a job. */
export function card(opened, job) {
  return opened.locator(`[data-job-id="${job.id}"]`);
}

/** A part of the card of a job, once it has this text. */
export async function shows(opened, job, part, text) {
  await card(opened, job).locator(`[data-part=${part}]`).filter({ hasText: text }).waitFor();
}

/** The window's times of day as a card in Berlin shows them. */
export function times({ startUtc, endUtc }) {
  const format = new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Berlin", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return [startUtc, endUtc].map((text) => format.format(Date.parse(text))).join("–");
}

/** Opens the dialog that reschedules or cancels the job. */
export async function open(opened, job, action) {
  await card(opened, job).getByTestId(action).click();
  const dialog = opened.getByTestId(`${action}-dialog`);
  await dialog.waitFor();
  return dialog;
}

/** Whether anything on the page is wider than the page. */
export async function overflow(opened) {
  return opened.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** The dispatcher's timeline of a day, drawn. @param {string} query what else the address says */
export async function timeline(query = "", persona = "dispatcher-north", options = {}) {
  const opened = await as(persona, options, query);
  await opened.locator("[data-testid=schedule]:is([data-state=ready], [data-state=empty])").waitFor();
  await opened.getByTestId("row-head").first().waitFor();
  return opened;
}

/** The bar of a job in the row of a contractor, or in any. */
export function bar(opened, job, contractorId) {
  const row = contractorId ? `[data-row="${contractorId}"]` : "";
  return opened.locator(`[data-testid=bar][data-job="${job.id}"]${row}`);
}

/** Where a bar lies on the axis: the moments of its two ends, as the hours of the header have it, to five minutes. */
export async function spanOf(opened, job) {
  await bar(opened, job).waitFor();
  return opened.evaluate((id) => {
    const box = (/** @type {Element} */ one) => one.getBoundingClientRect();
    const axis = box(document.querySelector("[data-testid=axis]"));
    const hours = [...document.querySelectorAll("[data-moment]")];
    const [first, last] = [hours[0], hours[hours.length - 1]];
    const perPixel = (last.dataset.moment - first.dataset.moment) / (box(last).left - box(first).left);
    const drawn = box(document.querySelector(`[data-testid=bar][data-job="${id}"]`));
    const at = (/** @type {number} */ x) => new Date(Math.round((Number(first.dataset.moment) + (x - axis.left) * perPixel) / 300000) * 300000).toISOString();
    return [at(drawn.left), at(drawn.right)];
  }, job.id);
}
