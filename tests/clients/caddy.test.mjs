/** Behind Caddy, with the project's own file for it, but for the name and the certificate. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Proxy, everyTransportWorks, without } from "./proxy.mjs";
import { Server, claims, freePort, sign, temporaryFolder } from "./support.mjs";

/** @type {Server} */
let server;
const token = sign(claims.dispatcher("north"));

before(async () => {
  server = await Server.serve();
});

after(() => server?.dispose());

/** A Caddy in a folder of its own, with the project's file after a change to it. */
async function startCaddy(change = (text) => text) {
  const [folder, port] = [await temporaryFolder(), await freePort()];
  const file = await readFile(new URL("../../packaging/caddy/Caddyfile", import.meta.url), "utf8");
  const placed = file
    .replace("board.example {", `http://:${port} {`)
    .replace("reverse_proxy 127.0.0.1:8080 {", `reverse_proxy 127.0.0.1:${server.port} {`);
  const path = join(folder, "Caddyfile");
  await writeFile(path, `{\n admin off\n}\n${change(placed)}`);
  const home = { HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder };
  return Proxy.start(folder, port, ["/usr/bin/caddy", "run", "--config", path, "--adapter", "caddyfile"], {
    env: { ...process.env, ...home },
  });
}

describe("with the project's file", () => {
  /** @type {Proxy} */
  let caddy;
  before(async () => {
    caddy = await startCaddy();
  });
  after(() => caddy?.dispose());

  everyTransportWorks(() => caddy, token);

  test("the metrics stay inside", async () => {
    assert.equal((await fetch(`${server.url}/metrics`)).status, 200);
    assert.equal((await fetch(`${caddy.url}/metrics`)).status, 403);
  });
});

test("without the line about them the metrics are everybody's", async () => {
  const caddy = await startCaddy(without("respond /metrics"));
  try {
    assert.equal((await fetch(`${caddy.url}/metrics`)).status, 200);
  } finally {
    await caddy.dispose();
  }
});
