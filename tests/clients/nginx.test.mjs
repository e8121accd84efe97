/** Behind nginx, with the project's own file for it: every transport works, and its settings are needed. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { request } from "node:http";
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
async function startNginx(change = (text) => text, behind = server) {
  const [folder, port] = [await temporaryFolder(), await freePort()];
  const file = await readFile(new URL("../../packaging/nginx/signalbox.conf", import.meta.url), "utf8");
  const placed = file
    .replace("listen 80;", `listen 127.0.0.1:${port};`)
    .replace("server 127.0.0.1:8080;", `server 127.0.0.1:${behind.port};`)
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

/** The status of a request that comes from this address. */
async function statusFrom(localAddress, url) {
  const asked = request(`${url}/readyz`, { localAddress });
  asked.end();
  const [response] = await once(asked, "response");
  response.resume();
  await once(response, "end");
  return response.statusCode;
}

/** Asks from one address until that is too much, and then from another one. */
async function statusBesideFlood(nginx) {
  while ((await statusFrom("127.0.0.2", nginx.url)) !== 429);
  return statusFrom("127.0.0.3", nginx.url);
}

test("limits count who asks, and without the address all together", async () => {
  const args = ["--requests-per-second-per-address=1", "--trusted-proxies=127.0.0.1"];
  const limited = await Server.serve({ args });
  const nginxes = [await startNginx(undefined, limited), await startNginx(without("proxy_set_header X-Forwarded-For"), limited)];
  try {
    assert.equal(await within("the one is refused", statusBesideFlood(nginxes[0])), 200);
    assert.equal(await within("all are refused", statusBesideFlood(nginxes[1])), 429);
  } finally {
    for (const nginx of nginxes) await nginx.dispose();
    await limited.dispose();
  }
});
