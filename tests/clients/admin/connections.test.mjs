/** The page of connections: what it shows, how it renews itself, and how it closes them. */

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";

import * as signalR from "@microsoft/signalr";

import { DESKTOP, PHONE, dispose, expect, overflow, page, stage } from "../board/page.mjs";
import { Client, Server, claims, secondsFromNow, sign } from "../support.mjs";
import { accessible, asAdmin, disconnect, isLive, join, row, rows, tokenOf } from "./page.mjs";

const { LongPolling, ServerSentEvents } = signalR.HttpTransportType;

afterEach(disconnect);

describe("the list", () => {
  test("shows who is connected, how, and to which groups", async () => {
    const nora = await join(stage.demo.url, await tokenOf("dispatcher-north"), { groups: ["dispatch/north"] });
    const ada = await join(stage.demo.url, await tokenOf("contractor-ada"), { transport: LongPolling });
    const opened = await page(`${stage.demo.url}/admin`);
    await opened.locator('[data-persona-id="admin"]').click();
    await isLive(opened);
    await rows(opened, 2);
    const part = (one, name) => row(opened, one.id).locator(`[data-part=${name}]`).innerText();
    assert.equal(await part(nora, "name"), "Nora Lindqvist");
    assert.equal(await part(nora, "user"), "dispatcher-north · dispatcher");
    assert.deepEqual([await part(nora, "transport"), await part(nora, "protocol")], ["WebSockets", "JSON"]);
    assert.equal(await part(nora, "groups"), "dispatch/north");
    assert.equal(await part(nora, "waiting"), "nothing");
    assert.match(await part(nora, "ends"), /^in (12 h|11 h 59 min)$/);
    assert.deepEqual([await part(ada, "transport"), await part(ada, "groups")], ["Long polling", "none"]);
    assert.match(await opened.getByTestId("count").innerText(), /^2 connections on node \S+$/);
    assert.match(await opened.getByTestId("age").innerText(), /^updated \d s ago$/);
  });

  test("renews itself, and leaves focus and selection where they are", async () => {
    const nora = await join(stage.demo.url, await tokenOf("dispatcher-north"));
    const opened = await asAdmin();
    await rows(opened, 1);
    await row(opened, nora.id).getByTestId("close").focus();
    await opened.evaluate(() => getSelection()?.selectAllChildren(/** @type {Node} */ (document.querySelector("[data-part=name]"))));
    const ada = await join(stage.demo.url, await tokenOf("contractor-ada"));
    await rows(opened, 2);
    await ada.connection.stop();
    await rows(opened, 1);
    assert.equal(await opened.evaluate(() => String(getSelection())), "Nora Lindqvist");
    assert.equal(await opened.evaluate(() => document.activeElement?.getAttribute("data-testid")), "close");
  });

  test("says that nobody is there, and that nothing matches", async () => {
    const opened = await asAdmin();
    await opened.getByTestId("empty").filter({ hasText: "Nobody is connected" }).waitFor();
    await join(stage.demo.url, await tokenOf("dispatcher-north"));
    await rows(opened, 1);
    await opened.getByTestId("filter-user").fill("nobody");
    await opened.getByTestId("empty").filter({ hasText: "No connection matches" }).waitFor();
  });

  test("is narrowed by user, group and transport, and widened again", async () => {
    const north = await tokenOf("dispatcher-north");
    await join(stage.demo.url, north, { groups: ["dispatch/north"] });
    await join(stage.demo.url, north, { transport: ServerSentEvents });
    await join(stage.demo.url, await tokenOf("dispatcher-west"), { groups: ["dispatch/west"] });
    const opened = await asAdmin();
    await rows(opened, 3);
    await opened.getByTestId("filter-user").fill("dispatcher-north");
    await rows(opened, 2);
    await opened.getByTestId("filter-transport").selectOption("ServerSentEvents");
    await rows(opened, 1);
    await opened.getByTestId("filter-clear").click();
    await rows(opened, 3);
    const west = opened.getByTestId("group").filter({ hasText: "dispatch/west" });
    await west.click();
    await rows(opened, 1);
    assert.equal(await opened.getByTestId("filter-group").inputValue(), "dispatch/west");
    assert.equal(await west.getAttribute("aria-pressed"), "true");
    await west.click();
    await rows(opened, 3);
  });
});

