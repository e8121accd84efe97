/** Finding jobs, and reading their times. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { as, card, open, page, shows, stage } from "./page.mjs";

describe("finding jobs", () => {
  test("the filter narrows the list, and an empty result says so", async () => {
    const { body: job } = await stage.nora.job();
    const dispatcher = await as("dispatcher-north");
    await dispatcher.getByTestId("filter").fill(job.title.toUpperCase());
    await dispatcher.getByTestId("jobs-count").filter({ hasText: /^1 of/ }).waitFor();
    assert.equal(await card(dispatcher, job).count(), 1);
    await dispatcher.getByTestId("filter").fill("no such words");
    await dispatcher.locator("[data-testid=jobs][data-state=empty]").waitFor();
    await dispatcher.getByRole("button", { name: "Clear the filters" }).click();
    await card(dispatcher, job).waitFor();
  });

  test("days that are over are shown on request", async () => {
    const past = { startUtc: "2020-03-01T09:00:00.000Z", endUtc: "2020-03-01T10:00:00.000Z" };
    const { body: job } = await stage.nora.job(past);
    const dispatcher = await as("dispatcher-north");
    assert.equal(await card(dispatcher, job).count(), 0);
    await dispatcher.getByTestId("period").selectOption("all");
    await shows(dispatcher, job, "window", "10:00–11:00");
  });
});

describe("time", () => {
  test("is the site's, also where clocks change", async () => {
    const opened = await page(stage.demo.url);
    const moments = await opened.evaluate(async () => {
      const { fromLocal, toLocal } = await import("/time.js");
      const asUtc = (/** @type {string} */ local, /** @type {string} */ zone) =>
        fromLocal(local, zone)?.map((moment) => new Date(moment).toISOString());
      return {
        winter: asUtc("2026-01-15T09:00", "Europe/Berlin"),
        summer: asUtc("2026-07-15T09:00", "Europe/Berlin"),
        beforeTheGap: asUtc("2026-03-29T01:59", "Europe/Berlin"),
        inTheGap: asUtc("2026-03-29T02:30", "Europe/Berlin"),
        afterTheGap: asUtc("2026-03-29T03:00", "Europe/Berlin"),
        twice: asUtc("2026-10-25T02:30", "Europe/Berlin"),
        newYork: asUtc("2026-11-01T12:00", "America/New_York"),
        halfHours: asUtc("2026-06-01T00:15", "Asia/Kolkata"),
        acrossTheDateLine: asUtc("2026-06-01T00:15", "Pacific/Kiritimati"),
        nonsense: fromLocal("", "Europe/Berlin"),
        back: toLocal(Date.parse("2026-10-25T01:30:00Z"), "Europe/Berlin"),
      };
    });
    assert.deepEqual(moments, {
      winter: ["2026-01-15T08:00:00.000Z"],
      summer: ["2026-07-15T07:00:00.000Z"],
      beforeTheGap: ["2026-03-29T00:59:00.000Z"],
      inTheGap: [],
      afterTheGap: ["2026-03-29T01:00:00.000Z"],
      twice: ["2026-10-25T00:30:00.000Z", "2026-10-25T01:30:00.000Z"],
      newYork: ["2026-11-01T17:00:00.000Z"],
      halfHours: ["2026-05-31T18:45:00.000Z"],
      acrossTheDateLine: ["2026-05-31T10:15:00.000Z"],
      nonsense: null,
      back: "2026-10-25T02:30",
    });
  });

  test("that is typed in is taken in the site's zone, whichever the device's is", async () => {
    const { body: job } = await stage.nora.job({ timezone: "America/New_York" });
    const dispatcher = await as("dispatcher-north", { timezoneId: "Asia/Tokyo" });
    const dialog = await open(dispatcher, job, "reschedule");
    await dialog.getByTestId("start").fill("2099-07-01T09:00");
    await dialog.getByTestId("end").fill("2099-07-01T08:00");
    assert.equal(await dialog.getByTestId("dialog-submit").isDisabled(), true);
    await dialog.getByTestId("end").fill("2099-07-01T10:30");
    await dialog.getByTestId("dialog-submit").click();
    await shows(dispatcher, job, "window", "09:00–10:30");
    await shows(dispatcher, job, "zone", "America/New_York");
    const { body: moved } = await stage.nora.must("GET", `/api/jobs/${job.id}`);
    assert.deepEqual([moved.startUtc, moved.endUtc], ["2099-07-01T13:00:00.000Z", "2099-07-01T14:30:00.000Z"]);
  });
});
