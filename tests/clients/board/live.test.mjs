/** Staying live: over every loss, nothing is missed and nothing comes twice. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Network } from "./network.mjs";
import { card, dispose, expect, page, personasOf, shows, stage, state, times, withToken } from "./page.mjs";
import { Client, Server, claims, later, nextWindow, sign } from "../support.mjs";
import { until } from "../waiting.mjs";

/** What a server that is away makes the browser complain about. */
const AWAY = [/ERR_/, /WebSocket/, /status of 50[34]/];

/** The page's events, the oldest first. */
async function sequences(opened) {
  const lines = await opened.getByTestId("feed-line").evaluateAll((all) => all.map((line) => Number(line.dataset.sequence)));
  return lines.reverse();
}

/** The server's events of a region past a sequence. */
async function logged(client, after) {
  const { body } = await client.must("GET", `/api/events?after=${after}&limit=500&group=dispatch/north`);
  return body.items.map((event) => event.sequence);
}

/** The paths that a page asks for from here on. */
function requests(opened) {
  const asked = [];
  opened.on("request", (request) => asked.push(new URL(request.url()).pathname + new URL(request.url()).search));
  return asked;
}

describe("a page that loses its server", () => {
  test("misses nothing and shows nothing twice, however often it happens", async () => {
    expect(...AWAY);
    const first = await Server.demo();
    const servers = [first];
    try {
      const personas = await personasOf(first);
      const { token } = personas.get("dispatcher-north");
      const { body: job } = await new Client(first.url, token).job();
      const opened = await page(`${first.url}/?persona=dispatcher-north&view=list`);
      await state(opened, "live");
      await opened.getByTestId("feed-line").first().waitFor();
      const began = (await sequences(opened)).at(-1);
      const asked = requests(opened);
      let last = job;
      for (const minutes of [15, 30, 45]) {
        await servers.at(-1).kill();
        await opened.locator('[data-testid=connection]:not([data-state=live])').waitFor();
        // Elsewhere first, so that the page certainly misses the changes.
        const elsewhere = await Server.demo({ folder: first.folder });
        const client = new Client(elsewhere.url, token);
        for (let change = 0; change < 4; change += 1) await client.job();
        last = (await client.reschedule(job, later(job, minutes))).body;
        await elsewhere.stop();
        servers.push(await Server.demo({ port: first.port, folder: first.folder }));
        await state(opened, "live");
        await shows(opened, job, "window", times(last));
        // What happens from here on comes as well.
        await new Client(first.url, token).job();
      }
      const client = new Client(first.url, token);
      const all = await logged(client, began - 1);
      await until("every event has come", async () => (await sequences(opened)).at(-1) === all.at(-1));
      const shown = (await sequences(opened)).filter((sequence) => sequence >= began);
      assert.deepEqual(shown, all);
      assert.equal(all.length >= 18, true, "enough has happened");
      assert.deepEqual(asked.filter((path) => path.startsWith("/api/jobs?") && !path.endsWith("?limit=1")), [], "it went on, and did not load anew");
    } finally {
      await dispose(...servers);
    }
  });

  test("loads anew when the log does not go on where it left off", async () => {
    expect(...AWAY);
    const first = await Server.serve();
    let second;
    try {
      const token = sign(claims.dispatcher("north"));
      const { body: former } = await new Client(first.url, token).job();
      for (let more = 0; more < 3; more += 1) await new Client(first.url, token).job();
      const opened = await withToken(first.url, token);
      await state(opened, "live");
      await card(opened, former).waitFor();
      await first.kill();

      second = await Server.serve({ port: first.port });
      const client = new Client(second.url, token);
      const { body: job } = await client.job();
      await card(opened, job).waitFor();
      await card(opened, former).waitFor({ state: "detached" });
      await state(opened, "live");
      const { body: moved } = await client.reschedule(job, later(job, 30));
      await shows(opened, job, "window", times(moved));
      assert.deepEqual(await sequences(opened), [1, 2]);
    } finally {
      await dispose(first, second);
    }
  });

  test("loads anew when it has missed more than is worth telling", async () => {
    expect(...AWAY);
    const own = await Server.demo();
    const network = await Network.before(own);
    try {
      const opened = await page(`${network.url}/?persona=dispatcher-north&view=list`);
      await state(opened, "live");
      // As if very much had happened.
      await opened.route("**/api/jobs?limit=1", async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, headers: { ...response.headers(), "x-event-sequence": "999999" } });
      });
      const asked = requests(opened);
      network.leave();
      await opened.locator('[data-testid=connection]:not([data-state=live])').waitFor();
      network.comeBack();
      await state(opened, "live");
      assert.equal(asked.some((path) => path.startsWith("/api/jobs?region=north")), true);
      const { token } = (await personasOf(own)).get("dispatcher-north");
      const { body: job } = await new Client(own.url, token).job();
      await card(opened, job).waitFor();
    } finally {
      network.close();
      await dispose(own);
    }
  });

  test("says how old is what it shows", async () => {
    expect(...AWAY);
    const own = await Server.demo();
    const network = await Network.before(own);
    try {
      const opened = await page(`${network.url}/?persona=dispatcher-north&view=list`);
      await state(opened, "live");
      const paused = opened.getByTestId("paused");
      assert.equal(await paused.isHidden(), true);
      await opened.clock.install();
      network.leave();
      await paused.filter({ hasText: "less than a minute old" }).waitFor();
      await opened.clock.fastForward(5 * 60000);
      await paused.filter({ hasText: "5 minutes old, as of" }).waitFor();
      await state(opened, "offline");
      await opened.clock.resume();
      network.comeBack();
      await opened.clock.fastForward(30000);
      await state(opened, "live");
      await paused.waitFor({ state: "hidden" });
    } finally {
      network.close();
      await dispose(own);
    }
  });
});

