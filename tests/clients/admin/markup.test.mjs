/** HTML and script in every text that the pages show: they are texts, and nothing runs. */

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { bar, dispose, expect, page, state } from "../board/page.mjs";
import { Client, Server, claims, later, sign } from "../support.mjs";
import { disconnect, isLive, join, row, rows } from "./page.mjs";

/** Markup that runs in every way that fits into a text of a hundred bytes, and names its field. */
const hostile = {
  element: (/** @type {string} */ field) => `${field}<x-mark onmouseover=ran(1)>&lt;i&gt;</x-mark><img src=x onerror=ran('${field}')>`,
  script: (/** @type {string} */ field) => `${field}</script><script>ran('${field}')</script><svg/onload=ran('${field}')>`,
  attribute: (/** @type {string} */ field) => `${field}" autofocus onfocus="ran('${field}')" x='\${ran(1)}{{ran(1)}}javascript:ran(1)`,
};

/** @type {Server} */
let server;
before(async () => (server = await Server.serve()));
after(() => dispose(server));
afterEach(disconnect);

/** A page of this user on which whatever runs is noted. */
async function watched(path, token) {
  // The icon that a browser looks for beside a picture.
  expect(/status of 404/);
  const opened = await page(`${server.url}/favicon.svg`);
  await opened.evaluate((token) => sessionStorage.setItem("signalbox.token", token), token);
  await opened.addInitScript(() => {
    const noted = (globalThis.noted = /** @type {string[]} */ ([]));
    globalThis.ran = (/** @type {unknown} */ field) => noted.push(`ran in ${field}`);
    addEventListener("securitypolicyviolation", (event) => noted.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
  });
  opened.on("dialog", (dialog) => {
    void opened.evaluate((text) => globalThis.noted.push(text), `a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await opened.goto(server.url + path);
  return opened;
}

/** Waits until the page shows this very text. */
async function shows(opened, text) {
  await opened.waitForFunction((/** @type {string} */ text) => document.body.innerText.includes(text), text);
}

/** Nothing ran, nothing tried to, and nothing became an element. */
async function isHarmless(opened, what) {
  assert.deepEqual(await opened.evaluate(() => globalThis.noted), [], what);
  const made = await opened.evaluate(() => [...document.querySelectorAll("x-mark, img[src=x], svg[onload], [onfocus], [onmouseover], body script")].map((one) => one.outerHTML));
  assert.deepEqual(made, [], what);
}

for (const [kind, text] of Object.entries(hostile)) {
  describe(`${kind} in a text`, () => {
    const planner = { ...claims.admin(), sub: text("sub"), name: text("actor") };
    const draft = { title: text("title"), customer: text("customer"), address: text("address") };
    const dispatcher = { ...claims.dispatcher("north"), name: text("account") };

    test("is shown as it is on the list", async () => {
      const client = new Client(server.url, sign(planner));
      const contractor = await client.contractor("north", text("contractor"));
      const { body: job } = await client.job({ ...draft, contractorIds: [contractor] });
      const board = await watched("/?view=list", sign(dispatcher));
      await state(board, "live");
      for (const field of ["title", "customer", "address", "contractor", "account"]) await shows(board, text(field));
      const moved = await client.reschedule(job, { ...later(job, 30), reason: text("reason") });
      for (const field of ["reason", "actor"]) await shows(board, text(field));
      await isHarmless(board, "the board");
      const card = board.locator(`[data-job-id="${job.id}"]`);
      for (const action of ["reschedule", "cancel"]) {
        await card.getByTestId(action).click();
        await board.getByTestId(`${action}-dialog`).filter({ hasText: text("title") }).waitFor();
        await board.keyboard.press("Escape");
      }
      await client.cancel(moved.body, { reason: text("why") });
      await shows(board, text("why"));
      await isHarmless(board, "the dialogs");
    });

    test("is shown as it is on the timeline", async () => {
      const client = new Client(server.url, sign(planner));
      const contractor = await client.contractor("north", text("contractor"));
      const day = `2032-05-0${Object.keys(hostile).indexOf(kind) + 1}`;
      const window = { startUtc: `${day}T08:00:00.000Z`, endUtc: `${day}T10:00:00.000Z` };
      const { body: job } = await client.job({ ...draft, ...window, contractorIds: [contractor] });
      const { body: waiting } = await client.job({ ...draft, ...window });
      const board = await watched(`/?date=${day}&job=${job.id}`, sign(dispatcher));
      await state(board, "live");
      await board.locator(`[data-testid=row-head][data-row="${contractor}"]`).filter({ hasText: text("contractor") }).waitFor();
      await board.locator(`[data-waiting="${waiting.id}"]`).filter({ hasText: text("title") }).waitFor();
      const drawn = bar(board, job).first();
      assert.ok((await drawn.getAttribute("aria-label"))?.includes(text("title")));
      await client.reschedule(job, { ...later(job, 30), reason: text("reason") });
      await drawn.filter({ hasText: text("actor") }).waitFor();
      await drawn.hover();
      const panel = board.getByTestId("job-panel");
      for (const field of ["title", "customer", "address", "contractor", "reason"]) {
        await panel.filter({ hasText: text(field) }).waitFor();
      }
      await isHarmless(board, "the timeline and the panel of a job");
    });

    test("is shown as it is on the page of connections", async () => {
      const user = { ...claims.dispatcher("north"), sub: text("sub"), name: text("user") };
      const { id } = await join(server.url, sign(user), { groups: ["dispatch/north"] });
      const admin = await watched("/admin", sign({ ...claims.admin(), name: text("account") }));
      await isLive(admin);
      await rows(admin, 1);
      for (const field of ["sub", "user", "account"]) await shows(admin, text(field));
      await admin.getByTestId("filter-user").fill(text("sub"));
      await admin.getByTestId("filter-group").fill(text("group"));
      await rows(admin, 0);
      await admin.getByTestId("filter-clear").click();
      await rows(admin, 1);
      await row(admin, id).getByTestId("close-all").click();
      const dialog = admin.getByTestId("close-dialog");
      for (const field of ["sub", "user"]) await dialog.filter({ hasText: text(field) }).waitFor();
      await isHarmless(admin, "the page and its dialog");
      await admin.getByTestId("close-submit").click();
      await rows(admin, 0);
      await isHarmless(admin, "the page afterwards");
    });
  });
}
