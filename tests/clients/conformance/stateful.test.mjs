/** Stateful reconnect: a connection that outlives its socket. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { until, within } from "../waiting.mjs";
import { Hub, TRANSPORTS, TYPE, record } from "./hub.mjs";
import { StatefulPeer } from "./stateful_peer.mjs";
import { TestServer, bearer } from "./test_server.mjs";

/** @type {TestServer} */
let server;
/** Waits a second for a socket to come back. @type {TestServer} */
let hasty;

before(async () => {
  [server, hasty] = await Promise.all([TestServer.start(), TestServer.start({ "disconnect-timeout-ms": 1000, "client-timeout-ms": 1500 })]);
});

after(() => Promise.all([server?.dispose(), hasty?.dispose()]));

const upTo = (last) => Array.from({ length: last }, (_, index) => index + 1);
const numbersOf = (peer) => peer.log.filter(({ target }) => target === "Number").map((message) => message.arguments[0]);
const hasType = (type) => (message) => message.type === type;

/** The connection cannot be had again. */
async function isRefused(peer) {
  const status = await peer.attach();
  assert.ok([404, 409].includes(status), `a new socket gets ${status}`);
}

/** Once the server has acknowledged everything, it has read everything. */
async function allIsRead(peer) {
  await until("the server has acknowledged everything", async () => peer.copies.length === 0);
}

