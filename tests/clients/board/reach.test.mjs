/** The page on a phone, and by the keyboard. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { PHONE, as, card, open, overflow, page, shows, stage, state, times } from "./page.mjs";
import { later } from "../support.mjs";

describe("a phone", () => {
  test("shows everything without scrolling sideways", async () => {
    const long = "Averylongwordthatnobreakcanbefoundin".repeat(4);
    const { body: job } = await stage.nora.job({ title: long, customer: long, address: long });
    for (const width of [320, PHONE.width]) {
      const opened = await page(stage.demo.url, { viewport: { ...PHONE, width } });
      await opened.getByTestId("persona").first().waitFor();
      assert.equal(await overflow(opened), 0, "signing in");
      await opened.goto(`${stage.demo.url}/?persona=dispatcher-north&view=list`);
      await state(opened, "live");
      await card(opened, job).waitFor();
      assert.equal(await overflow(opened), 0, "the jobs");
      const dialog = await open(opened, job, "reschedule");
      const box = await dialog.boundingBox();
      assert.ok(box && box.x >= 0 && box.x + box.width <= width, "the dialog fits");
      await dialog.getByTestId("dialog-close").click();
      await opened.getByTestId("show-feed").click();
      await opened.getByTestId("feed").waitFor();
      assert.equal(await overflow(opened), 0, "the events");
    }
  });
});

describe("the keyboard", () => {
  test("reaches and closes a dialog, and comes back to where it was", async () => {
    const { body: job } = await stage.nora.job();
    const dispatcher = await as("dispatcher-north");
    await card(dispatcher, job).getByTestId("cancel").focus();
    await dispatcher.keyboard.press("Enter");
    await dispatcher.getByTestId("cancel-dialog").waitFor();
    await dispatcher.keyboard.press("Escape");
    await dispatcher.getByTestId("cancel-dialog").waitFor({ state: "hidden" });
    const focused = () => dispatcher.evaluate(() => document.activeElement?.getAttribute("data-testid"));
    assert.equal(await focused(), "cancel");
    // Drawing the card again does not take the focus away.
    const { body: moved } = await stage.nora.reschedule(job, later(job, 30));
    await shows(dispatcher, job, "window", times(moved));
    assert.equal(await focused(), "cancel");
  });
});
