/** Hub messages in JSON: how they may be written, and what happens to those that are wrong. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Hub, PROTOCOLS, TRANSPORTS, TYPE, json, messagepack, record } from "./hub.mjs";
import { frame } from "./messagepack.mjs";
import { TestServer } from "./test_server.mjs";

/** @type {TestServer} */
let server;
/** @type {TestServer} */
let withoutDetails;

before(async () => {
  [server, withoutDetails] = await Promise.all([TestServer.start(), TestServer.start({ "no-detailed-errors": true })]);
});

after(() => Promise.all([server?.dispose(), withoutDetails?.dispose()]));

/** Every order of the items. */
function orders(items) {
  if (items.length < 2) return [items];
  return items.flatMap((first, index) => orders(items.toSpliced(index, 1)).map((rest) => [first, ...rest]));
}

/** The record of these properties in this order. @param {[string, unknown][]} properties */
function ordered(properties) {
  return `{${properties.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}\x1e`;
}

/** A message's records in every order of its properties, and with headers and properties nobody knows. */
function spellings(message, { hasHeaders = true } = {}) {
  const properties = Object.entries(message);
  const extra = [...(hasHeaders ? [["headers", { trace: "1", other: "" }]] : []), ["future", { deep: [1, { type: 3 }, null] }]];
  const last = properties.filter(([name]) => name !== "type");
  return [
    ...orders(properties).map(ordered),
    ordered([...extra, ...properties]),
    ordered([...properties, ...extra]),
    ordered([...last, ...extra, ["type", message.type]]),
  ];
}

describe("every spelling of", () => {
  test("31 an invocation is understood", async () => {
    const hub = await Hub.open(server);
    const texts = spellings({ type: TYPE.invocation, invocationId: "ID", target: "Echo", arguments: ["x"], streamIds: [] });
    for (const [index, text] of texts.entries()) {
      await hub.raw(text.replace("ID", `${index}`));
      assert.deepEqual(await hub.completion(`${index}`), { type: TYPE.completion, invocationId: `${index}`, result: "x" }, text);
    }
    hub.cut();
  });

  test("31 a streaming invocation is understood", async () => {
    const hub = await Hub.open(server);
    const texts = spellings({ type: TYPE.streamInvocation, invocationId: "ID", target: "Stream", arguments: [] });
    for (const [index, text] of texts.entries()) {
      await hub.raw(text.replace("ID", `${index}`));
      for (const expected of ["a", "b", "c"]) assert.equal(await hub.item(`${index}`), expected, text);
      assert.deepEqual(await hub.completion(`${index}`), { type: TYPE.completion, invocationId: `${index}` }, text);
    }
    hub.cut();
  });

  test("31 a stream item and a Completion is understood", async () => {
    const hub = await Hub.open(server);
    const items = spellings({ type: TYPE.streamItem, invocationId: "up", item: "x" });
    const ends = [
      ...spellings({ type: TYPE.completion, invocationId: "up" }),
      ...spellings({ type: TYPE.completion, invocationId: "up", result: null }),
    ];
    for (const end of ends) {
      const id = await hub.call("StreamingConcat", [], { streamIds: ["up"] });
      await hub.raw(items.join("") + end);
      assert.equal((await hub.completion(id)).result, "x".repeat(items.length), end);
    }
    for (const end of spellings({ type: TYPE.completion, invocationId: "up", error: "sad" })) {
      const id = await hub.call("StreamingConcat", [], { streamIds: ["up"] });
      await hub.raw(end);
      assert.match((await hub.completion(id)).error, /HubException: sad$/, end);
    }
    hub.cut();
  });

  test("31 a cancellation is understood", async () => {
    const hub = await Hub.open(server);
    for (const text of spellings({ type: TYPE.cancelInvocation, invocationId: "running" })) {
      await hub.stream("InfiniteStream", [], { invocationId: "running" });
      await hub.raw(text);
      assert.deepEqual(await hub.completion("running"), { type: TYPE.completion, invocationId: "running" }, text);
    }
    hub.cut();
  });

  test("31 a ping, an Ack, a Sequence and a Close is understood", async () => {
    const closes = [
      ...spellings({ type: TYPE.close }), ...spellings({ type: TYPE.close, allowReconnect: false }),
      ...spellings({ type: TYPE.close, error: "bye", allowReconnect: true }, { hasHeaders: false }),
    ];
    for (const close of closes) {
      const hub = await Hub.open(server);
      await hub.raw(spellings({ type: TYPE.ping }).join(""));
      for (const type of [TYPE.ack, TYPE.sequence]) await hub.raw(spellings({ type, sequenceId: 1 }).join(""));
      assert.equal(await hub.result("Echo", "x"), "x");
      await hub.raw(close);
      assert.deepEqual((await hub.end()).close, { type: TYPE.close }, close);
    }
  });

  test("31 JSON is understood: white space, escapes, and the last of two properties", async () => {
    const hub = await Hub.open(server);
    const texts = [
      ' \r\n\t{ "type" : 1 , "invocationId" : "1" , "target" : "Echo" , "arguments" : [ "x" ] } \n\x1e',
      '{"\\u0074ype":1,"invocation\\u0049d":"1","t\\u0061rget":"\\u0045cho","arguments":["\\u0078"]}\x1e',
      '{"type":6,"type":1,"target":"Nothing","invocationId":"2","arguments":[1,2],"invocationId":"1","target":"Echo","arguments":["x"]}\x1e',
    ];
    for (const text of texts) {
      await hub.raw(text);
      assert.equal((await hub.completion("1")).result, "x", text);
    }
    hub.cut();
  });
});

