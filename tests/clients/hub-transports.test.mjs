/** The product's hub over every transport and protocol, as the official client sees it. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import * as signalR from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

import { Client, Inbox, Server, claims, later, secondsFromNow, sequenceOf, sign, utc, within } from "./support.mjs";

const { WebSockets, ServerSentEvents, LongPolling } = signalR.HttpTransportType;

const PAIRS = [
  ["JSON over WebSockets", WebSockets, false],
  ["MessagePack over WebSockets", WebSockets, true],
  ["JSON over Server-Sent Events", ServerSentEvents, false],
  ["JSON over long polling", LongPolling, false],
  ["MessagePack over long polling", LongPolling, true],
];

/** @type {Server} */
let server;
/** @type {Client} */
let dispatcher;

before(async () => {
  server = await Server.serve();
  dispatcher = new Client(server.url, sign(claims.dispatcher("north")));
});

after(() => server?.dispose());

/** A connection that is not started. */
function build(transport, isBinary, token, { url = server.url, stateful = false, reconnect = false } = {}) {
  const builder = new signalR.HubConnectionBuilder()
    .withUrl(`${url}/hub/dispatch`, { transport, accessTokenFactory: typeof token === "string" ? () => token : token })
    .configureLogging(signalR.LogLevel.None);
  if (isBinary) builder.withHubProtocol(new MessagePackHubProtocol());
  if (stateful) builder.withStatefulReconnect();
  if (reconnect) builder.withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 100 });
  return builder.build();
}

/** Runs with a started connection of a dispatcher, and stops it. */
async function live(transport, isBinary, settings, run) {
  const connection = build(transport, isBinary, sign(claims.dispatcher("north")), settings);
  const inbox = new Inbox(connection);
  await within("the connection starts", connection.start());
  try {
    await run(connection, inbox);
  } finally {
    await connection.stop();
  }
}

/** An event as the log has it. */
async function logged(sequence) {
  const { body } = await dispatcher.must("GET", `/api/events?after=${sequence - 1}&limit=1`);
  return body.items[0];
}

