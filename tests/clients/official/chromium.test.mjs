/**
 * The official client's browser builds in a real Chromium, over every transport and
 * protocol. The page comes from another port than the hub, so that every request is a
 * cross-origin one with credentials.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { chromium } from "playwright-core";

import { PAIRS, nameOf } from "./environment.mjs";
import { FEATURES, suits } from "./features.mjs";
import { PageServer } from "./page_server.mjs";
import { TestServer } from "./test_server.mjs";

const CHROMIUM = process.env.SIGNALBOX_CHROMIUM ?? "/usr/bin/chromium";
const CHROMIUM_FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** @type {TestServer} */
let server;
/** @type {PageServer} */
let pages;
/** @type {import("playwright-core").Browser} */
let browser;
/** @type {import("playwright-core").Page} */
let page;

before(async () => {
  [server, pages, browser] = await Promise.all([
    TestServer.start(),
    PageServer.start(),
    chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS }),
  ]);
  page = await browser.newPage();
  await page.exposeFunction("restartServer", async () => {
    await server.stop();
    await server.revive();
  });
  await page.goto(pages.url);
  await page.waitForFunction(() => "runFeature" in window);
});

after(async () => {
  await browser?.close();
  await Promise.all([server?.dispose(), pages?.dispose()]);
});

for (const pair of PAIRS) {
  describe(nameOf(pair), () => {
    for (const name of Object.keys(FEATURES)) {
      if (!suits(name, { ...pair, isBrowser: true })) continue;
      test(name, async () => {
        const failure = await page.evaluate(
          ({ name, pair, url }) => /** @type {any} */ (window).runFeature(name, pair, url),
          { name, pair, url: server.url },
        );
        assert.equal(failure, null);
      });
    }
  });
}
