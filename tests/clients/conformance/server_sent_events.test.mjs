/** The Server-Sent Events transport. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { until, within } from "../waiting.mjs";
import { Hub, TYPE, handshake, record } from "./hub.mjs";
import { TestServer } from "./test_server.mjs";
import { EventStream, RawConnection } from "./wire.mjs";

/** @type {TestServer} */
let server;

before(async () => {
  server = await TestServer.start();
});

after(() => server?.dispose());

async function reserve() {
  return `/testhub?id=${(await server.negotiate()).json.connectionToken}`;
}

function withoutSpaces(text) {
  return text.replaceAll(" ", "");
}

test("17 headers and a comment arrive before any message, and nothing compresses, buffers or caches", async () => {
  const path = await reserve();
  const { status, headers, stream } = await EventStream.open(server.url + path, { "accept-encoding": "gzip, deflate, br" });
  assert.equal(status, 200);
  assert.match(headers["content-type"], /^text\/event-stream\b/);
  assert.equal(withoutSpaces(headers["cache-control"]), "no-cache,no-store");
  assert.equal(headers.pragma, "no-cache");
  assert.equal(headers["content-encoding"], "identity");
  assert.equal(headers["content-length"], undefined);
  await until("the comment has arrived", async () => stream.text === ":\r\n");

  const { status: posted, headers: answered, text } = await server.request(path, { method: "POST", body: handshake() });
  assert.deepEqual([posted, text], [200, ""]);
  assert.match(answered["content-type"], /^text\/plain\b/);
  assert.equal(await stream.events.take("the handshake's answer"), "{}\x1e");
  await server.request(path, { method: "POST", body: record({ type: TYPE.invocation, invocationId: "1", target: "Echo", arguments: ["a\nb\r\nc"] }) });
  assert.deepEqual(JSON.parse((await stream.events.take("the Completion")).slice(0, -1)).result, "a\nb\r\nc");
  const [comment, first, ...rest] = stream.text.split("\r\n");
  assert.deepEqual([comment, first, rest.length], [":", "data: {}\x1e", 4]);
  stream.cut();
});

test("17 the media type may be one of several", async () => {
  const { status, headers, stream } = await EventStream.open(server.url + (await reserve()), { accept: "text/html, text/event-stream;q=0.9, */*;q=0.1" });
  assert.equal(status, 200);
  assert.match(headers["content-type"], /^text\/event-stream\b/);
  stream.cut();
});

test("17 the event stream wins over an upgrade in the same request", async () => {
  const connection = await RawConnection.open(server.url);
  connection.send([
    `GET ${await reserve()} HTTP/1.1`, "Host: localhost", "Accept: text/event-stream", "Connection: Upgrade", "Upgrade: websocket",
    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", "",
  ].join("\r\n"));
  const head = await connection.receive("the comment", (bytes) => bytes.includes("\r\n\r\n"));
  assert.match(head.toString(), /^HTTP\/1\.1 200 /);
  connection.socket.destroy();
});

test("17 24 what is posted before the stream is opened is not lost", async () => {
  const path = await reserve();
  const body = handshake() + record({ type: TYPE.invocation, invocationId: "1", target: "Echo", arguments: ["early"] });
  assert.equal((await server.request(path, { method: "POST", body })).status, 200);
  const { stream } = await EventStream.open(server.url + path);
  await stream.events.take("the handshake's answer", (data) => data.startsWith("{}\x1e"));
  await until("the Completion has arrived", async () => stream.text.includes('"early"'));
  stream.cut();
});

test("17 24 a message may be split over several POSTs, and several may be in one, whatever the content type", async () => {
  const hub = await Hub.open(server, { transport: "ServerSentEvents" });
  const path = hub.url.slice(server.url.length);
  const text = ["1", "2", "3"].map((id) => record({ type: TYPE.invocation, invocationId: id, target: "Echo", arguments: [id] })).join("");
  const types = ["text/plain;charset=UTF-8", "application/octet-stream", "text/plain", undefined];
  for (const [index, type] of types.entries()) {
    const body = text.slice(index * 20, index < types.length - 1 ? index * 20 + 20 : undefined);
    const answer = await server.request(path, { method: "POST", body, headers: type ? { "content-type": type } : {} });
    assert.deepEqual([answer.status, answer.text], [200, ""], type);
  }
  for (const id of ["1", "2", "3"]) assert.equal((await hub.completion(id)).result, id);
  hub.cut();
});

test("17 when the hub ends, the stream ends whole", async () => {
  const hub = await Hub.open(server, { transport: "ServerSentEvents" });
  await hub.notify("Abort");
  const { isWhole, close } = await hub.end();
  assert.deepEqual({ isWhole, close }, { isWhole: true, close: { type: TYPE.close } });
});

test("25 a client that drops its event stream leaves nothing behind", async () => {
  const own = await TestServer.start();
  try {
    const before = await own.counts();
    const hubs = await Promise.all(Array.from({ length: 5 }, () => Hub.open(own, { transport: "ServerSentEvents" })));
    const during = await own.counts();
    assert.deepEqual([during.transports, during.connections], [before.transports + 5, before.connections + 5]);
    const silent = await EventStream.open(`${own.url}/testhub?id=${(await own.negotiate()).json.connectionToken}`);
    silent.stream.cut();
    for (const hub of hubs) {
      hub.cut();
      await within("the disconnected hook runs", own.disconnected(hub.id));
    }
    await until("the numbers are as before", async () => {
      const { connections, transports, reservations, tasks } = await own.counts();
      return connections === 0 && transports === 0 && reservations === 0 && tasks <= before.tasks;
    });
    const path = hubs[0].url.slice(own.url.length);
    assert.equal((await own.request(path, { method: "POST", body: "x" })).status, 404);
  } finally {
    await own.dispose();
  }
});
