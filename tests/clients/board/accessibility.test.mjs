/** axe-core on every state of the board, light and dark: no violation. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { describe, test } from "node:test";

import { PHONE, as, bar, card, dispose, expect, page, stage, state, timeline, withToken } from "./page.mjs";
import { Client, Server, claims, later, nextWindow, secondsFromNow, sign } from "../support.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds wrong with the page as it is, in both colour schemes. */
async function check(opened, what) {
  for (const colorScheme of ["light", "dark"]) {
    await opened.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const found = await opened.evaluate(async (source) => {
      // The page's policy lets in nothing from elsewhere, but its own tools may look at it.
      if (!globalThis.axe) (0, globalThis.Function)(source)();
      const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target.join(" ")} ${node.failureSummary}`).join(" | ")}`);
    }, AXE);
    assert.deepEqual(found, [], `${what}, ${colorScheme}`);
  }
}

const DAY = "2034-03-01";
const at = (minutes) => later({ startUtc: `${DAY}T09:00:00.000Z`, endUtc: `${DAY}T10:00:00.000Z` }, minutes);

describe("no violation of accessibility", () => {
  test("on the timeline, with jobs in every state, a job open and a move under way", async () => {
    const { body: job } = await stage.nora.job({ ...at(0), contractorIds: [stage.ada] });
    const { body: next } = await stage.nora.job({ ...at(120), contractorIds: [stage.ada] });
    const { body: over } = await stage.nora.job({ ...at(240), contractorIds: [stage.ada] });
    await stage.nora.job({ ...at(0), contractorIds: [] });
    await stage.nora.cancel(over, { reason: "Weather" });
    const opened = await timeline(`date=${DAY}`);
    await bar(opened, over).waitFor();
    await check(opened, "the timeline");
    await stage.nora.reschedule(next, later(next, 15));
    await bar(opened, next).and(opened.locator("[data-recent]")).waitFor();
    await bar(opened, job).click();
    await opened.getByTestId("history").waitFor();
    await check(opened, "a job open, a recent change");
    await bar(opened, job).focus();
    await opened.keyboard.press("m");
    for (let step = 0; step < 6; step += 1) await opened.keyboard.press("ArrowRight");
    await opened.getByTestId("move-words").filter({ hasText: "Overlaps" }).waitFor();
    await check(opened, "a move with a conflict");
    await opened.keyboard.press("Escape");
    await opened.getByTestId("view-week").click();
    await bar(opened, job).waitFor();
    await check(opened, "a week");
    await opened.getByTestId("filter").fill("nothing has these words");
    await opened.getByTestId("schedule").filter({ hasText: "No job of these days matches" }).waitFor();
    await check(opened, "nothing matches");
  });

  test("in each dialog, and with a message in the corner", async () => {
    expect(/status of 412/);
    const { body: job } = await stage.nora.job({ ...at(24 * 60), contractorIds: [stage.ada] });
    const opened = await timeline(`date=${job.startUtc.slice(0, 10)}&job=${job.id}`);
    for (const action of ["reschedule", "assign", "cancel"]) {
      await opened.getByTestId(`panel-${action}`).click();
      await opened.getByTestId(`${action}-dialog`).waitFor();
      await check(opened, action);
      await opened.keyboard.press("Escape");
    }
    await bar(opened, job).focus();
    for (const key of ["m", "ArrowRight", "Enter"]) await opened.keyboard.press(key);
    await opened.getByTestId("toast").waitFor();
    await check(opened, "a message");
    await opened.getByTestId("toast-close").click();
    await bar(opened, job).focus();
    for (const key of ["m", "ArrowRight"]) await opened.keyboard.press(key);
    const { body: now } = await stage.nora.must("GET", `/api/jobs/${job.id}`);
    await stage.nora.reschedule(now, later(now, 60));
    await opened.getByTestId("move-words").filter({ hasText: "meanwhile" }).waitFor();
    await opened.keyboard.press("Enter");
    await opened.getByTestId("overtaken-dialog").waitFor();
    await check(opened, "somebody was first");
  });

  test("in the list, on a phone, while signing in, and while it loads or cannot", async () => {
    expect(/status of 503/, /ERR_/);
    const { body: job } = await stage.nora.job(nextWindow());
    const list = await as("dispatcher-north");
    await list.locator(`[data-job-id="${job.id}"]`).waitFor();
    await check(list, "the list");
    const phone = await as("dispatcher-north", { viewport: PHONE });
    await phone.locator(`[data-job-id="${job.id}"]`).waitFor();
    await check(phone, "the list on a phone");
    const contractor = await as("contractor-ada", { viewport: PHONE });
    await check(contractor, "a contractor's phone");
    const signIn = await page(stage.demo.url);
    await signIn.getByTestId("persona").first().waitFor();
    await check(signIn, "signing in");
    const board = `${stage.demo.url}/?persona=dispatcher-north`;
    const loading = await page(board, { prepare: (context) => context.route("**/api/jobs?*", () => {}) });
    await state(loading, "catching-up");
    await loading.locator("[data-testid=schedule][data-state=loading]").waitFor();
    await check(loading, "loading");
    const refusal = { status: 503, contentType: "application/problem+json", body: JSON.stringify({ code: "store_unavailable" }) };
    const failing = await page(board, { prepare: (context) => context.route("**/api/jobs?*", (route) => route.fulfill(refusal)) });
    await failing.locator("[data-testid=schedule][data-state=failed]").waitFor();
    await check(failing, "no jobs to be had");
  });

  test("with somebody else there, offline, and when a sign-in ends", async () => {
    expect(/ERR_/, /WebSocket/, /status of 401/);
    const server = await Server.serve();
    try {
      await new Client(server.url, sign(claims.admin())).job({ title: "Mend the lift" });
      const token = (sub, seconds) => sign({ ...claims.dispatcher("north"), sub, name: sub, exp: secondsFromNow(seconds) });
      const pasting = await page(server.url);
      await pasting.getByTestId("token").fill("nonsense");
      await pasting.getByTestId("token-submit").click();
      await pasting.getByTestId("token-problem").filter({ hasText: "not a JSON Web Token" }).waitFor();
      await check(pasting, "a token that is none");
      const [ann, ben] = [await withToken(server.url, token("Ann", 3600)), await withToken(server.url, token("Ben", 8))];
      await ann.getByTestId("present").filter({ hasText: "Ben" }).waitFor();
      await check(ann, "somebody else is there");
      await ben.getByTestId("session-notice").filter({ hasText: "has ended" }).waitFor();
      await check(ben, "a sign-in has ended");
      await server.kill();
      await state(ann, "offline");
      await ann.getByTestId("paused").waitFor();
      await check(ann, "offline");
    } finally {
      await dispose(server);
    }
  });

  test("on a contractor's phone, with a job moved and one called off", async () => {
    const [{ body: moved }, { body: off }] = [await stage.nora.job({ ...nextWindow(), contractorIds: [stage.ada] }), await stage.nora.job({ ...nextWindow(), contractorIds: [stage.ada] })];
    const phone = await as("contractor-ada", { viewport: PHONE });
    await stage.nora.reschedule(moved, { ...later(moved, 15), reason: "The site opens late" });
    await stage.nora.cancel(off, { reason: "Weather" });
    await card(phone, off).getByText("Weather").first().waitFor();
    await card(phone, moved).getByText("The site opens late").first().waitFor();
    await check(phone, "a contractor's changed jobs");
  });
});

test("nothing moves for those who want less motion", async () => {
  const { body: job } = await stage.nora.job({ ...at(48 * 60), contractorIds: [stage.ada] });
  for (const [reducedMotion, isStill] of [["reduce", true], ["no-preference", false]]) {
    const opened = await timeline(`date=${job.startUtc.slice(0, 10)}&job=${job.id}`, "dispatcher-north", { reducedMotion });
    await bar(opened, job).waitFor();
    const moving = await opened.evaluate(() => [...document.querySelectorAll("*")].flatMap((one) => [null, "::before", "::after"].map((part) => getComputedStyle(one, part)))
      .filter((style) => style.animationName !== "none" || style.transitionDuration.split(", ").some((time) => parseFloat(time) > 0)).length);
    assert.equal(moving === 0, isStill, `${reducedMotion}: ${moving}`);
  }
});
