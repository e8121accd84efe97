/** Serves a page with the browser builds of the official client, and the features as modules. */

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

const CLIENTS = new URL("..", import.meta.url);

/** The scripts of the npm packages, by the path that the page asks for. */
const BUILDS = {
  "/signalr.js": "node_modules/@microsoft/signalr/dist/browser/signalr.js",
  "/msgpack.js": "node_modules/@microsoft/signalr-protocol-msgpack/dist/browser/signalr-protocol-msgpack.js",
};

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Features of the official client</title>
<script src="/signalr.js"></script>
<script src="/msgpack.js"></script>
<script type="module">
  import { Environment } from "/official/environment.mjs";
  import { FEATURES } from "/official/features.mjs";

  const { signalR, restartServer: restart } = window;
  const msgpack = signalR.protocols.msgpack;

  /** Runs one feature; answers what went wrong, or nothing. */
  window.runFeature = async (name, pair, url) => {
    const env = new Environment({ signalR, msgpack, url, pair, isBrowser: true, restart });
    try {
      await FEATURES[name](env);
      return null;
    } catch (error) {
      return String(error.stack ?? error);
    } finally {
      await env.close();
    }
  };
</script>
</html>`;

export class PageServer {
  static async start() {
    const http = createServer((request, response) => void PageServer.#answer(request, response));
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    return new PageServer(http);
  }

  /** @param {import("node:http").Server} http */
  constructor(http) {
    this.http = http;
    this.url = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (http.address()).port}`;
  }

  static async #answer(request, response) {
    const { pathname } = new URL(request.url, "http://page");
    const reply = (status, type, body) => response.writeHead(status, { "content-type": type }).end(body);
    if (pathname === "/") return reply(200, "text/html; charset=utf-8", PAGE);
    if (!BUILDS[pathname] && !/^\/(official\/)?([\w-]+\/)?[\w-]+\.mjs$/.test(pathname)) return reply(404, "text/plain", "");
    const file = fileURLToPath(new URL(BUILDS[pathname] ?? `.${pathname}`, CLIENTS));
    try {
      return reply(200, "text/javascript; charset=utf-8", await readFile(file));
    } catch {
      return reply(404, "text/plain", "");
    }
  }

  async dispose() {
    this.http.closeAllConnections();
    this.http.close();
  }
}