describe("a lost socket", { concurrency: true }, () => {
  test("57 in the middle of traffic loses, doubles and disorders nothing, and nobody notices", async () => {
    const peer = await StatefulPeer.open(server);
    const other = await Hub.open(server);
    await peer.result("JoinGroup", "57");
    const rounds = 8;
    for (let round = 0; round < rounds; round++) {
      const sending = server.numbers(peer.id, round * 100 + 1, round * 100 + 100);
      for (let number = round * 50 + 1; number <= round * 50 + 50; number++) peer.notify("Number", number);
      await until("some have come", async () => numbersOf(peer).length > round * 100 + 10);
      if (round % 3 === 0) peer.acknowledge();
      peer.cut();
      for (let number = 0; number < 2; number++) peer.copies.push({ number: ++peer.sent, text: record({ type: TYPE.invocation, target: "Number", arguments: [-round - number / 2] }) });
      assert.equal(await peer.reopen(), 101);
      await sending;
    }
    await peer.take("the last number", ({ target, arguments: args }) => target === "Number" && args[0] === rounds * 100);
    assert.deepEqual(numbersOf(peer), upTo(rounds * 100));
    assert.equal(await peer.result("GetCallerConnectionId"), peer.id);
    assert.deepEqual(await server.hooks(peer.id), { connected: 1, disconnected: 0, failure: null });
    await other.result("SendToGroup", "57", "still a member");
    assert.equal((await peer.take("the group's message", ({ target }) => target === "Send")).arguments[0], "still a member");
    peer.cut();
    other.cut();
  });

  test("57 keeps what the client sent in order, once each", async () => {
    const peer = await StatefulPeer.open(server);
    for (let round = 0; round < 6; round++) {
      for (let number = 1; number <= 50; number++) peer.notify("Number", round * 50 + number);
      peer.cut();
      assert.equal(await peer.reopen(), 101);
    }
    assert.deepEqual(await peer.result("Numbers"), upTo(300));
    peer.cut();
  });

  test("57 leaves streams, invocations and questions as they are", async () => {
    const peer = await StatefulPeer.open(server);
    peer.call("Counter", [40, 5], { type: TYPE.streamInvocation, invocationId: "counter" });
    peer.call("StreamingConcat", [], { invocationId: "concat", streamIds: ["up"] });
    peer.send({ type: TYPE.streamItem, invocationId: "up", item: "a" });
    const asking = peer.call("AskCaller", ["question"]);
    await peer.take("an item", hasType(TYPE.streamItem));
    const question = await peer.take("the question", ({ target }) => target === "Answer");
    peer.cut();
    await server.send(peer.id, "while away");
    assert.equal(await peer.reopen(), 101);
    peer.send({ type: TYPE.streamItem, invocationId: "up", item: "b" });
    peer.send({ type: TYPE.completion, invocationId: "up" });
    peer.send({ type: TYPE.completion, invocationId: question.invocationId, result: "answer" });
    assert.equal((await peer.completion("concat")).result, "ab");
    assert.equal((await peer.completion(asking)).result, "answer");
    await peer.completion("counter");
    assert.deepEqual(peer.log.filter(hasType(TYPE.streamItem)).map(({ item }) => item), upTo(40).map((number) => number - 1));
    await peer.take("what was sent meanwhile", ({ target }) => target === "Send");
    peer.cut();
  });

  test("57 takes the part of a message that it had with it", async () => {
    const peer = await StatefulPeer.open(server);
    const text = record({ type: TYPE.invocation, target: "Number", arguments: [1] });
    peer.copies.push({ number: ++peer.sent, text });
    peer.write(text.slice(0, 25));
    await until("the server has seen the first half", async () => (await server.hooks(peer.id)).connected === 1);
    peer.cut();
    assert.equal(await peer.reopen(), 101);
    assert.deepEqual(await peer.result("Numbers"), [1]);
    peer.cut();
  });

  test("58 is followed by a Sequence with the oldest message that is not acknowledged, and then these", async () => {
    const peer = await StatefulPeer.open(server);
    const echoed = [];
    // What is acknowledged has come on the socket that is lost, and leaves two behind.
    for (const first of [1, 4, 7]) {
      for (const number of [first, first + 1, first + 2]) echoed.push(await peer.result("Echo", `${number}`));
      peer.acknowledge(first);
      echoed.push(await peer.result("Echo", "after the Ack"));
      peer.acknowledge(peer.latest - 2);
      await peer.result("VoidResult");
      echoed.push(null);
      const oldest = peer.latest - 2;
      peer.cut();
      assert.equal(await peer.reopen(), 101);
      await until("the replay has come", async () => peer.arrivals.length >= 4);
      assert.deepEqual(peer.arrivals[0], { type: TYPE.sequence, sequenceId: oldest });
      assert.deepEqual(peer.arrivals.slice(1, 4).map(({ result }) => result), echoed.slice(-3));
    }
    assert.deepEqual(peer.log.map(({ result }) => result), echoed, "no replay counts as new");
    peer.cut();
  });

  test("58 is followed by a Sequence with all that was not acknowledged, if nothing was", async () => {
    const peer = await StatefulPeer.open(server);
    for (const text of ["one", "two", "three"]) await peer.result("Echo", text);
    for (let lost = 0; lost < 3; lost++) {
      peer.cut();
      assert.equal(await peer.reopen(), 101);
      await until("the replay has come", async () => peer.arrivals.length >= 4);
      assert.deepEqual(peer.arrivals[0], { type: TYPE.sequence, sequenceId: 1 });
      assert.deepEqual(peer.arrivals.slice(1, 4).map(({ result }) => result), ["one", "two", "three"]);
    }
    peer.cut();
  });

  test("58 and an Ack of what only an earlier socket brought: the Sequence leaves out nothing that lacks one", async () => {
    const peer = await StatefulPeer.open(server);
    for (const text of ["one", "two", "three"]) await peer.result("Echo", text);
    peer.cut();
    assert.equal(await peer.reopen(), 101);
    peer.acknowledge(2);
    await peer.result("Echo", "four");
    peer.cut();
    assert.equal(await peer.reopen(), 101);
    await peer.result("Echo", "five");
    const [{ type, sequenceId }, ...replay] = peer.arrivals;
    // It may name acknowledged messages again, which the client drops: a client that has
    // acknowledged more than this socket brought ends the connection if they are left out.
    assert.ok(type === TYPE.sequence && sequenceId <= 3, `${type} ${sequenceId}`);
    const all = ["one", "two", "three", "four", "five"];
    assert.deepEqual(replay.filter(hasType(TYPE.completion)).map(({ result }) => result), all.slice(sequenceId - 1));
    assert.deepEqual(peer.log.map(({ result }) => result), all);
    peer.cut();
  });

  test("58 is followed by a Sequence with the next number if everything is acknowledged", async () => {
    const fresh = await StatefulPeer.open(server);
    fresh.cut();
    assert.equal(await fresh.reopen(), 101);
    await until("the Sequence has come", async () => fresh.arrivals.length >= 1);
    assert.deepEqual(fresh.arrivals[0], { type: TYPE.sequence, sequenceId: 1 });
    fresh.cut();

    const peer = await StatefulPeer.open(server);
    await peer.result("Echo", "one");
    await peer.result("Echo", "two");
    peer.acknowledge();
    peer.notify("Number", 1);
    await allIsRead(peer);
    peer.cut();
    assert.equal(await peer.reopen(), 101);
    await until("the Sequence has come", async () => peer.arrivals.length >= 1);
    assert.deepEqual(peer.arrivals[0], { type: TYPE.sequence, sequenceId: 3 });
    assert.equal(await peer.result("Echo", "three"), "three");
    peer.cut();
  });

  test("58 is followed by what was sent meanwhile", async () => {
    const peer = await StatefulPeer.open(server);
    peer.cut();
    await server.numbers(peer.id, 1, 20);
    assert.equal(await peer.reopen(), 101);
    await peer.take("the last number", ({ target, arguments: args }) => target === "Number" && args[0] === 20);
    assert.deepEqual(numbersOf(peer), upTo(20));
    assert.equal(peer.arrivals[0].type, TYPE.sequence);
    peer.cut();
  });

  test("58 60 need not be followed by a Sequence of the client", async () => {
    const peer = await StatefulPeer.open(server);
    peer.notify("Number", 1);
    await allIsRead(peer);
    peer.cut();
    assert.equal(await peer.attach(), 101);
    peer.notify("Number", 2);
    assert.deepEqual(await peer.result("Numbers"), [1, 2]);
    peer.cut();
  });
});

