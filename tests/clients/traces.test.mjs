/** One trace from a call to all that follows from it, as a collector gets to know it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";

import { Client, Server, claims, connect, later, sequenceOf, sign, temporaryFolder, within } from "./support.mjs";
import { until } from "./waiting.mjs";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const CALLER = "b7ad6b7169203331";

/** The fields of a Protobuf message: number and value, those with a length as bytes. @param {Buffer} bytes */
function fields(bytes) {
  const found = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    const take = (length) => bytes.subarray(at, (at += length));
    const read = { 0: varint, 1: () => take(8).readBigUInt64LE(), 2: () => take(Number(varint())), 5: () => take(4).readUInt32LE() };
    assert.ok((key & 7) in read, `a wire type of Protobuf: ${key & 7}`);
    found.push({ field: key >> 3, value: read[key & 7]() });
  }
  return found;
}

/** All values of a field. @param {Buffer} bytes @param {number} field @returns {any[]} */
function all(bytes, field) {
  return fields(bytes).filter((it) => it.field === field).map(({ value }) => value);
}

/** Attributes as an object: texts and whole numbers. @param {Buffer[]} pairs */
function attributes(pairs) {
  return Object.fromEntries(pairs.map((pair) => {
    const [{ field, value }] = fields(all(pair, 2)[0]);
    return [String(all(pair, 1)[0]), field === 1 ? String(value) : Number(value)];
  }));
}

/** A collector that keeps the spans that it is told of (opentelemetry-proto, trace.proto). */
class Collector {
  static async start() {
    const collector = new Collector();
    collector.spans = [];
    collector.server = createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      assert.deepEqual([request.method, request.url, request.headers["content-type"]], ["POST", "/v1/traces", "application/x-protobuf"]);
      collector.take(Buffer.concat(chunks));
      response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
    }).listen(0, "127.0.0.1");
    await once(collector.server, "listening");
    return collector;
  }

  get url() {
    return `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (this.server.address()).port}`;
  }

  /** @param {Buffer} body */
  take(body) {
    for (const ofResource of all(body, 1)) {
      const { "service.instance.id": node, "service.name": service } = attributes(all(all(ofResource, 1)[0], 1));
      assert.equal(service, "signalbox");
      for (const span of all(ofResource, 2).flatMap((ofScope) => all(ofScope, 2))) {
        const [trace, id, parent] = [1, 2, 4].map((field) => all(span, field)[0]?.toString("hex") ?? "");
        const [begin, end] = [7, 8].map((field) => all(span, field)[0]);
        const [name, kind] = [String(all(span, 5)[0]), Number(all(span, 6)[0])];
        this.spans.push({ trace, id, parent, name, kind, begin, end, node, ...attributes(all(span, 9)) });
      }
    }
  }

  /** Those of a trace, once there are so many. @param {string} trace @param {number} count */
  async of(trace, count) {
    const found = () => this.spans.filter((span) => span.trace === trace);
    await until(`${count} spans of ${trace} of ${JSON.stringify(this.spans.map(({ trace, name }) => [trace, name]))}`, () => found().length >= count);
    assert.equal(found().length, count);
    return found();
  }

  async dispose() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** Runs with a collector and a server that tells it, and ends both. @param {string[]} args */
async function traced(run, args = []) {
  const collector = await Collector.start();
  const server = await Server.serve({ args: ["--otlp-endpoint", collector.url, "--node-id", "one", ...args] }).catch(async (error) => {
    await collector.dispose();
    throw error;
  });
  try {
    await run({ collector, server, client: new Client(server.url, sign(claims.dispatcher("north"))) });
  } finally {
    await server.dispose();
    await collector.dispose();
  }
}

/** @param {string} trace */
const headers = (trace, flags = "01") => ({ traceparent: `00-${trace}-${CALLER}-${flags}` });

/** What follows from a command: that each piece is there once, in its place. */
function checkCommand(spans, name, sequence) {
  const [command] = spans.filter((span) => span.name === name);
  assert.equal(command["signalbox.result"], "accepted");
  for (const part of ["commit", "relay", "log"]) {
    const found = spans.filter((span) => span.name === part);
    assert.equal(found.length, 1, part);
    assert.equal(found[0].parent, command.id, part);
    assert.equal(found[0]["signalbox.event.sequence"], sequence, part);
  }
  for (const span of spans) {
    assert.ok(span.begin <= span.end, span.name);
    assert.ok(span.begin >= command.begin || span.kind === 2, span.name);
  }
  return command;
}

const job = { title: "Boiler", customer: "Hotel", address: "1 Quay", region: "north", timezone: "Europe/Berlin", startUtc: "2027-01-04T08:00:00.000Z", endUtc: "2027-01-04T09:00:00.000Z" };

