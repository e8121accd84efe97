/** Pictures of the page, for its README and for whoever works on it. */

import { test } from "node:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { DESKTOP, PHONE, card, dispose, open, page, personasOf, stage, state } from "./page.mjs";
import { Client, Server, later } from "../support.mjs";

const SCREENSHOTS = process.env.SIGNALBOX_SCREENSHOTS;

test("screenshots", { skip: SCREENSHOTS ? false : "SIGNALBOX_SCREENSHOTS names no folder" }, async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  const showcase = await Server.demo();
  try {
    const personas = await personasOf(showcase);
    const client = new Client(showcase.url, personas.get("dispatcher-north").token);
    const { body } = await client.must("GET", `/api/jobs?contractorId=${stage.ada}&limit=10`);
    for (const [size, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      for (const colorScheme of ["light", "dark"]) {
        const shoot = async (opened, name) => opened.screenshot({ path: join(SCREENSHOTS, `${name}-${size}-${colorScheme}.png`) });
        const start = await page(showcase.url, { viewport, colorScheme });
        await start.getByTestId("persona").first().waitFor();
        await shoot(start, "sign-in");
        const pages = {};
        for (const persona of ["dispatcher-north", "contractor-ada"]) {
          pages[persona] = await page(`${showcase.url}/?persona=${persona}&view=list`, { viewport, colorScheme });
          await state(pages[persona], "live");
        }
        const job = (await client.must("GET", `/api/jobs/${body.items[1].id}`)).body;
        await client.reschedule(job, { ...later(job, 5), reason: "the customer asked for it" });
        for (const [persona, opened] of Object.entries(pages)) {
          await card(opened, job).getByTestId("change").waitFor();
          await shoot(opened, persona);
        }
        await open(pages["dispatcher-north"], job, "reschedule");
        await shoot(pages["dispatcher-north"], "reschedule");
      }
    }
  } finally {
    await dispose(showcase);
  }
});