describe("closing", () => {
  test("ends one connection once it is confirmed", async () => {
    const token = await tokenOf("dispatcher-north");
    const [stays, goes] = [await join(stage.demo.url, token), await join(stage.demo.url, token)];
    const opened = await asAdmin();
    const close = row(opened, goes.id).getByTestId("close");
    await close.click();
    await opened.getByTestId("close-dialog").filter({ hasText: "Nora Lindqvist" }).waitFor();
    await opened.getByTestId("close-back").click();
    await opened.getByTestId("close-dialog").waitFor({ state: "hidden" });
    await rows(opened, 2);
    await close.click();
    await opened.getByTestId("close-submit").click();
    await goes.closed();
    await opened.getByTestId("done").filter({ hasText: "Closed 1 connection on this node." }).waitFor();
    await rows(opened, 1);
    assert.equal(await row(opened, stays.id).count(), 1);
    // The row is gone, so the focus is with the one that is left.
    assert.equal(await opened.evaluate(() => document.activeElement?.closest("tr")?.dataset.connectionId), stays.id);
  });

  test("ends all connections of a user by the keyboard alone", async () => {
    const [north, west] = [await tokenOf("dispatcher-north"), await tokenOf("dispatcher-west")];
    const gone = [await join(stage.demo.url, north), await join(stage.demo.url, north, { transport: LongPolling })];
    const stays = await join(stage.demo.url, west);
    const opened = await asAdmin();
    await rows(opened, 3);
    const all = row(opened, gone[0].id).getByTestId("close-all");
    for (let tabs = 0; !(await all.evaluate((button) => button === document.activeElement)); tabs += 1) {
      assert.ok(tabs < 40, "the button is reached");
      await opened.keyboard.press("Tab");
    }
    await opened.keyboard.press("Enter");
    await opened.getByTestId("close-dialog").waitFor();
    await opened.keyboard.press("Tab");
    await opened.keyboard.press("Enter");
    await Promise.all(gone.map((one) => one.closed()));
    await opened.getByTestId("done").filter({ hasText: "Closed 2 connections on this node." }).waitFor();
    await rows(opened, 1);
    assert.equal(await row(opened, stays.id).count(), 1);
  });

  test("says so when somebody was first", async () => {
    expect(/status of 404/);
    const nora = await join(stage.demo.url, await tokenOf("dispatcher-north"));
    const opened = await asAdmin();
    await row(opened, nora.id).getByTestId("close").click();
    await nora.connection.stop();
    await rows(opened, 0);
    await opened.getByTestId("close-submit").click();
    await opened.getByTestId("close-problem").filter({ hasText: "does not have that connection any more" }).waitFor();
  });
});

describe("who is not let in", () => {
  test("is told what is missing, and can sign in as somebody else", async () => {
    expect(/status of 40[34]/);
    const server = await Server.serve();
    try {
      const opened = await page(`${server.url}/admin`);
      await opened.getByTestId("token").fill(sign(claims.dispatcher("*")));
      await opened.getByTestId("token-submit").click();
      await opened.getByTestId("trouble").filter({ hasText: "for admins" }).waitFor();
      assert.equal(await opened.locator("[data-testid=freshness]").getAttribute("data-state"), "refused");
      await opened.getByTestId("sign-out").click();
      await opened.getByTestId("token").fill(sign({ ...claims.admin(), exp: secondsFromNow(5) }));
      await opened.getByTestId("token-submit").click();
      await isLive(opened);
      assert.equal(await opened.getByTestId("trouble").isVisible(), false);
      await opened.getByTestId("sign-in-notice").filter({ hasText: "has expired" }).waitFor();
    } finally {
      await dispose(server);
    }
  });
});

describe("a server that is away", () => {
  test("leaves what was shown, with its age, until it is back", async () => {
    expect(/ERR_CONNECTION_REFUSED/, /ERR_EMPTY_RESPONSE/, /status of 404/);
    const server = await Server.serve();
    try {
      const token = sign(claims.admin());
      await join(server.url, token);
      const opened = await page(`${server.url}/admin`);
      await opened.getByTestId("token").fill(token);
      await opened.getByTestId("token-submit").click();
      await rows(opened, 1);
      await server.kill();
      await opened.locator("[data-testid=freshness][data-state=offline]").waitFor();
      await opened.getByTestId("trouble").filter({ hasText: "does not answer" }).waitFor();
      assert.equal(await opened.getByTestId("row").count(), 1);
      await opened.getByTestId("age").filter({ hasText: /updated [4-9] s ago/ }).waitFor();
      const again = await Server.serve({ port: server.port, folder: server.folder });
      try {
        await isLive(opened);
        await opened.getByTestId("empty").waitFor();
      } finally {
        await again.kill();
      }
    } finally {
      await dispose(server);
    }
  });
});

describe("every screen", () => {
  test("is readable, reachable and fits, in light and dark, wide and narrow", async () => {
    // The icon that a browser looks for beside a picture.
    expect(/status of 404/);
    const long = "averylongnamethatnobreakcanbefoundin".repeat(3);
    const server = await Server.serve();
    try {
      const admin = sign(claims.admin());
      await join(server.url, sign({ ...claims.dispatcher("*"), sub: long.slice(0, 100), name: long.slice(0, 90) }), {
        groups: ["dispatch/north", `dispatch/${"a".repeat(63)}`],
      });
      await join(server.url, admin, { transport: LongPolling });
      for (const viewport of [DESKTOP, PHONE]) {
        for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
          const name = `${viewport.width} ${colorScheme}`;
          const opened = await page(`${server.url}/favicon.svg`, { viewport, colorScheme });
          await opened.evaluate((token) => sessionStorage.setItem("signalbox.token", token), admin);
          await opened.goto(`${server.url}/admin`);
          await rows(opened, 2);
          await accessible(opened, name);
          for (const width of [viewport.width, 900, 320]) {
            await opened.setViewportSize({ ...viewport, width });
            assert.equal(await overflow(opened), 0, `${width} wide`);
          }
          await opened.setViewportSize(viewport);
          await opened.getByTestId("close").first().click();
          await opened.getByTestId("close-dialog").waitFor();
          await accessible(opened, `${name}, the dialog`);
          await opened.context().close();
        }
      }
    } finally {
      await dispose(server);
    }
  });
});