describe("what the server writes", () => {
  test("32 has no property that is null, but a result", async () => {
    const hub = await Hub.open(server);
    for (const target of ["VoidResult", "NullResult", "NoSuchMethod"]) await hub.invoke(target);
    await hub.invoke("ThrowException", "x");
    await hub.invoke("SendToCaller", "x");
    await hub.completion(await hub.stream("Stream"));
    await hub.completion(await hub.stream("StreamFailMidway", [1, "x"]));
    const asking = await hub.call("AskCaller", ["x"]);
    await hub.write({ type: TYPE.completion, invocationId: (await hub.called("Answer")).invocationId, result: "y" });
    await hub.completion(asking);
    await hub.raw("nonsense\x1e");
    await hub.end();

    const shapes = new Set(hub.log.map((message) => Object.keys(message).sort().join(" ")));
    assert.deepEqual(shapes, new Set([
      "invocationId result type", "error invocationId type", "arguments target type", "invocationId item type",
      "invocationId type", "arguments invocationId target type", "allowReconnect error type",
    ]));
    const nulls = hub.log.flatMap((message) => Object.entries(message)).filter(([, value]) => value === null).map(([name]) => name);
    assert.deepEqual(new Set(nulls), new Set(["result"]));
  });

  test("35 a null value and no value are an explicit null", async () => {
    for (const protocol of PROTOCOLS) {
      const hub = await Hub.open(server, { protocol });
      for (const target of ["NullResult", "VoidResult"]) {
        assert.deepEqual(await hub.invoke(target), { type: TYPE.completion, invocationId: `${hub.lastId}`, result: null }, `${target} in ${protocol.name}`);
      }
      hub.cut();
    }
  });

  test("35 values of JSON are as declared, and members that nobody knows are ignored", async () => {
    const hub = await Hub.open(server);
    const value = await hub.result("SendComplexObject");
    assert.equal(new Date(value.DateTime).toISOString(), "2000-01-01T00:00:00.000Z");
    assert.match(value.DateTime, /^2000-01-01T00:00:00/);
    assert.deepEqual({ ...value, DateTime: undefined }, {
      String: "hello world", IntArray: [1, 2, 3], ByteArray: "AQID", Guid: "00010203-0405-0607-0706-050403020100", DateTime: undefined,
    });
    assert.deepEqual(await hub.result("EchoComplexObject", { ...value, Future: { a: [1] } }), value);
    await hub.notify("SendCustomObject", { Name: "n", Value: 5, Future: null });
    assert.deepEqual((await hub.called("CustomObject")).arguments, [{ Name: "n", Value: 5 }]);
    hub.cut();
  });

  test("35 text comes back as it was, whatever it says", async () => {
    const texts = ["", "äöü €", "😀", "\u0000\u001f", '"\\/', "\u2028<script>", "a".repeat(5000), "\x1e"];
    for (const protocol of PROTOCOLS) {
      const hub = await Hub.open(server, { protocol });
      for (const text of texts) assert.equal(await hub.result("Echo", text), text);
      hub.cut();
    }
  });

  test("34 a message of an unknown type is ignored, and later messages still work", async () => {
    const unknown = [{ type: 10 }, { type: 99, target: "Echo", invocationId: "1", arguments: ["x"] }, { type: 0 }, { type: 12345, future: { deep: [] } }];
    for (const transport of TRANSPORTS) {
      const hub = await Hub.open(server, { transport });
      await hub.raw(unknown.map(record).join(""));
      assert.equal(await hub.result("Echo", "x"), "x");
      assert.equal(hub.log.length, 1);
      hub.cut();
    }
  });
});

