/** Behind nginx, with the project's own file for it: every transport works, and its settings are needed. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import * as signalR from "@microsoft/signalr";

import { Client, Inbox, Server, claims, freePort, later, sequenceOf, sign, temporaryFolder, within } from "./support.mjs";

const { WebSockets, ServerSentEvents, LongPolling } = signalR.HttpTransportType;

/** @type {Server} */
let server;
const token = sign(claims.dispatcher("north"));

before(async () => {
  server = await Server.serve();
});

after(() => server?.dispose());

/** An nginx in a folder of its own, with the project's file after a change to it. */
class Nginx {
  static async start(change = (text) => text) {
    const nginx = new Nginx();
    nginx.folder = await temporaryFolder();
    nginx.port = await freePort();
    nginx.log = join(nginx.folder, "access.log");
    const file = await readFile(new URL("../../packaging/nginx/signalbox.conf", import.meta.url), "utf8");
    const placed = file
      .replace("listen 80;", `listen 127.0.0.1:${nginx.port};`)
      .replace("server 127.0.0.1:8080;", `server 127.0.0.1:${server.port};`)
      .replace("/var/log/nginx/signalbox.log", nginx.log);
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((name) => `${name}_temp_path ${join(nginx.folder, name)};`);
    const user = process.getuid?.() === 0 ? "user root;" : "";
    const whole = `daemon off; ${user} pid ${join(nginx.folder, "pid")}; worker_processes 1; error_log stderr;
      events {} http { ${temporary.join(" ")} ${change(placed)} }`;
    const path = join(nginx.folder, "nginx.conf");
    await writeFile(path, whole);
    nginx.child = spawn("/usr/sbin/nginx", ["-c", path, "-p", nginx.folder, "-e", "stderr"], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    nginx.child.stderr.on("data", (bytes) => (said += bytes));
    nginx.exited = once(nginx.child, "exit");
    const failed = nginx.exited.then(() => Promise.reject(new Error(`nginx ended: ${said}`)));
    failed.catch(() => {});
    await within("nginx listens", Promise.race([nginx.listens(), failed]));
    return nginx;
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

  /** What is logged once this is. */
  async logged(line) {
    for (;;) {
      const log = await readFile(this.log, "utf8");
      if (log.includes(line)) return log;
    }
  }

  async dispose() {
    this.child.kill("SIGTERM");
    await within("nginx has ended", this.exited);
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A connection through nginx, over one transport. */
function build(url, transport) {
  return new signalR.HubConnectionBuilder()
    .withUrl(`${url}/hub/dispatch`, { transport, accessTokenFactory: () => token })
    .configureLogging(signalR.LogLevel.None)
    .build();
}

describe("with the project's file", () => {
  /** @type {Nginx} */
  let nginx;
  before(async () => {
    nginx = await Nginx.start();
  });
  after(() => nginx?.dispose());

  for (const [name, transport] of /** @type {const} */ ([["WebSockets", WebSockets], ["Server-Sent Events", ServerSentEvents], ["long polling", LongPolling]])) {
    test(`events come over ${name}`, async () => {
      const connection = build(nginx.url, transport);
      const inbox = new Inbox(connection);
      await within("the connection starts", connection.start());
      try {
        await connection.invoke("JoinDispatchGroup", "north");
        const dispatcher = new Client(nginx.url, token);
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
    const call = (origin) => fetch(`${nginx.url}/api/jobs`, { headers: { Authorization: `Bearer ${token}`, Origin: origin } });
    assert.equal((await call(nginx.url)).status, 200);
    assert.equal((await call("http://elsewhere.example")).status, 403);
  });

  test("the metrics stay inside", async () => {
    assert.equal((await fetch(`${server.url}/metrics`)).status, 200);
    assert.equal((await fetch(`${nginx.url}/metrics`)).status, 403);
  });

  test("no token stands in the log", async () => {
    const socket = build(nginx.url, WebSockets);
    await within("the connection starts", socket.start());
    await socket.stop();
    const path = `/hub/dispatch?id=none&access_token=${token}`;
    await (await fetch(nginx.url + path)).text();
    const log = await within("the request is logged", nginx.logged('"GET /hub/dispatch" 404'));
    assert.ok(!log.includes(token) && !log.includes("access_token"));
  });
});

/** Leaves out the lines that hold this. */
const without = (text) => (file) => file.split("\n").filter((line) => !line.includes(text)).join("\n");

test("without the upgrade there are no WebSockets", async () => {
  const nginx = await Nginx.start(without("proxy_set_header Upgrade"));
  try {
    await assert.rejects(build(nginx.url, WebSockets).start());
  } finally {
    await nginx.dispose();
  }
});

test("without the name a page may not call its own server", async () => {
  const nginx = await Nginx.start(without("proxy_set_header Host"));
  try {
    const { status } = await fetch(`${nginx.url}/api/jobs`, { headers: { Authorization: `Bearer ${token}`, Origin: nginx.url } });
    assert.equal(status, 403);
  } finally {
    await nginx.dispose();
  }
});
