/** Who may connect, and the handshake. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { until } from "../waiting.mjs";
import { Hub, TRANSPORTS, TYPE, handshake, json, messagepack, record } from "./hub.mjs";
import { TestServer, bearer } from "./test_server.mjs";
import { EventStream, upgrade } from "./wire.mjs";

/** @type {TestServer} */
let server;
/** @type {TestServer} */
let withoutDetails;
/** With a handshake timeout that a test can wait for. @type {TestServer} */
let hasty;
let ada = "";
let ben = "";

before(async () => {
  [server, withoutDetails, hasty] = await Promise.all([
    TestServer.start(),
    TestServer.start({ "no-detailed-errors": true }),
    TestServer.start({ "handshake-timeout-ms": 500 }),
  ]);
  [ada, ben] = await Promise.all([server.token("ada"), server.token("ben")]);
});

after(() => Promise.all([server?.dispose(), withoutDetails?.dispose(), hasty?.dispose()]));

const UNAUTHORIZED = { status: 401, text: "" };

/** Every request there is to a hub, with these headers. */
function requests(path, id, headers) {
  const url = `${path}?id=${id}`;
  return {
    negotiate: () => server.request(`${path}/negotiate?negotiateVersion=1`, { method: "POST", headers }),
    WebSockets: () => upgrade(server.url + url, headers),
    "WebSockets without an id": () => upgrade(server.url + path, headers),
    ServerSentEvents: () => EventStream.open(server.url + url, headers),
    LongPolling: () => server.request(url, { headers }),
    POST: () => server.request(url, { method: "POST", body: "x", headers }),
    DELETE: () => server.request(url, { method: "DELETE", headers }),
  };
}

