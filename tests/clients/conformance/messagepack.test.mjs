/** Hub messages in MessagePack, byte by byte in both directions. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Hub, TYPE, messagepack } from "./hub.mjs";
import { Extension, Float, encode, frame, hex, integer, unframe } from "./messagepack.mjs";
import { TestServer } from "./test_server.mjs";

/** With a keep-alive interval that a test can wait for. @type {TestServer} */
let server;

before(async () => {
  server = await TestServer.start({ "keep-alive-ms": 1000 });
});

after(() => server?.dispose());

async function open() {
  return Hub.open(server, { protocol: messagepack });
}

/** The bytes of values one after another; Buffers stand for themselves. */
function bytes(...parts) {
  return Buffer.concat(parts.map((part) => (Buffer.isBuffer(part) ? part : encode(part))));
}

const ECHO = encode("Echo");
const X = bytes(hex("91"), "x");

/** Ways to write `Echo("x")` with the invocation id "1"; the first is the plain one. */
const ECHOES = [
  ["six elements", bytes(hex("96 01 80"), "1", ECHO, X, hex("90"))],
  ["five elements", bytes(hex("95 01 80"), "1", ECHO, X)],
  ["more elements than there are", bytes(hex("98 01 80"), "1", ECHO, X, hex("90"), { future: [1] }, null)],
  ["nothing in place of stream ids", bytes(hex("96 01 80"), "1", ECHO, X, hex("c0"))],
  ["headers", bytes(hex("96 01"), { trace: "1", other: "" }, "1", ECHO, X, hex("90"))],
  ["headers with a wide head", bytes(hex("96 01 de 00 01"), "trace", "1", "1", ECHO, X, hex("90"))],
  ["headers with the widest head", bytes(hex("96 01 df 00 00 00 00"), "1", ECHO, X, hex("90"))],
  ["an array of 16 bits", bytes(hex("dc 00 06 01 80"), "1", ECHO, X, hex("90"))],
  ["an array of 32 bits", bytes(hex("dd 00 00 00 06 01 80"), "1", ECHO, X, hex("90"))],
  ["arguments of 16 bits", bytes(hex("96 01 80"), "1", ECHO, hex("dc 00 01"), "x", hex("90"))],
  ["text of 8 bits", bytes(hex("96 01 80 d9 01 31"), hex("d9 04"), Buffer.from("Echo"), X, hex("90"))],
  ["text of 16 bits", bytes(hex("96 01 80 da 00 01 31"), hex("da 00 04"), Buffer.from("Echo"), X, hex("90"))],
  ["text of 32 bits", bytes(hex("96 01 80 db 00 00 00 01 31"), hex("db 00 00 00 04"), Buffer.from("Echo"), X, hex("90"))],
  ...["cc", "cd", "ce", "cf", "d0", "d1", "d2", "d3"].map((head) => [
    `a type written as ${head}`, bytes(hex("96"), integer(head, 1), hex("80"), "1", ECHO, X, hex("90")),
  ]),
];

