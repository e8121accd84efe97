/** How connections end, by whom and with which words, and the timers. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { until, within } from "../waiting.mjs";
import { Hub, TRANSPORTS, TYPE, handshake, json, messagepack, record } from "./hub.mjs";
import { Polls } from "./polls.mjs";
import { TestServer } from "./test_server.mjs";

/** @type {TestServer} */
let server;
/** @type {TestServer} */
let withoutDetails;
/** With timers that a test can wait for. @type {TestServer} */
let hasty;

before(async () => {
  [server, withoutDetails, hasty] = await Promise.all([
    TestServer.start(),
    TestServer.start({ "no-detailed-errors": true }),
    TestServer.start({ "keep-alive-ms": 500, "client-timeout-ms": 1000 }),
  ]);
});

after(() => Promise.all([server?.dispose(), withoutDetails?.dispose(), hasty?.dispose()]));

/** What each transport says when it has been closed in the ordinary way. */
const CLOSED = { WebSockets: { code: 1000, reason: "" }, ServerSentEvents: { isWhole: true }, LongPolling: { status: 204 } };
const CLOSED_WITH_ERROR = "Connection closed with an error.";

/** The connection ends in the ordinary way of its transport; answers the Close message. */
async function ended(hub, transport = "WebSockets") {
  const { close, ...how } = await hub.end();
  assert.deepEqual(how, CLOSED[transport], transport);
  assert.deepEqual(hub.log.filter(({ type }) => type === TYPE.close).length, 1, "one Close message");
  assert.equal(hub.log.at(-1), close, "nothing after it");
  return close;
}

/**
 * The rows of the table of ends: how it comes about, what the client is told, and
 * whether the disconnected hook gets a failure.
 */
const ENDS = [
  ["the client sends Close", (hub) => hub.write({ type: TYPE.close }), {}, null],
  ["the client sends Close with an error", (hub) => hub.write({ type: TYPE.close, error: "tired" }), {}, /tired/],
  ["the client sends Close and may come back", (hub) => hub.write({ type: TYPE.close, allowReconnect: true }), {}, null],
  ["a method aborts the connection", (hub) => hub.notify("Abort"), {}, null],
  ["the application aborts the connection", (hub) => hub.server.control("POST", `/close/${hub.id}`), {}, null],
  ["the client breaks the protocol", (hub) => hub.write({ type: TYPE.invocation, target: "Echo" }), { error: /^InvalidDataException: .+/, allowReconnect: true }, /.+/],
  ["a message is too large", (hub) => hub.raw(`"${"x".repeat(33000)}"\x1e`), { error: /^InvalidDataException: The maximum message size of 32768B/, allowReconnect: true }, /.+/],
  ["a result cannot be serialised", (hub) => hub.call("Unserializable"), { error: /^\w+: .+/, allowReconnect: true }, /.+/],
];

