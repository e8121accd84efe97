/** The page while its server is away. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { card, dispose, expect, open, page, personasOf, shows, state, times } from "./page.mjs";
import { Client, Server, later } from "../support.mjs";

describe("a server that goes away", () => {
  test("is noticed, changes are paused, and what was missed is caught up", async () => {
    expect(/ERR_/, /WebSocket/);
    const own = await Server.demo();
    let successor;
    try {
      const personas = await personasOf(own);
      const { token } = personas.get("dispatcher-north");
      const { body: job } = await new Client(own.url, token).job();
      const opened = await page(`${own.url}/?persona=dispatcher-north&view=list`);
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

  test("leaves the timeline to be looked at: neither pointer, keys nor dialog change a job", async () => {
    expect(/ERR_/, /WebSocket/);
    const own = await Server.demo();
    try {
      const personas = await personasOf(own);
      const ada = personas.get("contractor-ada").contractorId;
      const client = new Client(own.url, personas.get("dispatcher-north").token);
      const { body: job } = await client.job({ startUtc: "2033-03-01T09:00:00.000Z", endUtc: "2033-03-01T10:00:00.000Z", contractorIds: [ada] });
      const opened = await page(`${own.url}/?persona=dispatcher-north&view=day&date=2033-03-01`);
      const bar = opened.locator(`[data-testid=bar][data-job="${job.id}"]`);
      await state(opened, "live");
      await bar.waitFor();
      await own.kill();
      await state(opened, "offline");

      const refused = opened.getByTestId("toast").filter({ hasText: "Changes are paused: there has been no connection since" });
      const before = await bar.boundingBox();
      await opened.mouse.move(before.x + before.width / 2, before.y + before.height / 2);
      await opened.mouse.down();
      await opened.mouse.move(before.x + before.width / 2 + 120, before.y + before.height / 2, { steps: 4 });
      await refused.waitFor();
      await opened.mouse.up();
      await refused.getByTestId("toast-close").click();
      await refused.waitFor({ state: "detached" });

      await bar.focus();
      await opened.keyboard.press("m");
      await refused.waitFor();
      assert.equal(await opened.getByTestId("move-words").isHidden(), true);
      assert.deepEqual(await bar.boundingBox(), before);

      await bar.focus();
      await opened.keyboard.press("Enter");
      const panel = opened.getByTestId("job-panel");
      await panel.filter({ hasText: job.title }).waitFor();
      assert.equal(await panel.getByTestId("panel-reschedule").isDisabled(), true);
      await panel.filter({ hasText: "Changes are paused" }).waitFor();
    } finally {
      await dispose(own);
    }
  });
});