describe("in", () => {
  for (const [what, body] of ECHOES) {
    test(`33 an invocation with ${what} is understood`, async () => {
      const hub = await open();
      await hub.raw(frame(body));
      assert.deepEqual(await hub.completion("1"), { type: TYPE.completion, invocationId: "1", result: "x" });
      hub.cut();
    });
  }

  test("33 a length prefix of one to five bytes is understood", async () => {
    const hub = await open();
    for (const prefixBytes of [1, 2, 3, 4, 5]) {
      await hub.raw(frame(ECHOES[0][1], prefixBytes));
      assert.equal((await hub.completion("1")).result, "x", `${prefixBytes} bytes`);
    }
    for (const length of [100, 127, 128, 129, 200, 5248, 16383, 16384, 20000, 30000]) {
      const text = "x".repeat(length);
      assert.equal(await hub.result("Echo", text), text);
    }
    hub.cut();
  });

  test("33 an invocation whose id is nil or empty is not answered", async () => {
    const hub = await open();
    for (const id of [null, ""]) {
      for (const target of ["Echo", "NoSuchMethod"]) {
        await hub.raw(frame(bytes(hex("96 01 80"), id, target, X, hex("90"))));
        await hub.raw(frame(bytes(hex("95 01 80"), id, target, X)));
      }
    }
    await hub.raw(frame(ECHOES[0][1]));
    await hub.completion("1");
    assert.equal(hub.log.length, 1);
    hub.cut();
  });

  test("33 whole numbers of every width are the numbers that they are", async () => {
    const widths = [
      ["cc", 5], ["cc", 200], ["cd", 200], ["ce", 200], ["cf", 200], ["d0", 100], ["d1", 100], ["d2", 100], ["d3", 100],
      ["cd", 60000], ["ce", 60000], ["d2", 60000], ["d3", 60000], ["ce", 2000000000], ["cf", 2000000000], ["d3", 2000000000],
      ["d0", -5], ["d1", -5], ["d2", -5], ["d3", -5], ["d1", -30000], ["d2", -2000000000],
    ];
    const hub = await open();
    const spellings = [...widths.map(([head, number]) => [integer(head, number), number]), ...[0, 127, -1, -32].map((number) => [encode(number), number])];
    for (const [spelling, number] of spellings) {
      const asking = await hub.call("AskCallerInt");
      const { invocationId } = await hub.called("AnswerInt");
      await hub.raw(frame(bytes(hex("95 03 80"), invocationId, 3, spelling)));
      assert.equal((await hub.completion(asking)).result, number, spelling.toString("hex"));
    }
    for (const [spelling, number] of spellings.filter((one) => one[1] >= 0)) {
      await hub.raw(frame(bytes(hex("96 01 80 c0"), "Number", hex("91"), spelling, hex("90"))));
      assert.equal((await hub.result("Numbers")).at(-1), number, spelling.toString("hex"));
    }
    hub.cut();
  });

  test("33 a Close of two or three elements is understood", async () => {
    for (const body of ["92 07 c0", "93 07 c0 c2", "93 07 c0 c3", "94 07 c0 c2 c0"]) {
      const hub = await open();
      await hub.raw(frame(hex(body)));
      const { close, code } = await hub.end();
      assert.deepEqual([close, code], [{ type: TYPE.close }, 1000], body);
      assert.equal((await server.disconnected(hub.id)).failure, null);
    }
  });

  test("33 a streaming invocation, items, Completions and a cancellation are understood", async () => {
    const hub = await open();
    await hub.raw(frame(bytes(hex("95 04 80"), "s", "Stream", hex("90"))));
    assert.deepEqual([await hub.item("s"), await hub.item("s"), await hub.item("s")], ["a", "b", "c"]);
    await hub.completion("s");
    for (const end of [hex("94 03 80 a2 75 70 02"), hex("95 03 80 a2 75 70 03 c0"), hex("95 03 80 a2 75 70 02 c0")]) {
      await hub.raw(frame(bytes(hex("96 01 80"), "1", "StreamingConcat", hex("90 91"), "up")));
      await hub.raw(frame(bytes(hex("94 02 80"), "up", "a")));
      await hub.raw(frame(bytes(hex("94 02"), { trace: "1" }, "up", "b")));
      await hub.raw(frame(end));
      assert.equal((await hub.completion("1")).result, "ab");
    }
    await hub.raw(frame(bytes(hex("96 04 80"), "s", "InfiniteStream", hex("90 90"))));
    await hub.raw(frame(bytes(hex("93 05 80"), "s")));
    assert.deepEqual(await hub.completion("s"), { type: TYPE.completion, invocationId: "s" });
    hub.cut();
  });

  test("33 34 a ping, an Ack, a Sequence and unknown types are taken and not answered", async () => {
    const hub = await open();
    for (const body of ["91 06", "92 06 c0", "92 08 01", "92 09 01", "92 08 cf 00 00 00 00 00 00 00 01", "91 0a", "93 63 80 a1 31", "91 00", "91 cd 27 10"]) {
      await hub.raw(frame(hex(body)));
    }
    assert.equal(await hub.result("Echo", "x"), "x");
    assert.equal(hub.log.length, 1);
    hub.cut();
  });

  const BROKEN = [
    ["no array", hex("01")],
    ["an empty array", hex("90")],
    ["nothing at all", hex("")],
    ["a map", hex("81 01 06")],
    ["a type that is text", bytes(hex("91"), "6")],
    ["a type that is nil", hex("91 c0")],
    ["an invocation without a target", bytes(hex("93 01 80"), "1")],
    ["an invocation without arguments", bytes(hex("94 01 80"), "1", ECHO)],
    ["a target that is a number", bytes(hex("95 01 80"), "1", 5, X)],
    ["an invocation id that is a number", bytes(hex("95 01 80 01"), ECHO, X)],
    ["headers that are a number", bytes(hex("95 01 05"), "1", ECHO, X)],
    ["arguments that are text", bytes(hex("95 01 80"), "1", ECHO, "x")],
    ["text that ends too early", bytes(hex("95 01 80"), "1", hex("d9 ff"), Buffer.from("Echo"))],
    ["a reserved byte", hex("c1")],
    ["an item without an item", bytes(hex("93 02 80"), "1")],
    ["a Completion without a kind", bytes(hex("93 03 80"), "1")],
    ["a Completion of an unknown kind", bytes(hex("95 03 80"), "1", 4, "x")],
    ["a Completion with an error that is missing", bytes(hex("94 03 80"), "1", 1)],
    ["a streaming invocation without arguments", bytes(hex("94 04 80"), "1", "Stream")],
    ["a cancellation without an id", hex("92 05 80")],
    ["an Ack without a number", hex("91 08")],
    ["an Ack with a number that is text", bytes(hex("92 08"), "1")],
  ];
  const PREFIXES = [
    ["a fifth byte that is too large", hex("ff ff ff ff 08")],
    ["a prefix of six bytes", hex("80 80 80 80 80 01")],
  ];
  for (const [what, sent] of [...BROKEN.map(([name, body]) => [name, frame(body)]), ...PREFIXES]) {
    test(`36 a message with ${what} closes the connection`, async () => {
      const hub = await open();
      await hub.raw(sent);
      const { close, code } = await hub.end();
      assert.equal(code, 1000);
      assert.match(close?.error ?? "", /^Connection closed with an error\. InvalidDataException: .+/s);
      assert.equal(close.allowReconnect, true);
      assert.notEqual((await server.disconnected(hub.id)).failure, null);
    });
  }

  test("36 arguments that promise more than there is are refused", async () => {
    const promises = [bytes(hex("92"), "x"), hex("dd ff ff ff ff"), hex("91 db ff ff ff ff"), hex("91 df ff ff ff ff"), hex("91 c6 ff ff ff ff")];
    for (const args of promises) {
      const hub = await open();
      await hub.raw(frame(bytes(hex("95 01 80"), "1", ECHO, args)));
      // Either the arguments do not bind, or the message is broken.
      const answer = await hub.take("a refusal", ({ type }) => type === TYPE.completion || type === TYPE.close);
      assert.equal(typeof answer.error, "string");
      hub.cut();
    }
  });

  test("36 a message that has not come to its end when the client closes is a failure", async () => {
    const hub = await open();
    await hub.raw(frame(ECHOES[0][1]).subarray(0, 8));
    hub.link.socket.close(1000);
    await hub.end();
    assert.match((await server.disconnected(hub.id)).failure ?? "", /Connection terminated while reading a message\./);
  });
});

