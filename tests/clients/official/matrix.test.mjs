/** The official client in Node, over every transport and protocol. */

import { after, before, describe, test } from "node:test";

import * as signalR from "@microsoft/signalr";
import * as msgpack from "@microsoft/signalr-protocol-msgpack";

import { Environment, PAIRS, nameOf } from "./environment.mjs";
import { FEATURES, suits } from "./features.mjs";
import { TestServer } from "./test_server.mjs";

/** @type {TestServer} */
let server;

before(async () => {
  server = await TestServer.start();
});

after(() => server?.dispose());

async function restart() {
  await server.stop();
  await server.revive();
}

for (const pair of PAIRS) {
  describe(nameOf(pair), () => {
    for (const [name, run] of Object.entries(FEATURES)) {
      if (!suits(name, { ...pair, isBrowser: false })) continue;
      test(name, async () => {
        const env = new Environment({ signalR, msgpack, url: server.url, pair, restart });
        try {
          await run(env);
        } finally {
          await env.close();
        }
      });
    }
  });
}
