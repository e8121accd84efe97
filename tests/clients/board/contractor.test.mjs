/** The contractor's page, on a phone. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Network } from "./network.mjs";
import { PHONE, card, dispose, expect, overflow, page, personasOf, shows, stage, state, times, withToken } from "./page.mjs";
import { Client, Server, claims, later, sign, utc } from "../support.mjs";
import { until } from "../waiting.mjs";

const phone = { viewport: PHONE };

/** A server with one contractor, and who plans for them. */
async function withContractor(use) {
  const server = await Server.serve();
  try {
    const client = new Client(server.url, sign(claims.admin()));
    const contractor = await client.contractor("north", "Carl Contractor");
    const job = async (draft) => (await client.job({ contractorIds: [contractor], ...draft })).body;
    await use({ server, client, contractor, job, token: sign(claims.contractor(contractor)) });
  } finally {
    await dispose(server);
  }
}

/** A window of hours from tomorrow noon on: one that crosses midnight reads otherwise. */
function inHours(hours, length = 1) {
  const start = new Date().setUTCHours(34 + hours, 0, 0, 0);
  return { startUtc: utc(start), endUtc: utc(start + length * 3600000) };
}

describe("a contractor", () => {
  test("sees the next job first, and each change as before and after", async () => {
    await withContractor(async ({ server, client, contractor, job, token }) => {
      const second = await job({ ...inHours(5), title: "Second" });
      const first = await job({ ...inHours(1), title: "First" });
      const opened = await withToken(server.url, token, "");
      await opened.setViewportSize(PHONE);
      await state(opened, "live");
      const next = opened.locator("[data-day=next]");
      await next.locator(`[data-job-id="${first.id}"]`).waitFor();

      const { body: moved } = await client.reschedule(first, { ...later(first, 15), reason: "traffic" });
      await shows(opened, first, "window", times(moved));
      const change = card(opened, first).getByTestId("change");
      assert.match(await change.locator("s").innerText(), new RegExp(times(first)));
      await change.filter({ hasText: times(moved) }).filter({ hasText: "traffic" }).filter({ hasText: "Adele Admin" }).waitFor();

      await client.cancel(moved, { reason: "customer ill" });
      await shows(opened, first, "status", "Cancelled");
      await card(opened, first).locator("[data-part=reason]").filter({ hasText: "customer ill" }).waitFor();
      // What is cancelled is not the next.
      await next.locator(`[data-job-id="${second.id}"]`).waitFor();

      const other = await client.contractor("north", "Olga Other");
      await client.must("POST", `/api/jobs/${second.id}/assign`, { contractorIds: [other] });
      await card(opened, second).waitFor({ state: "detached" });
      const taken = opened.locator(`[data-taken="${second.id}"]`);
      await taken.filter({ hasText: "gave it to somebody else" }).waitFor();
      assert.equal((await opened.locator("body").innerText()).includes("Olga"), false, "who the others are is not told");

      // The same after a reload: it is in the log.
      await opened.reload();
      await taken.waitFor();
      await card(opened, first).getByTestId("change").filter({ hasText: "traffic" }).waitFor();
      await client.must("POST", `/api/jobs/${second.id}/assign`, { contractorIds: [contractor] });
      await taken.waitFor({ state: "detached" });
    });
  });

  test("can read what was loaded while the network is away, and how old it is", async () => {
    expect(/ERR_/, /WebSocket/);
    await withContractor(async ({ server, client, job, token }) => {
      const network = await Network.before(server);
      try {
        const visit = await job(inHours(1));
        network.delayMs = 150;
        const opened = await withToken(network.url, token, "");
        await state(opened, "live");
        await card(opened, visit).waitFor();
        network.leave();
        await state(opened, "offline");
        await opened.getByTestId("contractor-age").filter({ hasText: "less than a minute old, as of" }).waitFor();
        assert.equal(await card(opened, visit).isVisible(), true);
        const { body: moved } = await client.reschedule(visit, later(visit, 30));
        network.comeBack();
        await shows(opened, visit, "window", times(moved));
        await state(opened, "live");
        assert.equal(await opened.getByTestId("contractor-age").isHidden(), true);
        const kept = await opened.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
        assert.equal(kept.includes(visit.id) || kept.includes(visit.customer), false, "nothing of the jobs is kept");
      } finally {
        network.close();
      }
    });
  });

  test("reads times in the site's zone, with what the device differs by, on both days when clocks change", async () => {
    await withContractor(async ({ server, job, token }) => {
      const year = new Date().getUTCFullYear() + 1;
      const lastSunday = (month) => {
        const day = new Date(Date.UTC(year, month + 1, 0));
        return Date.UTC(year, month, day.getUTCDate() - day.getUTCDay());
      };
      const at = (moment, length) => ({ startUtc: utc(moment), endUtc: utc(moment + length * 3600000) });
      // Berlin skips from 02:00 to 03:00 at 01:00 UTC, and goes back from 03:00 to 02:00 then.
      const spring = await job(at(lastSunday(2) + 0.5 * 3600000, 1));
      const autumn = await job(at(lastSunday(9) + 0.5 * 3600000, 1));
      const opened = await page(server.url, { ...phone, timezoneId: "America/New_York" });
      await opened.getByTestId("token").fill(token);
      await opened.getByTestId("token-submit").click();
      await shows(opened, spring, "window", "01:30–03:30");
      await shows(opened, spring, "zone", "Europe/Berlin · 1 h · this device: 20:30 (5 h behind)");
      await shows(opened, autumn, "window", "02:30–02:30");
      await shows(opened, autumn, "zone", "Europe/Berlin · 1 h · this device: 20:30 (6 h behind)");
    });
  });

  test("finds large things to touch, and nothing wider than a small phone", async () => {
    await withContractor(async ({ server, client, job, token }) => {
      const long = "Averylongwordthatnobreakcanbefoundin".repeat(4);
      const visit = await job({ ...inHours(1), title: long, customer: long, address: long });
      await client.reschedule(visit, { ...later(visit, 15), reason: long });
      const opened = await page(server.url, { viewport: { ...PHONE, width: 320 } });
      await opened.getByTestId("token").fill(token);
      await opened.getByTestId("token-submit").click();
      await card(opened, visit).getByTestId("change").waitFor();
      assert.equal(await overflow(opened), 0);
      for (const name of ["map", "copy"]) {
        const box = await card(opened, visit).getByTestId(name).boundingBox();
        assert.ok(box && box.height >= 44, `${name} is ${box?.height} high`);
      }
      const map = await card(opened, visit).getByTestId("map").getAttribute("href");
      assert.equal(new URL(map).searchParams.get("query"), long);
      await opened.context().grantPermissions(["clipboard-read", "clipboard-write"]);
      await card(opened, visit).getByTestId("copy").click();
      await card(opened, visit).getByTestId("copy").filter({ hasText: "Copied" }).waitFor();
      assert.equal(await opened.evaluate(() => navigator.clipboard.readText()), long);
    });
  });

  test("who has no job is told so", async () => {
    await withContractor(async ({ server, token }) => {
      const opened = await withToken(server.url, token, "");
      await opened.getByTestId("contractor-empty").filter({ hasText: "No jobs" }).waitFor();
    });
  });
});

test("a contractor of the demo is shown nobody else's jobs", async () => {
  const personas = await personasOf(stage.demo);
  const { body: mine } = await stage.nora.job({ contractorIds: [stage.ada] });
  const { body: others } = await stage.nora.job();
  const opened = await page(`${stage.demo.url}/?persona=contractor-ada`, phone);
  await card(opened, mine).waitFor();
  assert.equal(await card(opened, others).count(), 0);
  const own = new Client(stage.demo.url, personas.get("contractor-ada").token);
  const { body } = await own.must("GET", "/api/jobs?limit=500");
  const coming = new Set(body.items.map((job) => job.id));
  await until("every card is one of its jobs", async () => {
    const shown = await opened.locator("[data-job-id]").evaluateAll((cards) => cards.map((one) => one.dataset.jobId));
    return shown.length > 0 && shown.every((id) => coming.has(id));
  });
});