for (const [pair, transport, isBinary] of PAIRS) {
  describe(pair, { concurrency: true }, () => {
    test("events arrive with every member, in their order", () => live(transport, isBinary, {}, async (connection, inbox) => {
      await connection.invoke("JoinDispatchGroup", "north");
      const { body: job } = await dispatcher.job();
      const sequence = sequenceOf(await dispatcher.reschedule(job, { ...later(job, 30), reason: "Übergröße" }));
      await inbox.until(sequence);
      const [{ method, args: [event] }] = inbox.events.filter(({ args: [{ jobId }] }) => jobId === job.id).slice(-1);
      assert.equal(method, "JobRescheduled");
      assert.deepEqual(event, await logged(sequence));
      assert.deepEqual(Object.keys(event), Object.keys(await logged(sequence)));
    }));

    test("a subscription resumes without a gap", () => live(transport, isBinary, {}, async (connection, inbox) => {
      const from = sequenceOf(await dispatcher.job());
      const missed = [await dispatcher.job(), await dispatcher.job()].map(sequenceOf);
      const { complete, sequence } = await connection.invoke("Subscribe", { groups: ["dispatch/north"], after: from });
      assert.ok(complete && sequence >= missed[1]);
      const last = sequenceOf(await dispatcher.job());
      await inbox.until(last);
      const expected = Array.from({ length: last - from }, (_, index) => from + 1 + index);
      assert.deepEqual(inbox.sequences.slice(0, expected.length), expected);
    }));

    test("a job is changed, and a refusal says its code", () => live(transport, isBinary, {}, async (connection) => {
      const { body: job } = await dispatcher.job();
      const window = later(job, 45);
      const moved = await connection.invoke("RescheduleJob", job.id, { ...window, ifMatch: 1 });
      assert.deepEqual(moved, (await dispatcher.must("GET", `/api/jobs/${job.id}`)).body);
      assert.equal(moved.startUtc, utc(Date.parse(window.startUtc)));
      await assert.rejects(connection.invoke("CancelJob", job.id, { ifMatch: 1 }), /version_mismatch: /);
      assert.equal((await connection.invoke("CancelJob", job.id, { reason: "ill" })).cancellationReason, "ill");
    }));

    test("a stream of events begins in the past and goes on until it is cancelled", () => live(transport, isBinary, {}, async (connection) => {
      const from = sequenceOf(await dispatcher.job());
      const past = sequenceOf(await dispatcher.job());
      const items = [];
      let arrived = () => {};
      const until = (sequence) => within(`event ${sequence} arrives`, new Promise((resolve) => {
        arrived = () => items.some((event) => event.sequence === sequence) && resolve(undefined);
        arrived();
      }));
      const subscription = connection.stream("StreamEvents", { groups: ["dispatch/north"], after: from }).subscribe({
        next: (event) => {
          items.push(event);
          arrived();
        },
        error: (error) => assert.fail(error),
        complete: () => {},
      });
      await until(past);
      const next = sequenceOf(await dispatcher.job());
      await until(next);
      subscription.dispose();
      assert.deepEqual(items[0], await logged(from + 1));
      assert.deepEqual(items.map(({ sequence }) => sequence), items.map((_, index) => from + 1 + index));
    }));

    test("a token that is renewed in time keeps the connection, and every event", async () => {
      const expires = secondsFromNow(3);
      let token = sign({ ...claims.dispatcher("north"), exp: expires });
      const connection = build(transport, isBinary, () => token);
      const inbox = new Inbox(connection);
      await within("the connection starts", connection.start());
      const { sequence } = await connection.invoke("Subscribe", { groups: ["dispatch/north"] });
      const renewal = { ...claims.dispatcher("north"), exp: secondsFromNow(600) };
      // The client asks for it once, so its requests go on with the older one.
      token = sign(renewal);
      let last = sequenceOf(await dispatcher.job());
      const renewing = connection.invoke("RenewToken", token);
      // The sweep that would have closed it comes within a second.
      while (Date.now() < (expires + 1.5) * 1000) {
        last = sequenceOf(await dispatcher.job());
        await pause(50);
      }
      assert.deepEqual(await renewing, { expiresAt: utc(renewal.exp * 1000) });
      await inbox.until(last);
      const expected = Array.from({ length: last - sequence }, (_, index) => sequence + 1 + index);
      assert.deepEqual(inbox.sequences.slice(0, expected.length), expected);
      await assert.rejects(connection.invoke("RenewToken", "nonsense"), /unauthenticated: /);
      await connection.invoke("JoinDispatchGroup", "north");
      await connection.stop();
    });

    test("an expired token ends the connection, and the client returns with a fresh one", async () => {
      let token = sign({ ...claims.dispatcher("north"), exp: secondsFromNow(3) });
      const connection = build(transport, isBinary, () => token, { reconnect: true });
      const lost = new Promise((resolve) => connection.onreconnecting(resolve));
      const back = new Promise((resolve) => connection.onreconnected(resolve));
      await within("the connection starts", connection.start());
      await within("the token ends it", lost);
      token = sign(claims.dispatcher("north"));
      await within("the client is back", back);
      await connection.invoke("JoinDispatchGroup", "north");
      await connection.stop();
    });
  });
}

describe("on every transport", () => {
  test("a foreign page is refused", async () => {
    const hub = `${server.url}/hub/dispatch`;
    const headers = { authorization: `Bearer ${dispatcher.token}`, origin: "http://evil.example" };
    const { body } = await dispatcher.call("POST", "/hub/dispatch/negotiate?negotiateVersion=1");
    const url = `${hub}?id=${body.connectionToken}`;
    for (const [method, more] of [["GET", { accept: "text/event-stream" }], ["GET", {}], ["POST", {}], ["DELETE", {}]]) {
      const answer = await fetch(url, { method, headers: { ...headers, ...more } });
      assert.equal(answer.status, 403, `${method} ${JSON.stringify(more)}`);
    }
    const own = await fetch(url, { headers: { authorization: headers.authorization } });
    assert.equal(own.status, 200, "the connection was left alone");
  });

  test("a client may ask for stateful reconnect", () => live(WebSockets, false, { stateful: true }, async (connection, inbox) => {
    await connection.invoke("JoinDispatchGroup", "north");
    await inbox.until(sequenceOf(await dispatcher.job()));
    const { body } = await dispatcher.call("POST", "/hub/dispatch/negotiate?negotiateVersion=1&useStatefulReconnect=true");
    assert.equal(body.useStatefulReconnect, true);
  }));
});