describe("authentication", () => {
  test("26 a missing or bad token gives 401 with an empty body on every request", async () => {
    const { connectionToken } = (await server.negotiate("/authorizedhub", { token: ada })).json;
    const other = `${ada.slice(0, -8)}AAAAAAAA`;
    for (const headers of [{}, bearer(""), bearer("nonsense"), bearer(other)]) {
      for (const [what, request] of Object.entries(requests("/authorizedhub", connectionToken, headers))) {
        const { status, text } = await request();
        assert.deepEqual({ status, text }, UNAUTHORIZED, `${what} with ${JSON.stringify(headers)}`);
      }
    }
    const hub = await Hub.open(server, { path: "/authorizedhub", isNegotiated: false, query: `id=${connectionToken}`, token: ada });
    assert.equal(await hub.result("GetUserIdentifier"), "ada");
    hub.cut();
  });

  test("26 a token that has expired gives 401 on every request", async () => {
    const token = await server.token("ada", 1);
    const { connectionToken } = (await server.negotiate("/authorizedhub", { token })).json;
    await until("the token has expired", async () => (await server.negotiate("/authorizedhub", { token })).status === 401);
    for (const [what, request] of Object.entries(requests("/authorizedhub", connectionToken, bearer(token)))) {
      const { status, text } = await request();
      assert.deepEqual({ status, text }, UNAUTHORIZED, what);
    }
  });

  test("26 a token without the scheme Bearer is none", async () => {
    for (const authorization of [ada, `Basic ${ada}`, `Bearer`, "Basic YTpi"]) {
      const { status, text } = await server.request("/authorizedhub/negotiate?negotiateVersion=1", { method: "POST", headers: { authorization } });
      assert.deepEqual({ status, text }, UNAUTHORIZED, authorization);
    }
  });

  test("26 the scheme Bearer may be written in any case, as in all of HTTP", async () => {
    for (const scheme of ["bearer", "BEARER"]) {
      const { status } = await server.request("/authorizedhub/negotiate?negotiateVersion=1", { method: "POST", headers: { authorization: `${scheme} ${ada}` } });
      assert.equal(status, 200, scheme);
    }
  });

  test("26 a running connection of polls or events is authenticated at each request", async () => {
    for (const transport of ["ServerSentEvents", "LongPolling"]) {
      const hub = await Hub.open(server, { path: "/authorizedhub", transport, token: ada });
      const path = hub.url.slice(server.url.length);
      const { status, text } = await server.request(path, { method: "POST", body: record({ type: TYPE.ping }) });
      assert.deepEqual({ status, text }, UNAUTHORIZED, transport);
      assert.equal(await hub.result("GetUserIdentifier"), "ada");
      hub.cut();
    }
  });

  test("26 a bad token gives 401 also where none is needed, and nobody is anonymous without one", async () => {
    const { connectionToken } = (await server.negotiate()).json;
    for (const [what, request] of Object.entries(requests("/testhub", connectionToken, bearer("nonsense")))) {
      const { status, text } = await request();
      assert.deepEqual({ status, text }, UNAUTHORIZED, what);
    }
    const hub = await Hub.open(server);
    assert.equal(await hub.result("GetUserIdentifier"), null);
    hub.cut();
  });

  test("26 a request of another user is refused, and one with a fresh token of the same user is not", async () => {
    const changed = [403, "The user associated with this connection changed."];
    const fresh = await server.token("ada", 900);
    for (const transport of ["ServerSentEvents", "LongPolling"]) {
      const hub = await Hub.open(server, { transport, token: ada });
      const path = hub.url.slice(server.url.length);
      const post = (token) => server.request(path, { method: "POST", body: record({ type: TYPE.ping }), headers: bearer(token) });
      const refusals = [await post(ben)];
      if (transport === "LongPolling") refusals.push(await server.request(path, { headers: bearer(ben) }), await server.request(path, { method: "DELETE", headers: bearer(ben) }));
      for (const { status, text } of refusals) assert.deepEqual([status, text], changed, transport);
      assert.equal((await post(fresh)).status, 200);
      assert.equal(await hub.result("GetUserIdentifier"), "ada");
      hub.cut();
    }
  });

  test("26 a method that the user may not call fails with the name that was sent, and the connection stays", async () => {
    for (const [token, target] of [[ada, "AuthorizedOnly"], [ada, "authorizedonly"], [undefined, "AuthorizedOnly"]]) {
      const hub = await Hub.open(server, { token });
      assert.equal((await hub.invoke(target)).error, `Failed to invoke '${target}' because user is unauthorized`);
      assert.equal(await hub.result("Echo", "still here"), "still here");
      hub.cut();
    }
    const hub = await Hub.open(server, { token: await server.token("testuser") });
    assert.equal(await hub.result("AuthorizedOnly"), "ok");
    hub.cut();
  });

  test("27 the query may carry the token of a WebSocket and of an event stream, and the header wins", async () => {
    const open = {
      WebSockets: (path, headers) => upgrade(server.url + path, headers),
      ServerSentEvents: (path, headers) => EventStream.open(server.url + path, headers),
    };
    for (const [transport, request] of Object.entries(open)) {
      for (const [query, header, status] of [[ada, undefined, 200], [ben, ada, 200], ["nonsense", ada, 200], ["nonsense", undefined, 401], [ada, "nonsense", 401]]) {
        const { connectionToken } = (await server.negotiate("/authorizedhub", { token: ada })).json;
        const answer = await request(`/authorizedhub?id=${connectionToken}&access_token=${query}`, bearer(header));
        const expected = status === 200 && transport === "WebSockets" ? 101 : status;
        assert.deepEqual([answer.status, answer.text], [expected, ""], `${transport}, ${query} and ${header}`);
        (answer.socket ?? answer.stream)?.cut();
      }
    }
    const hub = await Hub.open(server, { path: "/authorizedhub", isNegotiated: false, query: `access_token=${ben}`, token: ada });
    assert.equal(await hub.result("GetUserIdentifier"), "ada");
    hub.cut();
  });

  test("27 tokens are never logged", async () => {
    const talkative = await TestServer.start({}, { log: "debug" });
    const token = await talkative.token("ada");
    try {
      for (const transport of TRANSPORTS) {
        const query = transport === "LongPolling" ? "" : `access_token=${token}`;
        const hub = await Hub.open(talkative, { path: "/authorizedhub", transport, query, token });
        await hub.result("Echo", "x");
        await hub.raw("nonsense\x1e");
        await hub.end();
        await upgrade(`${talkative.url}/authorizedhub?access_token=${token}x`);
      }
      await talkative.stop();
      assert.equal(talkative.errors.includes(token), false, "the log has the token");
      assert.equal(talkative.errors.includes(token.split(".")[1]), false, "the log has the token's claims");
    } finally {
      await talkative.dispose();
    }
  });
});

