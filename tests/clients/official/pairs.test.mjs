/** Abilities of the protocol that are most likely to get in each other's way, in pairs. */

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import * as signalR from "@microsoft/signalr";
import * as msgpack from "@microsoft/signalr-protocol-msgpack";

import { CuttingProxy } from "./cutting_proxy.mjs";
import { Environment, Inbox, PAIRS, closing, itemsOf, nameOf, stillWorks, unique } from "./environment.mjs";
import { TestServer } from "./test_server.mjs";
import { deferred, handled, until, within } from "../waiting.mjs";

const TRANSPORTS = ["WebSockets", "ServerSentEvents", "LongPolling"];
const PROTOCOLS = ["json", "messagepack"];

/** What a test has started; ended after it, the last one first. @type {(() => unknown)[]} */
let endings = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/** Connections of one pair to a server; they are stopped after the test. */
function environment(url, transport, protocol) {
  const env = new Environment({ signalR, msgpack, url, pair: { transport, protocol } });
  endings.push(() => env.close());
  return env;
}

/** A server of the test's own. */
async function ownServer(...flags) {
  const server = await TestServer.start(...flags);
  endings.push(() => server.dispose());
  return server;
}

/** A proxy of the test's own before the server. */
async function ownProxy(server) {
  const proxy = await CuttingProxy.start(server.url);
  endings.push(() => proxy.dispose());
  return proxy;
}

/** The next time that the connection is lost, and the next time that it is back, with its new id. */
function comings(connection) {
  const [lost, back] = [deferred(), deferred()];
  connection.onreconnecting((error) => lost.resolve(error));
  connection.onreconnected((id) => back.resolve(id));
  return {
    lost: handled(within("the client notices", lost.promise)),
    back: handled(within("the client is back", back.promise)),
  };
}

