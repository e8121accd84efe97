/** Pictures of the page, for its README and for whoever works on it. */

import { test } from "node:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { DESKTOP, PHONE, bar, dispose, page, personasOf, state } from "./page.mjs";
import { Client, Server, later } from "../support.mjs";

const SCREENSHOTS = process.env.SIGNALBOX_SCREENSHOTS;

test("screenshots", { skip: SCREENSHOTS ? false : "SIGNALBOX_SCREENSHOTS names no folder" }, async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  const showcase = await Server.demo();
  try {
    const personas = await personasOf(showcase);
    const client = new Client(showcase.url, personas.get("dispatcher-north").token);
    const { items } = (await client.must("GET", "/api/jobs?region=north&limit=200")).body;
    /** The first job of somebody on a day from now on; the sample begins today. */
    const jobOf = (name, place) => items.filter((job) => job.contractorIds.includes(personas.get(name).contractorId))[place];
    const [moved, gone] = [jobOf("contractor-ada", 4), jobOf("contractor-ben", 4)];
    const date = moved.startUtc.slice(0, 10);
    await client.reschedule(moved, { ...later(moved, 15), reason: "the customer asked for it" });
    await client.cancel(gone, { reason: "Nobody at the site" });
    for (const colorScheme of ["light", "dark"]) {
      const shoot = async (opened, name) => opened.screenshot({ path: join(SCREENSHOTS, `${name}-${colorScheme}.png`) });
      const board = async (query, viewport = DESKTOP, persona = "dispatcher-north") => {
        const opened = await page(`${showcase.url}/?persona=${persona}&${query}`, { viewport, colorScheme });
        await state(opened, "live");
        return opened;
      };
      for (const view of ["day", "3days", "week"]) {
        const opened = await board(`view=${view}&date=${date}`);
        await bar(opened, moved).waitFor();
        await shoot(opened, view);
      }
      const opened = await board(`date=${date}&job=${moved.id}`);
      await opened.getByTestId("history").waitFor();
      await bar(opened, moved).focus();
      for (const key of ["m", "ArrowDown", "ArrowRight"]) await opened.keyboard.press(key);
      await opened.getByTestId("move-words").waitFor();
      await shoot(opened, "moving");
      await opened.keyboard.press("Escape");
      for (const action of ["reschedule", "assign", "cancel"]) {
        await opened.getByTestId(`panel-${action}`).click();
        await shoot(opened, action);
        await opened.keyboard.press("Escape");
      }
      await shoot(await board("view=list"), "list");
      await shoot(await board("date=2040-01-01"), "empty");
      await shoot(await board("view=list", PHONE), "list-phone");
      await shoot(await board("", PHONE, "contractor-ada"), "contractor-phone");
      const start = await page(showcase.url, { viewport: DESKTOP, colorScheme });
      await start.getByTestId("persona").first().waitFor();
      await shoot(start, "sign-in");
    }
  } finally {
    await dispose(showcase);
  }
});