test("a call over HTTP, its command, its commit, its delivery and its log entry are one trace", () => traced(async ({ collector, client }) => {
  const made = await client.must("POST", "/api/jobs", job, headers(TRACE));
  const spans = await collector.of(TRACE, 5);
  const [call] = spans.filter((span) => span.name === "POST /api/jobs");
  assert.equal(call.parent, CALLER, "it is a part of the caller's");
  assert.deepEqual([call.kind, call["http.response.status_code"]], [2, 201]);
  assert.equal(checkCommand(spans, "create_job", sequenceOf(made)).parent, call.id);
}));

test("a call over the hub begins a trace", () => traced(async ({ collector, server, client }) => {
  const { body: made } = await client.must("POST", "/api/jobs", job, headers(TRACE));
  await collector.of(TRACE, 5);
  const { connection } = connect(server.url, sign(claims.dispatcher("north")));
  await within("the connection starts", connection.start());
  await connection.invoke("RescheduleJob", made.id, later(made, 30));
  await connection.stop();
  const isCall = (span) => span.name === "hub invocation";
  await until("the call is told of", () => collector.spans.some(isCall));
  const [call] = collector.spans.filter(isCall);
  assert.deepEqual([call.parent, call.kind], ["", 2]);
  const spans = await collector.of(call.trace, 5);
  assert.equal(checkCommand(spans, "reschedule_job", 2).parent, call.id);
}));

test("a caller who does not tell is not told of, and what is no traceparent is none", () => traced(async ({ collector, client }) => {
  const quiet = "1".repeat(32);
  await client.must("POST", "/api/jobs", job, headers(quiet, "00"));
  for (const bad of ["0".repeat(32), TRACE.toUpperCase(), "short"]) {
    await client.must("GET", "/api/jobs", undefined, headers(bad));
  }
  await client.must("GET", "/api/jobs", undefined, headers(TRACE));
  await collector.of(TRACE, 1);
  const reads = collector.spans.filter(({ name }) => name === "GET /api/jobs");
  assert.equal(reads.length, 4);
  assert.equal(reads.filter(({ parent }) => parent === "").length, 3, "the bad ones began traces of their own");
  assert.equal(new Set(reads.map(({ trace }) => trace)).size, 4);
  assert.ok(collector.spans.every(({ trace }) => trace !== quiet));
}));

test("one of many traces is told of when that is asked for", () => traced(async ({ collector, client }) => {
  for (let call = 0; call < 40; call++) await client.must("GET", "/api/jobs");
  await client.must("GET", "/api/jobs", undefined, headers(TRACE));
  await collector.of(TRACE, 1);
  assert.ok(collector.spans.length < 20, `${collector.spans.length} of 41`);
}, ["--trace-one-in", "1000000"]));

test("an event that is logged after a restart still belongs to its trace", async () => {
  const collector = await Collector.start();
  const folder = await temporaryFolder();
  try {
    const log = join(folder, "log");
    const args = ["--otlp-endpoint", collector.url, "--event-log-database-url", `sqlite://${join(log, "log.db")}`];
    let server = await Server.serve({ folder, args });
    const client = new Client(server.url, sign(claims.dispatcher("north")));
    const sequence = sequenceOf(await client.must("POST", "/api/jobs", job, headers(TRACE)));
    const before = await collector.of(TRACE, 4);
    const [command] = before.filter(({ name }) => name === "create_job");
    assert.ok(before.every(({ name }) => name !== "log"), "the log is away");
    await server.kill();
    await mkdir(log);
    server = await Server.serve({ folder, args });
    try {
      const after = (await collector.of(TRACE, 6)).slice(4);
      assert.deepEqual(after.map(({ name }) => name).sort(), ["log", "relay"]);
      assert.ok(after.every((span) => span.parent === command.id && span["signalbox.event.sequence"] === sequence));
    } finally {
      await server.dispose();
    }
  } finally {
    await collector.dispose();
  }
});

test("a collector that does not answer holds nobody up", async () => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (silent.address());
  const server = await Server.serve({ args: ["--otlp-endpoint", `http://127.0.0.1:${port}`, "--stop-timeout-seconds", "1"] });
  try {
    const client = new Client(server.url, sign(claims.dispatcher("north")));
    const reads = Array.from({ length: 2000 }, (_, call) => call);
    while (reads.length) await Promise.all(reads.splice(0, 50).map(() => client.must("GET", "/api/jobs?limit=1")));
    const { code } = await server.stop();
    assert.equal(code, 0);
  } finally {
    await server.dispose();
    silent.closeAllConnections();
    silent.close();
  }
});

if (process.env.SIGNALBOX_TEST_DATABASE === "postgres") {
  test("another node's delivery belongs to the trace", () => traced(async ({ collector, server, client }) => {
    const other = await Server.serve({ folder: server.folder, args: ["--otlp-endpoint", collector.url, "--node-id", "two"] });
    try {
      await client.must("POST", "/api/jobs", job, headers(TRACE));
      const spans = await collector.of(TRACE, 6);
      const [command] = spans.filter(({ name }) => name === "create_job");
      const relays = spans.filter(({ name, parent }) => name === "relay" && parent === command.id);
      assert.deepEqual(relays.map(({ node }) => node).sort(), ["one", "two"]);
    } finally {
      await other.stop();
    }
  }));
}