/** The bodies of all messages but pings that a connection has received, after the handshake's answer. */
function bodies(hub) {
  const all = Buffer.concat(hub.units);
  return unframe(all.subarray(all.indexOf(0x1e) + 1)).map((body) => body.toString("hex")).filter((body) => body !== "9106");
}

describe("out", () => {
  test("33 every layout is as specified, byte by byte", async () => {
    const hub = await open();
    await hub.result("Echo", "x");
    await hub.result("NullResult");
    await hub.invoke("ThrowNamed", "HubException", "y");
    await hub.result("SendToCaller", "z");
    await hub.completion(await hub.stream("Stream", [], { invocationId: "s" }));
    const asking = await hub.call("AskCaller", [7]);
    const { invocationId } = await hub.called("Answer");
    await hub.write({ type: TYPE.completion, invocationId, result: 8 });
    await hub.completion(asking);
    await hub.write({ type: TYPE.close });
    await hub.end();
    const error = "An unexpected error occurred invoking 'ThrowNamed' on the server. HubException: y";
    const expected = [
      bytes(hex("95 03 80"), "1", 3, "x"),
      bytes(hex("95 03 80"), "2", hex("03 c0")),
      bytes(hex("95 03 80"), "3", 1, error),
      bytes(hex("96 01 80 c0"), "Send", hex("91"), "z", hex("90")),
      bytes(hex("95 03 80"), "4", hex("03 c0")),
      ...["a", "b", "c"].map((item) => bytes(hex("94 02 80"), "s", item)),
      bytes(hex("94 03 80"), "s", 2),
      bytes(hex("96 01 80"), invocationId, "Answer", hex("91 07 90")),
      bytes(hex("95 03 80"), asking, hex("03 08")),
      hex("93 07 c0 c2"),
    ];
    assert.deepEqual(bodies(hub), expected.map((body) => body.toString("hex")));
  });

  test("33 a Close with an error says that the client may come back", async () => {
    const hub = await open();
    await hub.raw(frame(hex("90")));
    const { close } = await hub.end();
    assert.equal(bodies(hub).at(-1), bytes(hex("93 07"), close.error, hex("c3")).toString("hex"));
  });

  test("33 a ping is three bytes, its prefix included", async () => {
    const hub = await open();
    await hub.handshakeAnswered();
    while (hub.pings.length === 0) await hub.result("Echo", "x");
    const ping = hub.units.slice(1).find((unit) => unit.length === 3);
    assert.equal(ping?.toString("hex"), "029106");
    hub.cut();
  });

  test("33 values are as declared: names, bytes, moments and ids", async () => {
    const hub = await open();
    const value = await hub.result("SendComplexObject");
    const moment = new Extension(-1, hex("38 6d 43 80"));
    assert.deepEqual(value, {
      String: "hello world", IntArray: [1, 2, 3], ByteArray: hex("01 02 03"),
      Guid: "00010203-0405-0607-0706-050403020100", DateTime: moment,
    });
    const names = Object.keys(value);
    const encoded = names.map((name) => [encode(name), name === "DateTime" ? hex("d6 ff 38 6d 43 80") : encode(value[name])]).flat();
    await hub.raw(frame(bytes(hex("96 01 80"), "e", "EchoComplexObject", hex("91"), Buffer.from([0x80 | names.length]), ...encoded, hex("90"))));
    assert.deepEqual((await hub.completion("e")).result, value);
    hub.cut();
  });

  test("33 what a client method answers comes back with its kind", async () => {
    const hub = await open();
    for (const value of [null, true, false, 5, -5, 70000, new Float(1.5), "text", hex("01 ff"), [1, [2]], { a: { b: "c" } }]) {
      const asking = await hub.call("AskCaller", [5]);
      const { invocationId } = await hub.called("Answer");
      await hub.raw(frame(bytes(hex("95 03 80"), invocationId, 3, value instanceof Float ? encode(1.5) : value instanceof Buffer ? Buffer.concat([hex("c4 02"), value]) : encode(value))));
      assert.deepEqual((await hub.completion(asking)).result, value);
    }
    hub.cut();
  });
});
