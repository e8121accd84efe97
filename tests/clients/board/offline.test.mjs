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
});
