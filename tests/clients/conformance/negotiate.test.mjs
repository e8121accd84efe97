/** Negotiation, and what the HTTP surface refuses. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { until } from "../waiting.mjs";
import { Hub, TRANSPORTS } from "./hub.mjs";
import { TestServer, bearer } from "./test_server.mjs";
import { EventStream, upgrade } from "./wire.mjs";

const ID = /^[A-Za-z0-9_-]{22}$/;
const BOTH = ["Text", "Binary"];
const WEB_SOCKETS = { transport: "WebSockets", transferFormats: BOTH };
const EVENTS = { transport: "ServerSentEvents", transferFormats: ["Text"] };
const POLLING = { transport: "LongPolling", transferFormats: BOTH };

/** @type {TestServer} */
let server;

before(async () => {
  server = await TestServer.start();
});

after(() => server?.dispose());

/** Every way to use an id, by what the request is for. */
const USES = {
  WebSockets: (path) => upgrade(server.url + path),
  ServerSentEvents: (path) => EventStream.open(server.url + path),
  LongPolling: (path) => server.request(path),
  POST: (path) => server.request(path, { method: "POST", body: "x" }),
  DELETE: (path) => server.request(path, { method: "DELETE" }),
};

async function refused(use, path, status, text) {
  const answer = await USES[use](path);
  assert.deepEqual([answer.status, answer.text], [status, text], `${use} ${path}`);
  return answer;
}

/** The negotiated connection works: its id opens this transport, and the hub answers. */
async function works(path, transport, id) {
  const hub = await Hub.open(server, { path, transport, isNegotiated: false, query: `id=${id}` });
  assert.equal(await hub.result("Echo", "hello"), "hello");
  hub.cut();
}

describe("negotiate", () => {
  test("1 a negotiation of version 1 gives an id, a token and all transports", async () => {
    const { status, headers, json } = await server.negotiate();
    assert.equal(status, 200);
    assert.match(headers["content-type"], /^application\/json\b/);
    const { connectionId, connectionToken } = json;
    assert.deepEqual(json, { negotiateVersion: 1, connectionId, connectionToken, availableTransports: [WEB_SOCKETS, EVENTS, POLLING] });
    assert.match(connectionId, ID);
    assert.match(connectionToken, ID);
    const other = (await server.negotiate()).json;
    assert.equal(new Set([connectionId, connectionToken, other.connectionId, other.connectionToken]).size, 4);
    for (const transport of TRANSPORTS) await works("/testhub", transport, (await server.negotiate()).json.connectionToken);
  });

  test("1 routes ignore case and a trailing slash, and query names ignore case", async () => {
    for (const path of ["/TestHub/negotiate", "/testhub/negotiate/", "/testhub/Negotiate"]) {
      const answer = await server.request(`${path}?NEGOTIATEVERSION=1`, { method: "POST" });
      assert.equal(answer.status, 200, path);
      assert.equal(JSON.parse(answer.text).negotiateVersion, 1, path);
    }
    const { json } = await server.negotiate();
    await works("/TESTHUB/", "WebSockets", json.connectionToken);
  });

  test("2 without a version, or with version 0, the id has no token and is used itself", async () => {
    for (const version of [null, 0]) {
      const { status, json } = await server.negotiate("/testhub", { version });
      assert.equal(status, 200);
      const { connectionId } = json;
      assert.deepEqual(json, { negotiateVersion: 0, connectionId, availableTransports: [WEB_SOCKETS, EVENTS, POLLING] });
      assert.match(connectionId, ID);
    }
    for (const transport of TRANSPORTS) {
      await works("/testhub", transport, (await server.negotiate("/testhub", { version: null })).json.connectionId);
    }
  });

  test("2 a version above 1 is answered as version 1", async () => {
    const { json } = await server.negotiate("/testhub", { version: 5 });
    assert.equal(json.negotiateVersion, 1);
    assert.match(json.connectionToken, ID);
  });

  test("3 a version that is refused gets the exact error, and nothing is reserved", async () => {
    const strict = await TestServer.start({ "min-negotiate-version": 1 });
    try {
      const notInteger = "The client requested a non-integer protocol version.";
      const tooLow = "The client requested version '0', but the server does not support this version.";
      for (const [version, error] of [["abc", notInteger], ["1.5", notInteger], [0, tooLow], [null, tooLow]]) {
        const { status, headers, json } = await strict.negotiate("/testhub", { version });
        assert.equal(status, 200);
        assert.match(headers["content-type"], /^application\/json\b/);
        assert.deepEqual(json, { error }, `version ${version}`);
      }
      const { reservations, transports } = await strict.counts();
      assert.deepEqual([reservations, transports], [0, 0]);
      assert.equal((await strict.negotiate()).json.negotiateVersion, 1);
    } finally {
      await strict.dispose();
    }
  });

  test("4 stateful reconnect is offered only if it was asked for and is allowed", async () => {
    const rows = [
      ["/testhub", "useStatefulReconnect=true", true],
      ["/testhub", "", undefined],
      ["/testhub", "useStatefulReconnect=false", undefined],
      ["/testhub-nostateful", "useStatefulReconnect=true", undefined],
    ];
    for (const [path, query, expected] of rows) {
      const { json } = await server.negotiate(path, { query });
      assert.equal(json.useStatefulReconnect, expected, `${path} ${query}`);
      assert.equal("useStatefulReconnect" in json, expected !== undefined, `${path} ${query}`);
    }
  });

  test("5 other methods give 405", async () => {
    const { json } = await server.negotiate();
    for (const [method, path] of [
      ["GET", "/testhub/negotiate"], ["GET", "/testhub/negotiate?negotiateVersion=1"], ["PUT", "/testhub/negotiate"],
      ["DELETE", "/testhub/negotiate"], ["PUT", "/testhub"], ["PATCH", "/testhub"], ["PUT", `/testhub?id=${json.connectionToken}`],
    ]) {
      const { status, text } = await server.request(path, { method });
      assert.deepEqual([status, text], [405, ""], `${method} ${path}`);
    }
  });
});

