/** The feed of events: by job, by contractor, and back to the beginning. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { as, dispose, expect, page, stage, state, withToken } from "./page.mjs";
import { Client, Server, claims, later, nextWindow, sign } from "../support.mjs";
import { until } from "../waiting.mjs";

const lines = (opened) => opened.getByTestId("feed-line");

async function titles(opened) {
  return lines(opened).getByTestId("feed-open").allInnerTexts();
}

describe("the feed", () => {
  test("shows the events of one job, and of all again", async () => {
    const { body: job } = await stage.nora.job();
    await stage.nora.job();
    await stage.nora.reschedule(job, { ...later(job, 30), reason: "traffic" });
    const opened = await as("dispatcher-north");
    await lines(opened).first().filter({ hasText: "traffic" }).waitFor();
    await lines(opened).first().getByTestId("feed-open").click();
    await until("the job's two events", async () => (await titles(opened)).join() === [job.title, job.title].join());
    const chip = opened.getByTestId("feed-job");
    assert.match(await chip.innerText(), new RegExp(job.title));
    assert.equal(await chip.evaluate((node) => node === document.activeElement), true);

    // What happens is filtered as well.
    await stage.nora.job();
    const { body: moved } = await stage.nora.reschedule(job, later(job, 60));
    await until("the third event", async () => (await lines(opened).count()) === 3);
    assert.equal(await lines(opened).first().getAttribute("data-type"), "JobRescheduled");
    assert.equal(moved.version, 3);
    await chip.click();
    await until("all events", async () => new Set(await titles(opened)).size > 1);
    assert.equal(await chip.isHidden(), true);
  });

  test("shows the events of one contractor, also of a job that is taken away", async () => {
    const { body: job } = await stage.nora.job({ contractorIds: [stage.ada] });
    const opened = await as("dispatcher-north");
    await opened.getByTestId("feed-contractor").selectOption(stage.ada);
    await lines(opened).first().filter({ hasText: job.title }).waitFor();
    const { body: other } = await stage.nora.job();
    await stage.nora.must("POST", `/api/jobs/${job.id}/assign`, { contractorIds: [] });
    await lines(opened).first().filter({ hasText: "nobody assigned" }).waitFor();
    assert.equal((await titles(opened)).includes(other.title), false);
  });

  test("says what is taken back", async () => {
    const { body: job } = await stage.nora.job();
    await stage.nora.reschedule(job, later(job, 30));
    const opened = await as("dispatcher-north");
    await lines(opened).first().filter({ hasText: job.title }).waitFor();
    assert.equal(await lines(opened).first().getByText("undo", { exact: true }).isVisible(), false);
    await stage.nora.reschedule(job, later(job, 0));
    await until("the mark", () => lines(opened).first().getByText("undo", { exact: true }).isVisible());
  });

  test("goes back to the beginning on demand, also by keyboard", async () => {
    const own = await Server.serve();
    try {
      const client = new Client(own.url, sign(claims.admin()));
      const { body: first } = await client.job();
      for (let more = 0; more < 150; more += 1) await client.reschedule(first, nextWindow());
      const opened = await withToken(own.url, sign(claims.dispatcher("north")));
      await state(opened, "live");
      await until("a page of events", async () => (await lines(opened).count()) >= 100);
      const older = opened.getByTestId("feed-older");
      while (await older.isVisible()) {
        const before = await lines(opened).count();
        await older.focus();
        await opened.keyboard.press("Enter");
        await until("more events", async () => (await lines(opened).count()) > before || !(await older.isVisible()));
      }
      const all = await lines(opened).evaluateAll((nodes) => nodes.map((node) => Number(node.dataset.sequence)));
      assert.deepEqual(all, Array.from({ length: 151 }, (_, place) => 151 - place));
      assert.notEqual(await opened.evaluate(() => document.activeElement?.tagName), "BODY", "the focus is not lost");
    } finally {
      await dispose(own);
    }
  });

  test("is not in the way when the log cannot be read", async () => {
    expect(/status of 503/);
    const opened = await page(`${stage.demo.url}/?view=list`);
    await opened.route("**/api/events?*", (route) => route.fulfill({ status: 503, json: { code: "store_unavailable" } }));
    await opened.locator('[data-persona-id="dispatcher-north"]').click();
    await state(opened, "live");
    await opened.getByTestId("feed-problem").filter({ hasText: "cannot be loaded" }).waitFor();
    const { body: job } = await stage.nora.job();
    await lines(opened).first().filter({ hasText: job.title }).waitFor();
    await opened.unroute("**/api/events?*");
    await opened.getByTestId("feed-older").click();
    await until("what was before", async () => (await lines(opened).count()) > 1);
  });
});
