/** Pictures of the page of connections, for whoever works on it. */

import { mkdir } from "node:fs/promises";
import { join as path } from "node:path";
import { test } from "node:test";

import * as signalR from "@microsoft/signalr";

import { DESKTOP, PHONE, page, stage } from "../board/page.mjs";
import { asAdmin, join, row, rows, tokenOf } from "./page.mjs";

const SCREENSHOTS = process.env.SIGNALBOX_SCREENSHOTS;

test("screenshots", { skip: SCREENSHOTS ? false : "SIGNALBOX_SCREENSHOTS names no folder" }, async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  const { LongPolling, ServerSentEvents } = signalR.HttpTransportType;
  const north = await tokenOf("dispatcher-north");
  const first = await join(stage.demo.url, north, { groups: ["dispatch/north"] });
  await join(stage.demo.url, north, { transport: ServerSentEvents, groups: ["dispatch/north"] });
  await join(stage.demo.url, await tokenOf("dispatcher-west"), { groups: ["dispatch/west"] });
  await join(stage.demo.url, await tokenOf("contractor-ada"), { transport: LongPolling, groups: [`contractor/${stage.ada}`] });
  await join(stage.demo.url, await tokenOf("admin"), { groups: ["dispatch/north", "dispatch/west", "dispatch/coast"] });
  for (const [size, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    for (const colorScheme of ["light", "dark"]) {
      const shoot = (opened, name) => opened.screenshot({ path: path(SCREENSHOTS, `admin-${name}-${size}-${colorScheme}.png`) });
      const start = await page(`${stage.demo.url}/admin`, { viewport, colorScheme });
      await start.getByTestId("persona").first().waitFor();
      await shoot(start, "sign-in");
      const opened = await asAdmin({ viewport, colorScheme });
      await rows(opened, 5);
      await shoot(opened, "connections");
      await row(opened, first.id).getByTestId("close-all").click();
      await shoot(opened, "close");
      await opened.getByTestId("close-back").click();
      await opened.getByTestId("filter-user").fill("nobody");
      await opened.getByTestId("empty").waitFor();
      await shoot(opened, "empty");
    }
  }
});
