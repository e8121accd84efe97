/** The official client, unmodified, against a server with a certificate. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { Server, claims, sign, temporaryFolder, within } from "./support.mjs";

const run = promisify(execFile);

/** Makes a certificate for the loopback that signs itself. */
async function certificate(folder) {
  const [cert, key] = [join(folder, "server.pem"), join(folder, "server.key")];
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
  const what = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  await run("openssl", [...what, "-subj", "/CN=localhost", "-addext", names, "-keyout", key, "-out", cert]);
  return { cert, key };
}

test("every transport and protocol works by TLS, and connections end properly", async () => {
  const folder = await temporaryFolder();
  const { cert, key } = await certificate(folder);
  const server = await Server.serve({ folder, args: ["--tls-certificate", cert, "--tls-key", key] });
  try {
    assert.match(server.url, /^https:\/\/127\.0\.0\.1:\d+$/);
    const client = new URL("tls_client.mjs", import.meta.url).pathname;
    const arguments_ = [client, server.url, sign(claims.dispatcher("north"))];
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: cert };
    const { stdout } = await within("the client is done", run(process.execPath, arguments_, { env }));
    const seen = Object.entries(JSON.parse(stdout));
    assert.equal(seen.length, 5);
    for (const [pair, what] of seen) assert.deepEqual(what, { title: pair, closed: "properly" }, pair);

    const stranger = run(process.execPath, arguments_, { env: { ...process.env, NODE_EXTRA_CA_CERTS: "" } });
    await assert.rejects(within("the stranger is done", stranger), /DEPTH_ZERO_SELF_SIGNED_CERT/);
  } finally {
    await server.dispose();
  }
});
