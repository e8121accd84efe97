/** A proxy of another make in front of a server, and what has to come through it. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { rm } from "node:fs/promises";
import { test } from "node:test";

import * as signalR from "@microsoft/signalr";

import { Client, Inbox, later, sequenceOf, within } from "./support.mjs";

export const { WebSockets, ServerSentEvents, LongPolling } = signalR.HttpTransportType;

/** A proxy in a folder of its own, which is removed with it. */
export class Proxy {
  /** Starts the program, and waits until it listens on its port. */
  static async start(folder, port, command, options = {}) {
    const proxy = new Proxy();
    Object.assign(proxy, { folder, port });
    const [program, ...words] = command;
    proxy.child = spawn(program, words, { stdio: ["ignore", "ignore", "pipe"], ...options });
    let said = "";
    proxy.child.stderr.on("data", (bytes) => (said += bytes));
    proxy.exited = once(proxy.child, "exit");
    const failed = proxy.exited.then(() => Promise.reject(new Error(`${program} ended: ${said}`)));
    failed.catch(() => {});
    await within(`${program} listens`, Promise.race([proxy.listens(), failed]));
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async listens() {
    for (;;) {
      const socket = connect(this.port, "127.0.0.1");
      const isOpen = await new Promise((resolve) => {
        socket.once("connect", () => resolve(true));
        socket.once("error", () => resolve(false));
      });
      socket.destroy();
      if (isOpen) return;
    }
  }

  async dispose() {
    this.child.kill("SIGTERM");
    await within("the proxy has ended", this.exited);
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A connection to the hub behind this address, over one transport. */
export function build(url, token, transport) {
  return new signalR.HubConnectionBuilder()
    .withUrl(`${url}/hub/dispatch`, { transport, accessTokenFactory: () => token })
    .configureLogging(signalR.LogLevel.None)
    .build();
}

/** Leaves out the lines that hold this. */
export const without = (text) => (file) => file.split("\n").filter((line) => !line.includes(text)).join("\n");

/** Tests of a proxy that is there by the time they run. */
export function everyTransportWorks(proxy, token) {
  for (const [name, transport] of /** @type {const} */ ([["WebSockets", WebSockets], ["Server-Sent Events", ServerSentEvents], ["long polling", LongPolling]])) {
    test(`events come over ${name}`, async () => {
      const connection = build(proxy().url, token, transport);
      const inbox = new Inbox(connection);
      await within("the connection starts", connection.start());
      try {
        await connection.invoke("JoinDispatchGroup", "north");
        const dispatcher = new Client(proxy().url, token);
        const { body: job } = await dispatcher.job();
        for (let step = 1; step <= 20; step++) {
          await inbox.until(sequenceOf(await dispatcher.reschedule(job, later(job, 30 * step))));
        }
      } finally {
        await connection.stop();
      }
    });
  }

  test("a page of this name may call, and one of another may not", async () => {
    assert.equal(await statusFor(proxy().url, token, proxy().url), 200);
    assert.equal(await statusFor(proxy().url, token, "http://elsewhere.example"), 403);
  });
}

/** What a page of this origin is answered. */
export async function statusFor(url, token, origin) {
  const answer = await fetch(`${url}/api/jobs`, { headers: { Authorization: `Bearer ${token}`, Origin: origin } });
  await answer.text();
  return answer.status;
}
