/** Who else is here, as dispatchers see it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { as, dispose, expect, open, page, state, withToken } from "./page.mjs";
import { Client, Server, claims, sign } from "../support.mjs";
import { until } from "../waiting.mjs";

/** The others that a page names, with what it says of them. */
function others(opened) {
  return opened.getByTestId("present").allInnerTexts();
}

async function untilOthers(opened, expected) {
  await until(`the page names ${JSON.stringify(expected)}`, async () => JSON.stringify(await others(opened)) === JSON.stringify(expected));
}

describe("others at the same region", () => {
  test("are named while they are there, with the job that they have open", async () => {
    const server = await Server.serve();
    try {
      const signedIn = async (name, ...regions) => {
        const opened = await withToken(server.url, sign({ ...claims.dispatcher(...regions), sub: name.toLowerCase(), name }));
        await state(opened, "live");
        return opened;
      };
      const { body: job } = await new Client(server.url, sign(claims.admin())).job({ title: "Mend the lift" });
      const ann = await signedIn("Ann", "north");
      await untilOthers(ann, []);
      const ben = await signedIn("Ben", "north");
      await untilOthers(ann, ["Ben"]);
      await untilOthers(ben, ["Ann"]);

      const dialog = await open(ben, job, "reschedule");
      await untilOthers(ann, ["Ben has “Mend the lift” open"]);
      await dialog.getByTestId("dialog-close").click();
      await untilOthers(ann, ["Ben"]);

      // A second tab of the same person is nobody else.
      const tab = await signedIn("Ben", "north");
      await untilOthers(tab, ["Ann"]);
      await tab.close();
      const south = await signedIn("Sue", "south");
      await untilOthers(south, []);
      assert.deepEqual(await others(ann), ["Ben"]);

      await ben.close();
      await untilOthers(ann, []);
    } finally {
      await dispose(server);
    }
  });

  test("are not known while there is no connection, and are again after it", async () => {
    expect(/ERR_/, /WebSocket/);
    const own = await Server.serve();
    let successor;
    try {
      const pages = [];
      for (const name of ["Ann", "Ben"]) {
        const opened = await withToken(own.url, sign({ ...claims.dispatcher("north"), sub: name, name }));
        pages.push(opened);
      }
      await untilOthers(pages[0], ["Ben"]);
      await own.kill();
      await untilOthers(pages[0], []);
      assert.equal(await pages[0].getByTestId("presence").isHidden(), true);
      successor = await Server.serve({ port: own.port, folder: own.folder });
      await untilOthers(pages[0], ["Ben"]);
      await untilOthers(pages[1], ["Ann"]);
    } finally {
      await dispose(own, successor);
    }
  });
});

test("a contractor neither sees who plans nor is seen", async () => {
  const nora = await as("dispatcher-north");
  const ada = await as("contractor-ada");
  const looked = [];
  ada.on("websocket", (socket) => socket.on("framesent", ({ payload }) => looked.push(String(payload))));
  await ada.reload();
  await state(ada, "live");
  await until("the contractor has subscribed", () => looked.some((text) => text.includes("Subscribe")));
  assert.equal(looked.some((text) => text.includes("Look")), false);
  assert.equal(await ada.getByTestId("presence").isHidden(), true);
  assert.deepEqual(await others(nora), []);
});
