/** What a browser has to load for the board, and from where. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { page, stage, state } from "./page.mjs";

/** The whole page, compressed, may weigh so much. */
const BYTES_MAX = 250_000;

/** The files that a page asks for, with their bytes as gzip has them. */
function weigh() {
  /** @type {Map<string, Promise<number>>} */
  const weights = new Map();
  const prepare = (context) => {
    context.on("response", (response) => {
      const { pathname } = new URL(response.url());
      if (/^\/(api|hub|demo)\//.test(pathname) || !response.ok()) return;
      weights.set(pathname, response.body().then((body) => gzipSync(body, { level: 6 }).length));
    });
  };
  const total = async () => (await Promise.all(weights.values())).reduce((sum, bytes) => sum + bytes, 0);
  return { prepare, weights, total };
}

test("the dispatcher's board, timeline and all, weighs less than 250 KB compressed", async () => {
  const { prepare, weights, total } = weigh();
  const opened = await page(`${stage.demo.url}/?persona=dispatcher-north&view=week`, { prepare });
  await state(opened, "live");
  await opened.getByTestId("bar").first().waitFor();
  assert.ok(weights.has("/vendor/daypilot-javascript.min.js") && weights.has("/main.js"), [...weights.keys()].join());
  assert.ok((await total()) < BYTES_MAX, `${await total()} bytes: ${JSON.stringify(await weightsOf(weights))}`);
});

test("a phone does not load the timeline", async () => {
  const { prepare, weights, total } = weigh();
  const opened = await page(`${stage.demo.url}/?persona=contractor-ada`, { prepare, viewport: { width: 390, height: 844 } });
  await state(opened, "live");
  assert.equal(weights.has("/vendor/daypilot-javascript.min.js"), false);
  assert.ok((await total()) < BYTES_MAX / 2, `${await total()} bytes`);
});

async function weightsOf(weights) {
  return Object.fromEntries(await Promise.all([...weights].map(async ([path, bytes]) => [path, await bytes])));
}