for (const protocol of PROTOCOLS) {
  describe(`stateful reconnect with ${protocol}`, () => {
    /** @type {TestServer} */
    let server;
    /** @type {CuttingProxy} */
    let proxy;
    /** A client through the proxy. @type {Environment} */
    let cut;
    /** A client beside it. @type {Environment} */
    let direct;

    before(async () => {
      server = await TestServer.start();
    });

    after(() => server?.dispose());

    async function begin(settings) {
      proxy = await ownProxy(server);
      cut = environment(proxy.url, "WebSockets", protocol);
      direct = environment(server.url, "WebSockets", protocol);
      const connection = await cut.connect({ stateful: true, ...settings });
      await proxy.whenWebSockets(1);
      return connection;
    }

    /** Cuts the only WebSocket, and waits until its successor is in use. */
    async function cutOnce() {
      const count = proxy.webSockets;
      proxy.cutAll();
      await proxy.whenWebSockets(count + 1);
    }

    test("groups, id and user stay, and no hook runs", async () => {
      const user = unique("ann");
      direct = environment(server.url, "WebSockets", protocol);
      const connection = await begin({ token: await direct.token(user) });
      const id = connection.connectionId;
      const group = unique("group");
      const inbox = new Inbox(connection, "Send");
      const sender = await direct.connect();
      await connection.invoke("JoinGroup", group);
      for (let round = 1; round <= 3; round += 1) {
        await cutOnce();
        await sender.invoke("SendToGroup", group, `group ${round}`);
        await sender.invoke("SendToUser", user, `user ${round}`);
        await sender.invoke("SendToConnection", id, `id ${round}`);
      }
      const expected = [1, 2, 3].flatMap((round) => [[`group ${round}`], [`user ${round}`], [`id ${round}`]]);
      assert.deepEqual(await inbox.atLeast(9), expected);
      assert.equal(connection.connectionId, id);
      assert.equal(await connection.invoke("GetUserIdentifier"), user);
      assert.deepEqual(await direct.hooks(id), { connected: 1, disconnected: 0, failure: null });
    });

    test("what is sent while the socket is gone arrives", async () => {
      const connection = await begin();
      const inbox = new Inbox(connection, "Send");
      const sender = await direct.connect();
      const closed = closing(connection);
      proxy.fate = () => ({ bytes: 0, ms: 0, reset: true, half: false });
      proxy.cutAll();
      await sender.invoke("SendToConnection", connection.connectionId, "to the client");
      const answer = connection.invoke("Echo", "to the server");
      proxy.fate = () => undefined;
      assert.deepEqual(await inbox.atLeast(1), [["to the client"]]);
      assert.equal(await within("the echo comes back", Promise.race([answer, closed])), "to the server");
    });

    test("an invocation, a stream and an upload go on", async () => {
      const connection = await begin();
      const gate = unique("gate");
      const waiting = connection.invoke("Wait", gate);
      const counted = itemsOf(connection.stream("Counter", 200, 2));
      const subject = new signalR.Subject();
      const joined = connection.invoke("StreamingConcat", subject);
      for (const letter of "abcde") {
        subject.next(letter);
        await cutOnce();
      }
      subject.complete();
      await direct.release(gate);
      assert.equal(await within("the upload is read", joined), "abcde");
      assert.deepEqual(await counted, [...Array(200).keys()]);
      assert.equal(await within("the invocation completes", waiting), gate);
    });

    test("a question of the server's is answered over the next socket", async () => {
      const question = deferred();
      const answer = deferred();
      const connection = await begin({ on: { Answer: (value) => (question.resolve(value), answer.promise) } });
      const asker = await direct.connect();
      const asked = asker.invoke("AskConnection", connection.connectionId, "who?");
      assert.equal(await within("the question arrives", question.promise), "who?");
      await cutOnce();
      answer.resolve("me");
      assert.equal(await within("the answer arrives", asked), "me");
      proxy.cutAll();
      assert.equal(await within("another one", asker.invoke("AskConnection", connection.connectionId, "again?")), "me");
    });

    test("a connection that its application ends cannot be reopened", async () => {
      const connection = await begin();
      const id = connection.connectionId;
      const closed = closing(connection);
      await direct.ask("POST", `/close/${id}`);
      assert.equal(await closed, undefined);
      await until("the disconnected hook has run", async () => (await direct.hooks(id)).disconnected === 1);
    });

    test("a client that cannot reopen comes back as another connection", async () => {
      const connection = await begin({ reconnect: true });
      const id = connection.connectionId;
      const group = unique("group");
      await connection.invoke("JoinGroup", group);
      const { lost, back } = comings(connection);
      proxy.open(false);
      proxy.cutAll();
      await lost;
      proxy.open(true);
      const second = await back;
      assert.notEqual(second, id);
      const inbox = new Inbox(connection, "Send");
      const sender = await direct.connect();
      await sender.invoke("SendToGroup", group, "not for the new one");
      await sender.invoke("SendToConnection", second, "for the new one");
      assert.deepEqual(await inbox.atLeast(1), [["for the new one"]]);
      await cutOnce();
      await stillWorks(connection);
      assert.equal(connection.connectionId, second);
    });

    test("an endpoint without it closes at the first cut", async () => {
      const connection = await begin({ hub: "/testhub-nostateful" });
      const id = connection.connectionId;
      const closed = closing(connection);
      proxy.cutAll();
      assert.match((await closed).message, /1006/);
      await until("the disconnected hook has run", async () => (await direct.hooks(id)).disconnected === 1);
    });

    test("an acknowledgement that is lost does not hold the client up", async () => {
      const connection = await begin({ stateful: { bufferSize: 2000 } });
      proxy.isDeaf = true;
      const numbers = Array.from({ length: 200 }, (_, index) => index + 1);
      // Above the size of its buffer the client holds a send back until the server acknowledges.
      const sends = Promise.all(numbers.map((n) => connection.send("Number", n)));
      await until("the server's acknowledgement is lost", () => proxy.swallowed > 0);
      proxy.isDeaf = false;
      await cutOnce();
      await within("the sends are acknowledged after all", sends);
      assert.deepEqual(await connection.invoke("Numbers"), numbers);
    });
  });
}