describe("ids", () => {
  test("6 the public id of a version 1 connection is no id, and neither is an unknown one", async () => {
    const { json } = await server.negotiate();
    for (const id of [json.connectionId, "unknown", "AAAAAAAAAAAAAAAAAAAAAA"]) {
      for (const use of Object.keys(USES)) {
        const { headers } = await refused(use, `/testhub?id=${id}`, 404, "No Connection with that ID");
        assert.match(headers["content-type"], /^text\/plain\b/);
      }
    }
    await works("/testhub", "WebSockets", json.connectionToken);
  });

  test("6 the id of a connection that has gone is unknown", async () => {
    const { json } = await server.negotiate();
    const path = `/testhub?id=${json.connectionToken}`;
    assert.equal((await server.request(path)).status, 200);
    assert.equal((await server.request(path, { method: "DELETE" })).status, 202);
    await until("the connection is gone", async () => (await server.request(path, { method: "DELETE" })).status === 404);
    for (const use of Object.keys(USES)) await refused(use, path, 404, "No Connection with that ID");
  });

  test("7 a missing id gives 400", async () => {
    for (const use of ["ServerSentEvents", "LongPolling", "POST", "DELETE"]) {
      const { headers } = await refused(use, "/testhub", 400, "Connection ID required");
      assert.match(headers["content-type"], /^text\/plain\b/);
    }
  });

  test("7 a WebSocket without an id works, and its hub knows an id of its own", async () => {
    const hub = await Hub.open(server, { isNegotiated: false });
    assert.match(await hub.result("GetCallerConnectionId"), ID);
    hub.cut();
  });

  test("8 a transport that is disabled is neither listed nor served", async () => {
    const listed = {
      "/testhub-nowebsockets": [EVENTS, POLLING], "/testhub-websockets": [WEB_SOCKETS],
      "/testhub-sse": [EVENTS], "/testhub-longpolling": [POLLING],
    };
    for (const [path, transports] of Object.entries(listed)) {
      const { json } = await server.negotiate(path);
      assert.deepEqual(json.availableTransports, transports, path);
      const enabled = transports.map(({ transport }) => transport);
      for (const transport of TRANSPORTS.filter((one) => !enabled.includes(one))) {
        await refused(transport, `${path}?id=${json.connectionToken}`, 404, `${transport} transport not supported by this end point type`);
      }
      await works(path, enabled[0], json.connectionToken);
    }
    await refused("WebSockets", "/testhub-sse", 404, "WebSockets transport not supported by this end point type");
  });
});