describe("the Close message", () => {
  for (const [what, bringAbout, { error, ...expected }, failure] of ENDS) {
    test(`53 is right on every transport when ${what}`, async () => {
      for (const transport of TRANSPORTS) {
        const hub = await Hub.open(server, { transport });
        await bringAbout(hub);
        const { error: said, ...close } = await ended(hub, transport);
        assert.deepEqual(close, { type: TYPE.close, ...expected });
        if (!error) assert.equal(said, undefined);
        else assert.match(said.slice(CLOSED_WITH_ERROR.length + 1), error);
        const hooks = await server.disconnected(hub.id);
        assert.deepEqual([hooks.connected, hooks.disconnected], [1, 1]);
        if (failure) assert.match(hooks.failure ?? "none", failure);
        else assert.equal(hooks.failure, null);
      }
      if (!error) return;
      const plain = await Hub.open(withoutDetails);
      await bringAbout(plain);
      assert.deepEqual(await ended(plain), { type: TYPE.close, error: CLOSED_WITH_ERROR, ...expected });
    });
  }

  test("53 says that the client may come back, and no error, when its token has expired", async () => {
    // The server under test lets no connection outlive its token, which is for each server to choose.
    const token = await server.token("ada", 1);
    const hubs = await Promise.all(TRANSPORTS.map((transport) => Hub.open(server, { path: "/authorizedhub", transport, token })));
    for (const hub of hubs) {
      assert.deepEqual(await hub.take("the Close", ({ type }) => type === TYPE.close), { type: TYPE.close, allowReconnect: true });
      await hub.end();
      assert.equal((await server.disconnected(hub.id)).disconnected, 1);
    }
  });

  test("53 is the last thing that is read: what the client sends after its own is not", async () => {
    const hub = await Hub.open(server);
    await hub.write({ type: TYPE.close }, { type: TYPE.invocation, invocationId: "1", target: "Echo", arguments: ["x"] });
    assert.deepEqual(await ended(hub), { type: TYPE.close });
    assert.equal(hub.log.length, 1);
  });

  test("53 is not waited for when the client closes or loses its transport", async () => {
    for (const transport of TRANSPORTS.filter((one) => one !== "LongPolling")) {
      for (const end of transport === "WebSockets" ? [(hub) => hub.link.socket.close(1000), (hub) => hub.cut()] : [(hub) => hub.cut()]) {
        const hub = await Hub.open(server, { transport });
        await end(hub);
        const { close } = await hub.end();
        if (close !== undefined) assert.deepEqual(close, { type: TYPE.close, allowReconnect: true });
        const hooks = await server.disconnected(hub.id);
        assert.deepEqual([hooks.connected, hooks.disconnected], [1, 1]);
      }
    }
  });

  test("53 comes after all that was sent before", async () => {
    for (const transport of TRANSPORTS) {
      const hub = await Hub.open(server, { transport });
      await hub.write(...["a", "b", "c"].map((text) => ({ type: TYPE.invocation, target: "SendToCaller", arguments: [text] })), { type: TYPE.invocation, target: "Abort", arguments: [] });
      await ended(hub, transport);
      assert.deepEqual(hub.log.map((message) => message.arguments?.[0]), ["a", "b", "c", undefined]);
    }
  });

  const TOO_SLOW = [
    ["after the send timeout", { "send-timeout-ms": 1000, "output-bytes-max": 128 * 1024 * 1024 }],
    ["when too much waits for it", {}],
  ];
  for (const [when, flags] of TOO_SLOW) {
    test(`53 a client that does not read is cut ${when}, and others are served`, async () => {
      const own = await TestServer.start(flags);
      try {
        const hub = await Hub.open(own);
        hub.link.socket.connection.socket.pause();
        const other = await Hub.open(own);
        const large = "x".repeat(30000);
        const { failure } = await until("it is cut", async () => {
          await Promise.all(Array.from({ length: 10 }, () => own.send(hub.id, large)));
          const hooks = await own.hooks(hub.id);
          return hooks.disconnected ? hooks : undefined;
        });
        assert.notEqual(failure, null);
        assert.equal(await other.result("Echo", "x"), "x");
      } finally {
        await own.dispose();
      }
    });
  }
});