describe("long polling with client results", () => {
  /** @type {TestServer} */
  let server;

  before(async () => {
    server = await TestServer.start("--poll-timeout-ms", "1000");
  });

  after(() => server?.dispose());

  for (const protocol of PROTOCOLS) {
    test(`${protocol}: questions from all sides at once are all answered`, async () => {
      const env = environment(server.url, "LongPolling", protocol);
      const on = { Answer: async (value) => `${value}!`, Result: () => 10 };
      const connection = await env.connect({ on });
      const other = await env.connect({ on });
      const id = connection.connectionId;
      const asked = Array.from({ length: 10 }, (_, index) => [
        connection.invoke("AskCaller", `own ${index}`),
        other.invoke("AskConnection", id, `other's ${index}`),
        env.ask("GET", `/clientresult/${id}`),
        connection.invoke("Echo", `echo ${index}`),
      ]).flat();
      const expected = Array.from({ length: 10 }, (_, index) => [`own ${index}!`, `other's ${index}!`, "10", `echo ${index}`]).flat();
      assert.deepEqual(await within("all are answered", Promise.all(asked)), expected);
    });

    test(`${protocol}: a question outlives the polls that wait meanwhile`, async () => {
      const env = environment(server.url, "LongPolling", protocol);
      const answer = deferred();
      const httpClient = new CountingClient();
      const connection = await env.connect({ on: { Answer: () => answer.promise }, options: { httpClient } });
      const asked = connection.invoke("AskCaller", "?");
      const polls = httpClient.polls;
      await until("two more polls have ended empty", () => httpClient.polls >= polls + 3);
      answer.resolve("at last");
      assert.equal(await within("the answer arrives", asked), "at last");
    });
  }
});

/** Counts the polls that a client sends. */
class CountingClient extends signalR.DefaultHttpClient {
  constructor() {
    super(signalR.NullLogger.instance);
    this.polls = 0;
  }

  send(request) {
    if (request.method === "GET") this.polls += 1;
    return super.send(request);
  }
}

describe("uploads with two invocations at once", () => {
  /** @type {TestServer} */
  let server;

  before(async () => {
    server = await TestServer.start("--parallel-invocations-max", "2");
  });

  after(() => server?.dispose());

  for (const { transport, protocol } of PAIRS) {
    test(`${protocol} over ${transport}: uploads pass those that wait, a third invocation does not`, async () => {
      const env = environment(server.url, transport, protocol);
      const connection = await env.connect();
      const gates = [unique("gate"), unique("gate")];
      const waiting = gates.map((gate) => connection.invoke("Wait", gate));
      const uploads = ["a", "b", "c"].map((letter) => {
        const subject = new signalR.Subject();
        const joined = connection.invoke("StreamingConcat", subject);
        for (let count = 0; count < 20; count += 1) subject.next(letter);
        subject.complete();
        return joined;
      });
      assert.deepEqual(await within("the uploads are read", Promise.all(uploads)), ["a", "b", "c"].map((letter) => letter.repeat(20)));

      let isReleased = false;
      const third = connection.invoke("Echo", "third").then((text) => [text, isReleased]);
      isReleased = true;
      await env.release(gates[1]);
      assert.equal(await within("the second invocation completes", waiting[1]), gates[1]);
      assert.deepEqual(await within("the third invocation completes", third), ["third", true]);
      await env.release(gates[0]);
      assert.equal(await within("the first invocation completes", waiting[0]), gates[0]);
    });

    test(`${protocol} over ${transport}: two invocations run at once`, async () => {
      const env = environment(server.url, transport, protocol);
      const connection = await env.connect({ on: { Answer: (value) => value } });
      const gate = unique("gate");
      const waiting = connection.invoke("Wait", gate);
      assert.equal(await within("the other one completes", connection.invoke("Echo", "second")), "second");
      assert.equal(await within("the question is answered", connection.invoke("AskCaller", "third")), "third");
      await env.release(gate);
      assert.equal(await within("the first one completes", waiting), gate);
    });
  }
});

