/** Behind nginx, with the project's own file for it: every transport works, and its settings are needed. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Proxy, WebSockets, build, everyTransportWorks, statusFor, without } from "./proxy.mjs";
import { Server, claims, freePort, sign, temporaryFolder, within } from "./support.mjs";

/** @type {Server} */
let server;
const token = sign(claims.dispatcher("north"));

before(async () => {
  server = await Server.serve();
});

after(() => server?.dispose());

/** An nginx in a folder of its own, with the project's file after a change to it. */
async function startNginx(change = (text) => text) {
  const [folder, port] = [await temporaryFolder(), await freePort()];
  const file = await readFile(new URL("../../packaging/nginx/signalbox.conf", import.meta.url), "utf8");
  const placed = file
    .replace("listen 80;", `listen 127.0.0.1:${port};`)
    .replace("server 127.0.0.1:8080;", `server 127.0.0.1:${server.port};`)
    .replace("/var/log/nginx/signalbox.log", accessLog(folder));
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${join(folder, name)};`);
  const user = process.getuid?.() === 0 ? "user root;" : "";
  const whole = `daemon off; ${user} pid ${join(folder, "pid")}; worker_processes 1; error_log stderr;
    events {} http { ${temporary.join(" ")} ${change(placed)} }`;
  const path = join(folder, "nginx.conf");
  await writeFile(path, whole);
  return Proxy.start(folder, port, ["/usr/sbin/nginx", "-c", path, "-p", folder, "-e", "stderr"]);
}

const accessLog = (folder) => join(folder, "access.log");

/** What is logged once this is. */
async function logged(nginx, line) {
  for (;;) {
    const log = await readFile(accessLog(nginx.folder), "utf8");
    if (log.includes(line)) return log;
  }
}

describe("with the project's file", () => {
  /** @type {Proxy} */
  let nginx;
  before(async () => {
    nginx = await startNginx();
  });
  after(() => nginx?.dispose());

  everyTransportWorks(() => nginx, token);

  test("the metrics stay inside", async () => {
    assert.equal((await fetch(`${server.url}/metrics`)).status, 200);
    assert.equal((await fetch(`${nginx.url}/metrics`)).status, 403);
  });

  test("no token stands in the log", async () => {
    const socket = build(nginx.url, token, WebSockets);
    await within("the connection starts", socket.start());
    await socket.stop();
    const path = `/hub/dispatch?id=none&access_token=${token}`;
    await (await fetch(nginx.url + path)).text();
    const log = await within("the request is logged", logged(nginx, '"GET /hub/dispatch" 404'));
    assert.ok(!log.includes(token) && !log.includes("access_token"));
  });
});

test("without the upgrade there are no WebSockets", async () => {
  const nginx = await startNginx(without("proxy_set_header Upgrade"));
  try {
    await assert.rejects(build(nginx.url, token, WebSockets).start());
  } finally {
    await nginx.dispose();
  }
});

test("without the name a page may not call its own server", async () => {
  const nginx = await startNginx(without("proxy_set_header Host"));
  try {
    assert.equal(await statusFor(nginx.url, token, nginx.url), 403);
  } finally {
    await nginx.dispose();
  }
});
