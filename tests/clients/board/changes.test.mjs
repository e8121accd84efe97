/** What people do on the page, as others see it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { as, bar, card, expect, open, personasOf, shows, stage, state, timeline, times } from "./page.mjs";
import { Client, later, nextWindow } from "../support.mjs";

describe("two people", () => {
  test("see a reschedule and a cancellation at once, without reloading", async () => {
    const { body: job } = await stage.nora.job({ contractorIds: [stage.ada] });
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
      await card(opened, job).filter({ hasText: "customer ill" }).waitFor();
      assert.equal(await card(opened, job).getByTestId("cancel").count(), 0);
    }
    const newest = dispatcher.getByTestId("feed-line").first();
    await newest.filter({ hasText: "Cancelled" }).filter({ hasText: job.title }).filter({ hasText: "customer ill" }).waitFor();
    assert.equal(await contractor.evaluate(() => window.isSamePage), true);
  });

  test("of different regions see nothing of each other", async () => {
    const west = await as("dispatcher-west");
    const { body: job } = await stage.nora.job();
    const personas = await personasOf(stage.demo);
    const wes = new Client(stage.demo.url, personas.get("dispatcher-west").token);
    const { body: mark } = await wes.job({ region: "west" });
    await card(west, mark).waitFor();
    assert.equal(await card(west, job).count(), 0);
    assert.equal(await west.getByTestId("feed-line").filter({ hasText: job.title }).count(), 0);
  });

  test("a contractor only looks, and sees jobs come and go", async () => {
    const contractor = await as("contractor-ada");
    assert.equal(await contractor.getByTestId("reschedule").count(), 0);
    const { body: job } = await stage.nora.job({ contractorIds: [stage.ada] });
    await card(contractor, job).waitFor();
    await stage.nora.must("POST", `/api/jobs/${job.id}/assign`, { contractorIds: [] });
    await card(contractor, job).waitFor({ state: "detached" });
    await contractor.locator(`[data-taken="${job.id}"]`).filter({ hasText: "No longer yours" }).waitFor();
  });

  test("the second one to change a job is told who was first", async () => {
    expect(/status of 412/);
    const { body: job } = await stage.nora.job();
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
    assert.equal((await stage.nora.must("GET", `/api/jobs/${job.id}`)).body.version, 2);

    await dialog.getByTestId("start-over").click();
    await dialog.getByTestId("shift-plus-60").click();
    await dialog.getByTestId("dialog-submit").click();
    await dialog.waitFor({ state: "hidden" });
    await shows(quick, job, "window", times(later(job, 90)));
  });

  test("a conflict names the job in the way", async () => {
    expect(/status of 409/);
    const window = nextWindow();
    const { body: job } = await stage.nora.job({ ...window, contractorIds: [stage.ada] });
    const { body: other } = await stage.nora.job({ ...later(window, 60), contractorIds: [stage.ada] });
    const dispatcher = await as("dispatcher-north");
    const dialog = await open(dispatcher, job, "reschedule");
    await dialog.getByTestId("shift-plus-30").click();
    await dialog.getByTestId("dialog-submit").click();
    await dialog.getByTestId("dialog-problem").filter({ hasText: other.title }).waitFor();
    await shows(dispatcher, job, "window", times(job));
  });
});

async function anAdmin() {
  const personas = [...(await personasOf(stage.demo)).values()];
  return new Client(stage.demo.url, personas.find(({ role }) => role === "admin").token);
}

test("what others change is told in one message, however much it is", async () => {
  const admin = await anAdmin();
  const { body: job } = await stage.nora.job({ contractorIds: [stage.ada] });
  const opened = await as("dispatcher-north", {}, `view=list&q=${encodeURIComponent(job.title)}`);
  await card(opened, job).waitFor();
  const toasts = opened.getByTestId("toast").filter({ hasText: job.title });

  let now = (await stage.nora.reschedule(job, later(job, 15))).body;
  await shows(opened, job, "window", times(now));
  assert.equal(await toasts.count(), 0, "of one's own changes nothing is told");
  const before = now;
  now = (await admin.reschedule(now, later(now, 15))).body;
  await toasts.filter({ hasText: "Rescheduled by" }).filter({ hasText: times(before) }).waitFor();
  for (let more = 0; more < 4; more += 1) now = (await admin.reschedule(now, later(now, 15))).body;
  await toasts.filter({ hasText: "4 changes by others" }).waitFor();
  assert.equal(await toasts.count(), 1);
  await toasts.getByTestId("toast-open-changed").click();
  await opened.getByTestId("job-panel").filter({ hasText: job.title }).waitFor();
});

describe("text", () => {
  test("stays text, whatever it says", async () => {
    const evil = `<img src=x onerror="window.evil=1"><script>window.evil=1</script>${Date.now()}`;
    const dispatcher = await as("dispatcher-north");
    const { body: job } = await stage.nora.job({ title: evil, customer: evil, address: evil, contractorIds: [stage.ada] });
    const contractor = await as("contractor-ada");
    await stage.nora.reschedule(job, { ...later(job, 30), reason: evil });
    await stage.nora.cancel(job, { reason: evil });
    for (const opened of [dispatcher, contractor]) {
      await shows(opened, job, "status", "Cancelled");
      assert.equal(await card(opened, job).locator("[data-part=title]").textContent(), evil);
      await card(opened, job).getByText(evil).first().waitFor();
      const markup = await opened.evaluate(() => document.querySelectorAll("main img, main script, [onerror]").length);
      assert.deepEqual([await opened.evaluate(() => window.evil), markup], [undefined, 0]);
    }
  });

  test("stays text on the timeline, in its panel, dialogs and messages", async () => {
    const evil = `<img src=x onerror="window.evil=1"><script>window.evil=1</script>${Date.now()}`;
    const window_ = { startUtc: "2032-03-01T09:00:00.000Z", endUtc: "2032-03-01T10:00:00.000Z" };
    const { body: job } = await stage.nora.job({ ...window_, title: evil, customer: evil, address: evil, contractorIds: [stage.ada] });
    const [admin, opened] = [await anAdmin(), await timeline(`date=2032-03-01&job=${job.id}`)];
    const shown = async (place) => {
      await place.filter({ hasText: evil }).first().waitFor();
      const markup = await opened.evaluate(() => document.querySelectorAll("main img, main script, dialog img, dialog script, [onerror]").length);
      assert.deepEqual([await opened.evaluate(() => window.evil), markup], [undefined, 0]);
    };
    await shown(bar(opened, job));
    for (const action of ["reschedule", "assign", "cancel"]) {
      await opened.getByTestId(`panel-${action}`).click();
      await shown(opened.getByTestId(`${action}-dialog`));
      await opened.keyboard.press("Escape");
    }
    const { body: moved } = await admin.reschedule(job, { ...later(job, 30), reason: evil });
    await shown(opened.getByTestId("toast"));
    await shown(opened.getByTestId("history"));
    await admin.cancel(moved, { reason: evil });
    await opened.getByTestId("history").filter({ hasText: "Cancelled" }).waitFor();
    await shown(opened.getByTestId("history"));
  });
});
