/** What the tests of the connections' page share; a demo and a browser come from the board's. */

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { after } from "node:test";

import * as signalR from "@microsoft/signalr";

import { page, personasOf, stage } from "../board/page.mjs";
import { connect, within } from "../support.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Connections of a test's own. @type {signalR.HubConnection[]} */
let connected = [];
after(disconnect);

export async function disconnect() {
  await Promise.all(connected.map((connection) => connection.stop()));
  connected = [];
}

/**
 * Connects somebody, in these groups, and waits for nothing more.
 *
 * @param {string} url
 * @param {string} token
 * @param {{ groups?: string[], transport?: signalR.HttpTransportType }} [options]
 */
export async function join(url, token, { groups = [], transport = signalR.HttpTransportType.WebSockets } = {}) {
  const { connection } = connect(url, token, { options: { transport } });
  connected.push(connection);
  const closed = new Promise((resolve) => connection.onclose(resolve));
  await connection.start();
  if (groups.length > 0) await connection.invoke("Subscribe", { groups });
  return { connection, id: /** @type {string} */ (connection.connectionId), closed: () => within("it is closed", closed) };
}

/** The token of a persona of the demo. @param {string} persona */
export async function tokenOf(persona) {
  return (await personasOf(stage.demo)).get(persona).token;
}

/** The page of the demo's admin, with what is connected. */
export async function asAdmin(options) {
  const opened = await page(`${stage.demo.url}/admin?persona=admin`, options);
  await isLive(opened);
  return opened;
}

/** Waits until what is shown is fresh. */
export async function isLive(opened) {
  await opened.locator("[data-testid=freshness][data-state=live]").waitFor();
}

/** The row of a connection. */
export function row(opened, id) {
  return opened.locator(`[data-connection-id="${id}"]`);
}

/** Waits until so many rows are shown. */
export async function rows(opened, count) {
  await within(`${count} rows`, (async () => {
    while ((await opened.getByTestId("row").count()) !== count) await opened.waitForTimeout(20);
  })());
}

/** What axe-core finds wrong. Run as a debugger does, since the page's policy forbids scripts put into it. */
export async function accessible(opened, what) {
  await opened.evaluate(AXE);
  const found = await opened.evaluate(() => /** @type {any} */ (globalThis).axe.run(document, { resultTypes: ["violations"] }));
  const faults = found.violations.map((/** @type {any} */ one) => `${one.id}: ${one.nodes.map((/** @type {any} */ node) => node.html).join(" ")}`);
  assert.deepEqual(faults, [], what);
}
