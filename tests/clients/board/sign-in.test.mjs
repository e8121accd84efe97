/** Who uses the page. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { card, dispose, expect, page, stage, state } from "./page.mjs";
import { Client, Server, claims, secondsFromNow, sign } from "../support.mjs";

describe("signing in", () => {
  test("offers the personas, and another user can take over", async () => {
    const opened = await page(stage.demo.url);
    await opened.locator('[data-persona-id="dispatcher-west"]').click();
    await state(opened, "live");
    assert.match(await opened.getByTestId("account-scope").innerText(), /west/);
    await opened.reload();
    await state(opened, "live");
    await opened.getByTestId("sign-out").click();
    await opened.locator('[data-persona-id="contractor-ada"]').click();
    await state(opened, "live");
    assert.equal(await opened.getByTestId("account-scope").innerText(), "Contractor");
  });

  test("says that the page cannot be loaded whole, and loads the rest on demand", async () => {
    expect(/ERR_FAILED/);
    const opened = await page(stage.demo.url);
    const persona = opened.locator('[data-persona-id="contractor-ada"]');
    await persona.waitFor();
    const [part, cut] = ["**/board/contractor.js", (route) => route.abort()];
    await opened.route(part, cut);
    await persona.click();
    await opened.locator("#sign-in[data-state=failed]").waitFor();
    await opened.unroute(part, cut);
    await opened.locator("#sign-in-retry").click();
    await state(opened, "live");
    assert.equal(await opened.getByTestId("account-scope").innerText(), "Contractor");
  });

  test("takes a token outside of demo mode, and asks again when it ends", async () => {
    expect(/status of 401/, /WebSocket/);
    const server = await Server.serve();
    try {
      const { body: job } = await new Client(server.url, sign(claims.admin())).job({ region: "north" });
      const opened = await page(`${server.url}/?view=list`);
      await opened.getByTestId("token").fill("nonsense");
      await opened.getByTestId("token-submit").click();
      await opened.getByTestId("token-problem").filter({ hasText: "not a JSON Web Token" }).waitFor();

      await opened.getByTestId("token").fill(sign(claims.admin()));
      await opened.getByTestId("token-submit").click();
      await state(opened, "live");
      await card(opened, job).waitFor();
      await opened.getByTestId("sign-out").click();

      await opened.getByTestId("token").fill(sign({ ...claims.dispatcher("north"), exp: secondsFromNow(6) }));
      await opened.getByTestId("token-submit").click();
      await state(opened, "live");
      await opened.getByTestId("view-list").click();
      await card(opened, job).waitFor();
      await opened.getByTestId("session-notice").filter({ hasText: "ends in less than a minute" }).waitFor();
      await opened.getByTestId("session-notice").filter({ hasText: "has ended" }).waitFor();
      await state(opened, "signed-out");
      // What is there stays; nobody can change it.
      assert.equal(await card(opened, job).getByTestId("reschedule").isDisabled(), true);
      await opened.getByTestId("paused").filter({ hasText: "old, as of" }).waitFor();

      await opened.getByTestId("sign-in-again").click();
      await opened.getByTestId("token-again").fill(sign(claims.dispatcher("north")));
      await opened.getByTestId("token-again-submit").click();
      await state(opened, "live");
      assert.equal(await opened.getByTestId("session-notice").isHidden(), true);
      assert.equal(await card(opened, job).getByTestId("reschedule").isEnabled(), true);
    } finally {
      await dispose(server);
    }
  });

  test("a server that refuses the token leads back to it", async () => {
    expect(/status of 401/);
    const server = await Server.serve();
    try {
      const opened = await page(server.url);
      await opened.getByTestId("token").fill(sign(claims.admin(), { secret: "some other secret of 32 bytes and more" }));
      await opened.getByTestId("token-submit").click();
      await opened.getByTestId("sign-in-notice").filter({ hasText: "sign in again" }).waitFor();
    } finally {
      await dispose(server);
    }
  });
});