describe("a connection that is dead without knowing", () => {
  /** A page behind a network that has fallen silent, and a change that it cannot know of. */
  async function silenced(use) {
    expect(...AWAY);
    const own = await Server.demo();
    const network = await Network.before(own);
    try {
      const { token } = (await personasOf(own)).get("dispatcher-north");
      const client = new Client(own.url, token);
      const { body: job } = await client.job();
      const opened = await page(`${network.url}/?persona=dispatcher-north&view=list`);
      await state(opened, "live");
      await card(opened, job).waitFor();
      await use({ opened, network, change: async () => (await client.reschedule(job, later(job, 30))).body, job });
    } finally {
      network.close();
      await dispose(own);
    }
  }

  test("is found out when the page is looked at again", async () => {
    await silenced(async ({ opened, network, change, job }) => {
      network.silence();
      const moved = await change();
      await opened.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
      await shows(opened, job, "window", times(moved));
    });
  });

  test("is found out after a sleep", async () => {
    await silenced(async ({ opened, network, change, job }) => {
      await opened.clock.install();
      network.silence();
      const moved = await change();
      await opened.clock.fastForward(20 * 60000);
      await shows(opened, job, "window", times(moved));
    });
  });
});

test("a browser without a network says so, and comes back at once", async () => {
  expect(...AWAY);
  const opened = await page(`${stage.demo.url}/?persona=dispatcher-north&view=list`);
  await state(opened, "live");
  await opened.context().setOffline(true);
  await opened.locator('[data-testid=connection]:not([data-state=live])').waitFor();
  const { body: job } = await stage.nora.job();
  await opened.context().setOffline(false);
  await card(opened, job).waitFor();
  await state(opened, "live");
});

test("an admin's page takes in regions as they appear", async () => {
  const own = await Server.serve();
  try {
    const token = sign(claims.admin());
    const client = new Client(own.url, token);
    await client.job({ region: "north" });
    const opened = await page(`${own.url}/?view=list`);
    await opened.clock.install();
    await opened.getByTestId("token").fill(token);
    await opened.getByTestId("token-submit").click();
    await state(opened, "live");
    const { body: job } = await client.job({ region: "brand-new" });
    await client.job({ region: "north" });
    await opened.clock.fastForward(16000);
    await card(opened, job).waitFor();
    const { body: moved } = await client.reschedule(job, later(job, 30));
    await shows(opened, job, "window", times(moved));
    const { body: north } = await client.job({ region: "north", ...nextWindow() });
    await card(opened, north).waitFor();
  } finally {
    await dispose(own);
  }
});