describe("timers", { concurrency: true }, () => {
  test("54 pings come at the interval on WebSockets and event streams, and not on Long Polling", async () => {
    const [socket, packed, events, polls] = await Promise.all([
      Hub.open(hasty), Hub.open(hasty, { protocol: messagepack }),
      Hub.open(hasty, { transport: "ServerSentEvents" }), Hub.open(hasty, { transport: "LongPolling" }),
    ]);
    for (const hub of [socket, packed, events]) {
      await until("three pings have come", async () => hub.pings.length >= 3);
      const gaps = hub.pings.slice(1).map((at, index) => at - hub.pings[index]);
      for (const gap of gaps) assert.ok(gap >= 400 && gap <= 2500, `${gap} ms between two pings`);
    }
    await polls.mark("no ping before this");
    assert.equal(polls.pings.length, 0);
    for (const hub of [socket, packed, events, polls]) hub.cut();
  });

  test("54 only a client that has pinged and falls silent is timed out", async () => {
    const ping = { type: TYPE.ping };
    const pinged = async (options = {}) => {
      const hub = await Hub.open(hasty, options);
      await hub.write(ping);
      return hub;
    };
    const silent = await Hub.open(hasty);
    const busy = await pinged();
    const working = await pinged();
    const waiting = await working.call("Wait", ["54-long"]);
    const polling = await pinged({ transport: "LongPolling" });

    let isOver = false;
    const chatter = (async () => {
      for (let said = 0; !isOver; said++) {
        assert.equal(await busy.result("Echo", `${said}`), `${said}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    })();

    // One after the other, so that those who stay have been there for two timeouts.
    for (const transport of ["WebSockets", "ServerSentEvents"]) {
      const left = await pinged({ transport });
      const since = Date.now();
      assert.deepEqual(await ended(left, transport), {
        type: TYPE.close, allowReconnect: true,
        error: `${CLOSED_WITH_ERROR} OperationCanceledException: Client hasn't sent a message/ping within the configured ClientTimeoutInterval.`,
      });
      assert.ok(Date.now() - since >= 900, "it had the time to say something");
      assert.notEqual((await hasty.disconnected(left.id)).failure, null);
    }
    isOver = true;
    await chatter;

    assert.equal(await silent.result("Echo", "never pinged"), "never pinged");
    await hasty.release("54-long");
    assert.equal((await working.completion(waiting)).result, "54-long");
    assert.equal(await polling.result("Echo", "polls"), "polls");
    for (const hub of [silent, busy, working, polling]) hub.cut();
  });
});

describe("hooks", () => {
  const FAILING = [["/uncreatable", "", /.+/], ["/testhub", "connected=fail", /^InvalidOperationException: no entry$/]];
  for (const [path, query, detail] of FAILING) {
    test(`55 a connected hook that fails, at ${path}, ends the connection for good, without a disconnected hook`, async () => {
      for (const transport of TRANSPORTS) {
        const hub = await Hub.open(server, { path, query, transport, hasHandshake: false });
        await hub.raw(handshake() + record({ type: TYPE.invocation, invocationId: "1", target: "Echo", arguments: ["x"] }));
        assert.equal(await hub.handshakeAnswered(), "{}\x1e");
        const { error, ...close } = await ended(hub, transport);
        assert.deepEqual(close, { type: TYPE.close });
        assert.equal(hub.log.length, 1, "nothing else was answered");
        assert.ok(error.startsWith(`${CLOSED_WITH_ERROR} `), error);
        assert.match(error.slice(CLOSED_WITH_ERROR.length + 1), detail);
        await until("the connection is gone", async () => (await server.request(hub.url.slice(server.url.length), { method: "DELETE" })).status === 404);
        assert.equal((await server.hooks(hub.id)).disconnected, 0);
      }
      const plain = await Hub.open(withoutDetails, { path, query, hasHandshake: false });
      await plain.raw(handshake());
      assert.deepEqual(await ended(plain), { type: TYPE.close, error: CLOSED_WITH_ERROR });
    });
  }

  test("55 what the connected hook sends comes after the handshake's answer and before any other", async () => {
    for (const transport of TRANSPORTS) {
      const hub = await Hub.open(server, { transport, query: "connected=message", hasHandshake: false });
      await hub.raw(handshake() + record({ type: TYPE.invocation, invocationId: "1", target: "Echo", arguments: ["x"] }));
      await hub.completion("1");
      assert.deepEqual(hub.log.map(({ target }) => target), ["ConnectedHook", undefined]);
      assert.deepEqual(await server.hooks(hub.id), { connected: 1, disconnected: 0, failure: null });
      hub.cut();
    }
  });
});

test("56 at shutdown every client is told that it may come back, also in the middle of things", async () => {
  const own = await TestServer.start();
  try {
    const kinds = [{}, { protocol: messagepack }, { transport: "ServerSentEvents" }, { isStateful: true, version: 2 }];
    const hubs = await Promise.all(kinds.map((kind) => Hub.open(own, kind)));
    await hubs[0].call("Wait", ["56-never"]);
    await hubs[1].stream("InfiniteStream");
    await hubs[1].result("Echo", "both have begun");
    const polls = await Polls.open(own);
    const poll = await polls.waiting();
    await own.negotiate();
    const stopped = own.stop();
    for (const [index, hub] of hubs.entries()) {
      const { close, code } = await hub.end();
      assert.deepEqual(close, { type: TYPE.close, allowReconnect: true }, JSON.stringify(kinds[index]));
      if (hub.link.socket) assert.equal(code, 1000);
    }
    const answer = await within("the poll is answered", poll.answer);
    assert.deepEqual([answer.status, json.decode(answer.body)], [200, [{ type: TYPE.close, allowReconnect: true }]]);
    assert.deepEqual(await stopped, { code: 0, signal: null });
  } finally {
    await own.dispose();
  }
});