/** What each transport says when it has been closed in the ordinary way. */
const CLOSED = { WebSockets: { code: 1000, reason: "" }, ServerSentEvents: { isWhole: true }, LongPolling: { status: 204 } };

/** A handshake that is refused: its answer, the end of the transport, and no hooks. */
async function isRefused(request, expected, { at = server, transport = "WebSockets" } = {}) {
  const hub = await Hub.open(at, { transport, hasHandshake: false });
  if (request !== undefined) await hub.raw(request);
  const answer = await hub.handshakeAnswered();
  const what = `${String(request).slice(0, 100)} on ${transport}`;
  assert.ok(answer?.endsWith("\x1e"), `${what}: ${answer}`);
  const { error, ...others } = JSON.parse(answer.slice(0, -1));
  assert.deepEqual(others, {}, what);
  if (typeof expected === "string") assert.equal(error, expected, what);
  else assert.match(error, expected, what);
  assert.deepEqual(await hub.end(), { ...CLOSED[transport], close: undefined }, what);
  const { connected, disconnected } = await at.hooks(hub.id);
  assert.deepEqual([connected, disconnected], [0, 0], what);
}

/** A handshake of so many bytes, its end included. */
function handshakeOf(bytes) {
  const short = record({ protocol: "json", version: 1, padding: "" });
  return record({ protocol: "json", version: 1, padding: "x".repeat(bytes - short.length) });
}

const NOT_UNDERSTOOD = "An unexpected error occurred during connection handshake.";
const MALFORMED = [
  "nonsense", "", "[]", "null", "5", '"json"', "{", "{}", '{"protocol":"json"}', '{"version":1}',
  '{"protocol":1,"version":1}', '{"protocol":null,"version":1}', '{"protocol":"json","version":"1"}', '{"protocol":"json","version":1.5}',
  '{"protocol":"json","version":null}', '{"protocol":"json","version":1,}',
];