describe("an Ack", { concurrency: true }, () => {
  test("59 of the server comes at most once a second, and says how far it has read", async () => {
    const peer = await StatefulPeer.open(server);
    for (const number of upTo(5)) peer.notify("Number", number);
    await allIsRead(peer);
    assert.equal(peer.acks.at(-1).sequenceId, 5);
    for (const last of [6, 7]) {
      peer.notify("Number", last);
      await allIsRead(peer);
    }
    const sequenceIds = peer.acks.map(({ sequenceId }) => sequenceId);
    assert.deepEqual(sequenceIds, [...new Set(sequenceIds)].sort((a, b) => a - b), "only if there is something new");
    for (const [index, { at }] of peer.acks.slice(1).entries()) assert.ok(at - peer.acks[index].at >= 800, "not more often");
    peer.cut();
  });

  test("59 of the client makes room: far more than the buffer goes through", async () => {
    const peer = await StatefulPeer.open(server);
    peer.acknowledges = true;
    for (let sent = 0; sent < 20; sent++) await peer.result("SendToCaller", "x".repeat(30000));
    assert.equal(peer.log.filter(({ target }) => target === "Send").length, 20);
    peer.cut();
  });

  test("59 that is missing stalls the senders at the limit, and one that comes lets them go on", async () => {
    const own = await TestServer.start();
    try {
      const peer = await StatefulPeer.open(own);
      const sending = own.control("POST", "/broadcast?count=30&bytes=10000");
      const broadcasts = () => peer.log.filter(({ target }) => target === "Broadcast").length;
      let rounds = 0;
      while (broadcasts() < 30) {
        // What fits into the buffer, and at most one message more.
        const before = broadcasts();
        await until("the buffer is full", async () => broadcasts() >= Math.min(30, before + 10), 4000);
        assert.ok(broadcasts() - before <= 12, `${broadcasts() - before} messages without an Ack`);
        peer.acknowledge();
        rounds++;
      }
      assert.ok(rounds >= 3);
      await sending;
      assert.deepEqual(peer.log.map((message) => message.arguments[0]), peer.log.map((_, index) => index + peer.log[0].arguments[0]));
      peer.cut();
    } finally {
      await own.dispose();
    }
  });

  test("59 that never comes ends the connection with an error after five seconds", async () => {
    const own = await TestServer.start();
    try {
      const peer = await StatefulPeer.open(own);
      const sending = own.control("POST", "/broadcast?count=30&bytes=10000");
      const began = Date.now();
      const close = await peer.take("the Close", hasType(TYPE.close));
      const waited = Date.now() - began;
      assert.ok(waited >= 4500 && waited <= 8500, `it ends after ${waited} ms`);
      assert.match(close.error, /^Connection closed with an error\./);
      const broadcasts = peer.log.filter(({ target }) => target === "Broadcast").length;
      assert.ok(broadcasts >= 9 && broadcasts <= 12, `${broadcasts} messages without an Ack`);
      assert.notEqual((await own.disconnected(peer.id)).failure, null);
      await isRefused(peer);
      await sending;
    } finally {
      await own.dispose();
    }
  });

  test("59 60 beyond what was sent, or of old, does no harm", async () => {
    const peer = await StatefulPeer.open(server);
    assert.equal(await peer.result("Echo", "one"), "one");
    for (const sequenceId of [1000000, 0, 1]) peer.acknowledge(sequenceId);
    assert.equal(await peer.result("Echo", "two"), "two");
    peer.cut();
    assert.equal(await peer.reopen(), 101);
    assert.equal(await peer.result("Echo", "three"), "three");
    assert.deepEqual(peer.log.map(({ result }) => result), ["one", "two", "three"]);
    peer.cut();
  });
});