const deep = (depth) => `${"[".repeat(depth)}${"]".repeat(depth)}`;

/** Records that break the protocol; where a property is named, the error says so. */
const BROKEN = [
  ["is not JSON", "nonsense"],
  ["is empty", ""],
  ["is an array", "[]"],
  ["is a number", "6"],
  ["is null", "null"],
  ["is cut short", '{"type":6'],
  ["has a trailing comma", '{"type":6,}'],
  ["has a comment", '{"type":6/* ping */}'],
  ["is nested too deeply", `{"type":1,"invocationId":"1","target":"Echo","arguments":["x"],"future":${deep(70)}}`],
  ["has no type", "{}", "type"],
  ["has a type that is text", '{"type":"1","target":"Echo","arguments":["x"]}'],
  ["has a type that is null", '{"type":null}'],
  ["has no target", '{"type":1,"invocationId":"1","arguments":["x"]}', "target"],
  ["has no arguments", '{"type":1,"invocationId":"1","target":"Echo"}', "arguments"],
  ["has no arguments for a method without any", '{"type":1,"invocationId":"1","target":"VoidResult"}', "arguments"],
  ["has arguments that are no array", '{"type":1,"invocationId":"1","target":"Echo","arguments":"x"}'],
  ["has a target that is a number", '{"type":1,"invocationId":"1","target":5,"arguments":["x"]}'],
  ["has an invocation id that is a number", '{"type":1,"invocationId":1,"target":"Echo","arguments":["x"]}'],
  ["has stream ids that are no array", '{"type":1,"invocationId":"1","target":"Echo","arguments":["x"],"streamIds":"x"}'],
  ["is an item without a stream id", '{"type":2,"item":"x"}', "invocationId"],
  ["is an item without an item", '{"type":2,"invocationId":"1"}', "item"],
  ["is a Completion without an id", '{"type":3,"result":"x"}', "invocationId"],
  ["has a result and an error", '{"type":3,"invocationId":"1","result":"x","error":"y"}'],
  ["has an error and a result", '{"type":3,"invocationId":"1","error":"y","result":0}'],
  ["has an error that is a number", '{"type":3,"invocationId":"1","error":5}'],
  ["is a streaming invocation without an id", '{"type":4,"target":"Stream","arguments":[]}', "invocationId"],
  ["is a streaming invocation without a target", '{"type":4,"invocationId":"1","arguments":[]}', "target"],
  ["is a streaming invocation without arguments", '{"type":4,"invocationId":"1","target":"Stream"}', "arguments"],
  ["is a cancellation without an id", '{"type":5}', "invocationId"],
  ["is an Ack without a number", '{"type":8}', "sequenceId"],
  ["is a Sequence without a number", '{"type":9}', "sequenceId"],
  ["is an Ack with a number that is text", '{"type":8,"sequenceId":"1"}'],
  ["is not UTF-8", Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d])],
];

const CLOSED_WITH_ERROR = "Connection closed with an error.";

/** The connection is closed because of what the client sent. */
async function isClosed(hub, sent, detail) {
  await hub.raw(sent);
  const { close, code } = await hub.end();
  assert.equal(code, 1000);
  assert.deepEqual(Object.keys(close ?? {}).sort(), ["allowReconnect", "error", "type"]);
  assert.equal(close.allowReconnect, true);
  if (typeof detail === "string") assert.equal(close.error, detail);
  else assert.match(close.error, detail);
  const hooks = await hub.server.disconnected(hub.id);
  assert.notEqual(hooks.failure, null, "the disconnected hook gets the failure");
}