describe("a token that expires", () => {
  /** @type {TestServer} */
  let server;

  before(async () => {
    server = await TestServer.start();
  });

  after(() => server?.dispose());

  /** All transports at once, since each of them has to wait for the clock. */
  function overEach(act) {
    return Promise.all(TRANSPORTS.map((transport) => act(environment(server.url, transport, "json"), transport)));
  }

  test("closes the connection, and the client is back with the next one", () => overEach(async (env, transport) => {
    let tokens = 0;
    let seconds = 3;
    const connection = await env.connect({
      hub: "/authorizedhub", reconnect: true, token: () => (tokens += 1, env.token("testuser", seconds)),
    });
    const { lost, back } = comings(connection);
    const [first, used] = [connection.connectionId, tokens];
    seconds = 600;
    await lost;
    assert.notEqual(await back, first, transport);
    assert.ok(tokens > used, transport);
    assert.equal(await connection.invoke("AuthorizedOnly"), "ok", transport);
    await until("the disconnected hook has run", async () => (await env.hooks(first)).disconnected === 1);
  }));

  test("leaves a client without automatic reconnect closed", () => overEach(async (env, transport) => {
    const connection = await env.connect({ hub: "/authorizedhub", token: await env.token("testuser", 3) });
    const closed = closing(connection);
    await stillWorks(connection);
    await closed;
    assert.equal(connection.state, "Disconnected", transport);
  }));
});

describe("a server that crashes", () => {
  for (const pair of PAIRS) {
    test(`and comes back finds its clients again: ${nameOf(pair)}`, async () => {
      const server = await ownServer();
      const env = environment(server.url, pair.transport, pair.protocol);
      const connection = await env.connect({ reconnect: true });
      const first = connection.connectionId;
      const unanswered = connection.invoke("Wait", "for ever").then(() => "answered", () => "failed");
      const { lost, back } = comings(connection);
      await server.kill();
      await lost;
      assert.equal(await within("the invocation fails", unanswered), "failed");
      await server.revive();
      assert.notEqual(await back, first);
      await stillWorks(connection);
    });
  }
});

describe("a client that goes away while its answer is awaited", () => {
  /** @type {TestServer} */
  let server;

  before(async () => {
    server = await TestServer.start();
  });

  after(() => server?.dispose());

  for (const { transport, protocol } of PAIRS) {
    test(`${protocol} over ${transport}: everybody who asked is told`, async () => {
      const env = environment(server.url, transport, protocol);
      const direct = environment(server.url, "WebSockets", "json");
      const questions = [deferred(), deferred()];
      const never = () => new Promise(() => {});
      const connection = await env.connect({
        on: { Answer: () => (questions[0].resolve(), never()), Result: () => (questions[1].resolve(), never()) },
      });
      const id = connection.connectionId;
      const asker = await direct.connect();
      const asked = asker.invoke("AskConnection", id, 1).then(() => "answered", (error) => error.message);
      const outside = direct.ask("GET", `/clientresult/${id}`);
      await within("the questions arrive", Promise.all(questions.map(({ promise }) => promise)));
      await connection.stop();
      assert.match(await within("the hub method fails", asked), new RegExp(`Connection '${id}' disconnected\\.$`));
      assert.equal(await within("the code outside is told", outside), `Connection '${id}' disconnected.`);
      await stillWorks(asker);
    });
  }
});

describe("details of errors that are withheld", () => {
  test("leave hub exceptions their text", async () => {
    const server = await ownServer("--no-detailed-errors");
    for (const { transport, protocol } of PAIRS) {
      const env = environment(server.url, transport, protocol);
      const connection = await env.connect();
      const texts = await Promise.all([
        connection.invoke("ThrowException", "secret"),
        connection.invoke("ThrowNamed", "HubException", "not secret"),
        connection.invoke("Echo", 1, 2),
        itemsOf(connection.stream("StreamFailMidway", 1, "secret")),
      ].map((call) => call.then(() => "succeeded", (error) => error.message)));
      assert.deepEqual(texts, [
        "An unexpected error occurred invoking 'ThrowException' on the server.",
        "An unexpected error occurred invoking 'ThrowNamed' on the server. HubException: not secret",
        "Failed to invoke 'Echo' due to an error on the server.",
        "An error occurred on the server while streaming results.",
      ]);
      const closed = closing(connection);
      connection.invoke("Unserializable").catch(() => {});
      assert.equal((await closed).message, "Server returned an error on close: Connection closed with an error.");
    }
  });
});