describe("a Sequence", { concurrency: true }, () => {
  test("60 that is too high ends the connection", async () => {
    const reopened = await StatefulPeer.open(server);
    reopened.notify("Number", 1);
    await allIsRead(reopened);
    reopened.cut();
    assert.equal(await reopened.reopen({ sequenceId: 3 }), 101);
    const live = await StatefulPeer.open(server);
    live.write(record({ type: TYPE.sequence, sequenceId: 2 }));
    for (const peer of [reopened, live]) {
      const close = await peer.take("the Close", hasType(TYPE.close));
      assert.match(close.error, /^Connection closed with an error\./);
      assert.equal((await within("the close frame", peer.socket.closed)).code, 1000);
      assert.notEqual((await server.disconnected(peer.id)).failure, null);
      await isRefused(peer);
    }
  });

  test("60 that goes back makes replays of what follows", async () => {
    const peer = await StatefulPeer.open(server);
    for (const number of upTo(3)) peer.notify("Number", number);
    peer.write(record({ type: TYPE.sequence, sequenceId: 2 }));
    for (const { text } of peer.copies.slice(1)) peer.write(text);
    peer.notify("Number", 4);
    assert.deepEqual(await peer.result("Numbers"), upTo(4));
    peer.cut();
  });

  test("60 or an Ack means nothing where stateful reconnect is off", async () => {
    const rows = [...TRANSPORTS.map((transport) => ({ transport })), { path: "/testhub-nostateful", isStateful: true, version: 2 }];
    for (const options of rows) {
      const hub = await Hub.open(server, options);
      await hub.write({ type: TYPE.sequence, sequenceId: 1000 }, { type: TYPE.ack, sequenceId: 1000 }, { type: TYPE.sequence, sequenceId: 0 });
      assert.equal(await hub.result("Echo", "x"), "x");
      hub.cut();
      if (options.transport !== "LongPolling") await server.disconnected(hub.id);
    }
  });

  test("60 handshake version 1 turns it off", async () => {
    const peer = await StatefulPeer.open(server, { version: 1 });
    await peer.result("Echo", "x");
    assert.equal(await peer.attach(), 409);
    assert.equal(await peer.result("Echo", "unharmed"), "unharmed");
    peer.cut();
    await server.disconnected(peer.id);
    await until("the connection is gone", async () => (await peer.attach()) === 404);
    assert.deepEqual(peer.acks, []);
  });
});

describe("a new socket", { concurrency: true }, () => {
  const ENDS = [
    ["a Close of the client", (peer) => peer.send({ type: TYPE.close })],
    ["a close frame of the client", (peer) => peer.socket.close(1000)],
    ["a close frame without a code", (peer) => peer.socket.close()],
    ["an abort by a method", (peer) => peer.notify("Abort")],
    ["an abort by the application", (peer) => server.control("POST", `/close/${peer.id}`)],
    ["a broken message", (peer) => peer.write("nonsense\x1e")],
  ];
  for (const [what, end] of ENDS) {
    test(`61 is refused after ${what}`, async () => {
      const peer = await StatefulPeer.open(server);
      await peer.result("Echo", "x");
      await end(peer);
      await within("the socket ends", peer.socket.ended);
      await isRefused(peer);
      const { disconnected } = await server.disconnected(peer.id);
      assert.equal(disconnected, 1);
      await until("the connection is gone", async () => (await peer.attach()) === 404);
    });
  }

  test("61 is refused after an abort while there was none", async () => {
    const peer = await StatefulPeer.open(server);
    peer.cut();
    await server.control("POST", `/close/${peer.id}`);
    await server.disconnected(peer.id);
    await isRefused(peer);
  });

  test("61 is refused after the disconnect timeout and after the client timeout", async () => {
    const [away, idle] = [await StatefulPeer.open(hasty), await StatefulPeer.open(hasty)];
    idle.send({ type: TYPE.ping });
    away.cut();
    const left = Date.now();
    await hasty.disconnected(away.id);
    assert.ok(Date.now() - left >= 800, "it is kept for the disconnect timeout");
    assert.equal(await away.attach(), 404);
    assert.match((await idle.take("the Close", hasType(TYPE.close))).error, /ClientTimeoutInterval/);
    await isRefused(idle);
    await hasty.disconnected(idle.id);
  });

  test("61 takes over from one that is still open", async () => {
    const peer = await StatefulPeer.open(server);
    await peer.result("Echo", "one");
    for (const text of ["two", "three"]) {
      const old = peer.socket;
      assert.equal(await peer.reopen(), 101);
      await within("the old socket ends", old.ended);
      assert.equal(await peer.result("Echo", text), text);
      assert.equal(peer.arrivals[0].type, TYPE.sequence);
    }
    assert.deepEqual(peer.log.map(({ result }) => result), ["one", "two", "three"]);
    assert.deepEqual(await server.hooks(peer.id), { connected: 1, disconnected: 0, failure: null });
    peer.cut();
  });

  test("61 26 of another user is refused, and the connection is unharmed", async () => {
    const [ada, ben] = [await server.token("ada"), await server.token("ben")];
    const peer = await StatefulPeer.open(server, { token: ada });
    assert.equal(await peer.attach(bearer(ben)), 403);
    assert.equal(await peer.result("Echo", "unharmed"), "unharmed");
    peer.cut();
    assert.equal(await peer.attach(bearer(ben)), 403);
    assert.equal(await peer.reopen(), 101);
    assert.equal(await peer.result("GetUserIdentifier"), "ada");
    peer.cut();
  });
});