describe("a message that", () => {
  for (const [what, text, property] of BROKEN) {
    test(`36 ${what} closes the connection`, async () => {
      const bytes = Buffer.concat([Buffer.from(text), Buffer.from("\x1e")]);
      const named = property === undefined ? "" : `.*'${property}'`;
      await isClosed(await Hub.open(server), bytes, new RegExp(`^Connection closed with an error\\. InvalidDataException: ${named}.+`, "s"));
      await isClosed(await Hub.open(withoutDetails), bytes, CLOSED_WITH_ERROR);
    });
  }

  test("36 lacks a required property is answered with the exact error", async () => {
    const sent = record({ type: TYPE.invocation, invocationId: "1", arguments: [] });
    await isClosed(await Hub.open(server), sent, `${CLOSED_WITH_ERROR} InvalidDataException: Missing required property 'target'.`);
  });

  test("36 is wrong ends the connection on every transport, and what came before it is answered", async () => {
    for (const transport of TRANSPORTS) {
      const hub = await Hub.open(server, { transport });
      await hub.result("Echo", "x");
      await hub.raw("nonsense\x1e");
      const { close } = await hub.end();
      assert.equal(close.allowReconnect, true);
      assert.notEqual((await server.disconnected(hub.id)).failure, null);
    }
  });

  test("36 is nested as deeply as allowed is understood", async () => {
    const hub = await Hub.open(server);
    await hub.raw(`{"type":1,"invocationId":"1","target":"Echo","arguments":["x"],"future":${deep(60)}}\x1e`);
    assert.equal((await hub.completion("1")).result, "x");
    hub.cut();
  });

  test("36 is an error with a null result is an error", async () => {
    const hub = await Hub.open(server);
    for (const properties of ['"error":"sad","result":null', '"result":null,"error":"sad"']) {
      const id = await hub.call("StreamingConcat", [], { streamIds: ["up"] });
      await hub.raw(`{"type":3,"invocationId":"up",${properties}}\x1e`);
      assert.match((await hub.completion(id)).error, /HubException: sad$/);
    }
    hub.cut();
  });

  test("36 has not come to its end when the client closes is a failure", async () => {
    const hub = await Hub.open(server);
    await hub.raw('{"type":1,"target":"Echo"');
    hub.link.socket.close(1000);
    await hub.end();
    assert.match((await server.disconnected(hub.id)).failure ?? "", /Connection terminated while reading a message\./);
  });
});

const OVERSIZE = `${CLOSED_WITH_ERROR} InvalidDataException: The maximum message size of 32768B was exceeded. The message size can be configured in AddHubOptions.`;

describe("the largest message", () => {
  /** A call of so many bytes, its framing included, and the text in it. */
  function callOf(bytes, protocol) {
    const call = (text) => Buffer.from(protocol.encode({ type: TYPE.invocation, invocationId: "1", target: "Echo", arguments: [text] }));
    const overhead = call("x".repeat(30000)).length - 30000;
    const text = "x".repeat(bytes - overhead);
    assert.equal(call(text).length, bytes);
    return { text, sent: protocol === json ? call(text).toString() : call(text) };
  }

  for (const protocol of PROTOCOLS) {
    test(`37 has 32768 bytes in ${protocol.name}, and one more closes the connection`, async () => {
      const hub = await Hub.open(server, { protocol });
      const { text, sent } = callOf(32768, protocol);
      await hub.raw(sent);
      assert.equal((await hub.completion("1")).result, text);
      await isClosed(hub, callOf(32769, protocol).sent, OVERSIZE);
      await isClosed(await Hub.open(withoutDetails, { protocol }), callOf(32769, protocol).sent, CLOSED_WITH_ERROR);
    });
  }

  test("37 is measured before it has come to its end", async () => {
    await isClosed(await Hub.open(server), "x".repeat(40000), OVERSIZE);
    const packed = await Hub.open(server, { protocol: messagepack });
    await isClosed(packed, frame(Buffer.alloc(65536, 0xc0)).subarray(0, 40000), OVERSIZE);
  });

  test("37 is the same when it is posted in parts", async () => {
    const hub = await Hub.open(server, { transport: "LongPolling" });
    const { text, sent } = callOf(32768, json);
    await hub.raw(sent.slice(0, 10000));
    await hub.raw(sent.slice(10000));
    assert.equal((await hub.completion("1")).result, text);
    await hub.raw(callOf(32769, json).sent);
    assert.equal((await hub.end()).close.error, OVERSIZE);
  });
});