describe("redirects", () => {
  const base = () => encodeURIComponent(server.url);

  test("11 a redirect is followed, its query is kept, and it reserves nothing", async () => {
    const quiet = await TestServer.start();
    try {
      const { json } = await quiet.negotiate("/redirect", { query: `baseUrl=${encodeURIComponent(quiet.url)}` });
      assert.equal("connectionId" in json || "connectionToken" in json || "error" in json, false);
      const { pathname, searchParams } = new URL(json.url);
      assert.equal((await quiet.counts()).reservations, 0);
      const hub = await Hub.open(quiet, { path: pathname, query: `numRedirects=${searchParams.get("numRedirects")}` });
      assert.equal(await hub.result("GetNumRedirects"), Number(searchParams.get("numRedirects")));
      hub.cut();
    } finally {
      await quiet.dispose();
    }
  });

  test("11 the access token of a redirect is good at the place it leads to", async () => {
    const { json } = await server.negotiate("/redirect-with-token", { query: `baseUrl=${base()}` });
    const { pathname, search } = new URL(json.url);
    for (const transport of TRANSPORTS) {
      const hub = await Hub.open(server, { path: pathname, query: search.slice(1), token: json.accessToken, transport });
      assert.equal(await hub.result("GetQuery", "redirected"), "yes");
      assert.equal(await hub.result("GetUserIdentifier"), "testuser");
      hub.cut();
    }
  });

  test("11 the query, the headers and the cookies of the first request are visible to the hub", async () => {
    for (const transport of TRANSPORTS) {
      const headers = { "x-colour": "red", cookie: "flavour=sweet; other=1" };
      const hub = await Hub.open(server, { transport, query: "colour=blue%20sky", headers });
      assert.equal(await hub.result("GetQuery", "colour"), "blue sky");
      assert.equal(await hub.result("GetQuery", "nothing"), null);
      assert.equal(await hub.result("GetHeader", "x-colour"), "red");
      assert.equal(await hub.result("GetCookie", "flavour"), "sweet");
      assert.equal(await hub.result("GetActiveTransportName"), transport);
      hub.cut();
    }
  });

  test("11 an HTTP redirect of the negotiation keeps the query", async () => {
    const { status, headers } = await server.negotiate("/echoredirect");
    assert.equal(status, 307);
    const { pathname, search } = new URL(headers.location, server.url);
    assert.deepEqual([pathname, search], ["/echo/negotiate", "?negotiateVersion=1"]);
  });
});

describe("reservations", () => {
  test("12 a reservation that nobody claims is gone after the disconnect timeout", async () => {
    const hasty = await TestServer.start({ "disconnect-timeout-ms": 1000 });
    try {
      const asked = Date.now();
      const path = `/testhub?id=${(await hasty.negotiate()).json.connectionToken}`;
      const first = await hasty.request(path, { method: "DELETE" });
      assert.deepEqual([first.status, first.text], [400, "Cannot terminate this connection using the DELETE endpoint."]);
      await until("the reservation is gone", async () => (await hasty.request(path, { method: "DELETE" })).status === 404);
      assert.ok(Date.now() - asked >= 900, "it is kept for the disconnect timeout");
      assert.equal((await upgrade(hasty.url + path)).status, 404);
      assert.equal((await hasty.request(path)).status, 404);
      assert.equal((await hasty.counts()).reservations, 0);
    } finally {
      await hasty.dispose();
    }
  });

  test("1 7 a full server refuses negotiations and WebSockets with 503 and says when to come back", async () => {
    const small = await TestServer.start({ "connections-max": 2 });
    try {
      const hubs = [await Hub.open(small, { isNegotiated: false }), await Hub.open(small, { isNegotiated: false })];
      for (const answer of [await upgrade(`${small.url}/testhub`), await small.negotiate()]) {
        assert.equal(answer.status, 503);
        assert.match(answer.headers["retry-after"] ?? "", /^\d+$/);
      }
      assert.equal(await hubs[1].result("Echo", "still here"), "still here");
      hubs[0].cut();
      await until("the place is free", async () => (await small.counts()).transports === 1);
      await Hub.open(small, { isNegotiated: false });
    } finally {
      await small.dispose();
    }
  });

  test("1 7 a user with too many connections is refused with 429, and others are not", async () => {
    const fair = await TestServer.start({ "connections-per-user-max": 1 });
    try {
      const [ada, ben] = [await fair.token("ada"), await fair.token("ben")];
      const first = await Hub.open(fair, { isNegotiated: false, token: ada });
      assert.equal((await upgrade(`${fair.url}/testhub`, bearer(ada))).status, 429);
      assert.equal((await fair.negotiate("/testhub", { token: ada })).status, 429);
      await Hub.open(fair, { isNegotiated: false, token: ben });
      await Hub.open(fair, { isNegotiated: false });
      await Hub.open(fair, { isNegotiated: false });
      first.cut();
      await until("the user's place is free", async () => (await fair.negotiate("/testhub", { token: ada })).status === 200);
    } finally {
      await fair.dispose();
    }
  });
});
