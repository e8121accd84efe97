/** The described API as a page: what it shows, and that what is tried is what is done. */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { accessible } from "../admin/page.mjs";
import { DESKTOP, PHONE, expect, overflow, page, stage } from "../board/page.mjs";

const SCREENSHOTS = process.env.SIGNALBOX_SCREENSHOTS;

async function docs(options) {
  const opened = await page(`${stage.demo.url}/docs`, options);
  await opened.locator("[data-testid=docs][data-state=ready]").waitFor();
  return opened;
}

/** Tries an operation; answers the status line and the body. */
async function tried(opened, operation, parameters = {}) {
  const section = opened.getByTestId(operation);
  if (!(await section.evaluate((one) => one.open))) await section.locator("summary").click();
  for (const [name, value] of Object.entries(parameters)) await section.locator(`[data-parameter="${name}"]`).fill(value);
  const answer = opened.waitForResponse((response) => response.url().includes("/api/"));
  await section.getByTestId("send").click();
  await answer;
  await section.getByTestId("status").waitFor();
  return { status: await section.getByTestId("status").innerText(), body: await section.getByTestId("Answer", { exact: true }).innerText() };
}

test("every operation is shown, and a job is made, moved and found by it", async () => {
  const opened = await docs();
  const { paths } = await (await fetch(`${stage.demo.url}/openapi.json`)).json();
  const described = Object.values(paths).flatMap((item) => Object.values(item).map(({ operationId }) => operationId));
  const shown = await opened.locator(".operation").evaluateAll((all) => all.map(({ id }) => id));
  assert.deepEqual(shown.sort(), described.sort());

  await opened.getByTestId("persona").selectOption("dispatcher-north");
  await opened.waitForFunction(() => /** @type {any} */ (document.getElementById("token")).value !== "");
  const made = await tried(opened, "createJob");
  assert.match(made.status, /^201 Created/);
  const job = JSON.parse(made.body);
  const moved = await tried(opened, "rescheduleJob", { id: job.id, "If-Match": '"1"' });
  assert.match(moved.status, /^200 OK/);
  assert.equal(JSON.parse(moved.body).version, 2);
  assert.equal(JSON.parse((await tried(opened, "getJob", { id: job.id })).body).startUtc, "2026-03-02T12:00:00.000Z");
});

test("without a token it shows the refusal", async () => {
  expect(/status of 401/);
  const opened = await docs();
  const refused = await tried(opened, "listJobs");
  assert.match(refused.status, /^401/);
  assert.equal(JSON.parse(refused.body).code, "unauthenticated");
});

test("an address names an operation or a type", async () => {
  const opened = await docs();
  await opened.getByTestId("listJobs").locator("summary").click();
  await opened.getByTestId("listJobs").getByRole("link", { name: "JobPage" }).click();
  assert.equal(await opened.locator("#type-JobPage").evaluate((one) => /** @type {any} */ (one).open), true);
});

for (const [size, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    test(`it is accessible and fits, ${size}, ${colorScheme}`, async () => {
      expect(/status of 401/);
      const opened = await docs({ viewport, colorScheme });
      await tried(opened, "listJobs");
      await opened.getByTestId("createJob").locator("summary").click();
      await opened.locator("#type-Job > summary").click();
      await accessible(opened, `docs, ${size}, ${colorScheme}`);
      assert.equal(await overflow(opened), 0);
      if (!SCREENSHOTS) return;
      await mkdir(SCREENSHOTS, { recursive: true });
      await opened.screenshot({ path: join(SCREENSHOTS, `docs-${size}-${colorScheme}.png`), fullPage: true });
    });
  }
}