describe("handshake", () => {
  test("28 success is an empty object and nothing else, on every transport and in every protocol", async () => {
    for (const transport of TRANSPORTS) {
      for (const protocol of transport === "ServerSentEvents" ? [json] : [json, messagepack]) {
        const hub = await Hub.open(server, { transport, protocol, hasHandshake: false });
        await hub.raw(handshake(protocol));
        assert.equal(await hub.handshakeAnswered(), "{}\x1e");
        assert.deepEqual(hub.units.filter(({ length }) => length > 0).map(String), ["{}\x1e"]);
        assert.equal(await hub.result("Echo", "x"), "x");
        hub.cut();
      }
    }
  });

  test("28 unknown properties of the request are skipped", async () => {
    const hub = await Hub.open(server, { hasHandshake: false });
    await hub.raw('\n {"future":{"a":[1,null]},"version":1,"type":99,"protocol":"json","error":"x"} \x1e');
    assert.equal(await hub.handshakeAnswered(), "{}\x1e");
    hub.cut();
  });

  test("28 a protocol that is not known is refused", async () => {
    for (const transport of TRANSPORTS) {
      await isRefused(record({ protocol: "xml", version: 1 }), "The protocol 'xml' is not supported.", { transport });
    }
    await isRefused(record({ protocol: "", version: 1 }), "The protocol '' is not supported.");
  });

  test("28 a version above 2 is refused", async () => {
    await isRefused(record({ protocol: "json", version: 3 }), "The server does not support version 3 of the 'json' protocol.");
    await isRefused(record({ protocol: "messagepack", version: 99 }), "The server does not support version 99 of the 'messagepack' protocol.");
  });

  test("28 a binary protocol is refused on an event stream", async () => {
    const error = "Cannot use the 'messagepack' protocol on the current transport. The transport does not support 'Binary' transfer format.";
    await isRefused(record({ protocol: "messagepack", version: 1 }), error, { transport: "ServerSentEvents" });
  });

  describe("that takes too long", { concurrency: true }, () => {
    for (const transport of TRANSPORTS) {
      test(`28 is cancelled on ${transport}`, async () => {
        await Promise.all([undefined, '{"protocol":"json",'].map((request) => isRefused(request, "Handshake was canceled.", { at: hasty, transport })));
      });
    }
  });

  test("28 37 a handshake above the size limit is cancelled, and one of that size is not", async () => {
    const hub = await Hub.open(server, { hasHandshake: false });
    await hub.raw(handshakeOf(32768));
    assert.equal(await hub.handshakeAnswered(), "{}\x1e");
    hub.cut();
    await isRefused(handshakeOf(32769), "Handshake was canceled.");
    await isRefused("x".repeat(40000), "Handshake was canceled.");
  });

  test("28 a request that is not understood is refused, with detail only where details are on", async () => {
    for (const text of MALFORMED) {
      await isRefused(`${text}\x1e`, /^An unexpected error occurred during connection handshake\. \w+: .+$/s);
      await isRefused(`${text}\x1e`, NOT_UNDERSTOOD, { at: withoutDetails });
    }
    for (const transport of ["ServerSentEvents", "LongPolling"]) {
      await isRefused("nonsense\x1e", NOT_UNDERSTOOD, { at: withoutDetails, transport });
    }
  });

  test("28 a client that goes before its handshake gets no hooks", async () => {
    const hub = await Hub.open(server, { hasHandshake: false });
    await hub.raw('{"protocol":"json"');
    hub.link.socket.close();
    await hub.end();
    const { connected, disconnected } = await server.hooks(hub.id);
    assert.deepEqual([connected, disconnected], [0, 0]);
  });

  test("29 the handshake and the first invocation may share a message", async () => {
    for (const transport of TRANSPORTS) {
      const hub = await Hub.open(server, { transport, hasHandshake: false });
      await hub.raw(handshake() + record({ type: TYPE.invocation, invocationId: "1", target: "Echo", arguments: ["first"] }));
      assert.equal(await hub.handshakeAnswered(), "{}\x1e");
      assert.equal((await hub.completion("1")).result, "first");
      hub.cut();
    }
    const packed = await Hub.open(server, { protocol: messagepack, hasHandshake: false });
    const call = messagepack.encode({ type: TYPE.invocation, invocationId: "1", target: "Echo", arguments: ["first"] });
    await packed.raw(Buffer.concat([Buffer.from(handshake(messagepack)), call]));
    assert.equal((await packed.completion("1")).result, "first");
    packed.cut();
  });

  test("29 the handshake may come byte by byte, as all that follows", async () => {
    for (const transport of TRANSPORTS) {
      const hub = await Hub.open(server, { transport, hasHandshake: false });
      for (const character of handshake()) await hub.raw(character);
      assert.equal(await hub.handshakeAnswered(), "{}\x1e");
      for (const character of record({ type: TYPE.invocation, invocationId: "1", target: "Echo", arguments: ["x"] })) await hub.raw(character);
      assert.equal((await hub.completion("1")).result, "x");
      hub.cut();
    }
  });

  test("30 the versions up to 2 are accepted, and the protocol's name in any case", async () => {
    for (const version of [0, 1, 2]) {
      for (const protocol of [json, messagepack]) {
        const hub = await Hub.open(server, { version, protocol });
        assert.equal(await hub.result("Echo", "x"), "x", `version ${version} of ${protocol.name}`);
        hub.cut();
      }
    }
    for (const [name, protocol] of [["JSON", json], ["Json", json], ["MessagePack", messagepack]]) {
      const hub = await Hub.open(server, { protocol, hasHandshake: false });
      await hub.raw(record({ protocol: name, version: 1 }));
      assert.equal(await hub.handshakeAnswered(), "{}\x1e", name);
      assert.equal(await hub.result("Echo", "x"), "x", name);
      hub.cut();
    }
  });
});
