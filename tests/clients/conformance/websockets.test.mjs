/** The WebSockets transport: who gets a socket, what its messages may look like, how it closes. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { within } from "../waiting.mjs";
import { Hub, TRANSPORTS, TYPE, handshake, json, messagepack, record } from "./hub.mjs";
import { TestServer } from "./test_server.mjs";
import { EventStream, OPCODE, upgrade } from "./wire.mjs";

/** @type {TestServer} */
let server;
/** Gives up early on peers that do not answer a close frame. @type {TestServer} */
let hasty;

before(async () => {
  [server, hasty] = await Promise.all([TestServer.start(), TestServer.start({ "close-timeout-ms": 1000 })]);
});

after(() => Promise.all([server?.dispose(), hasty?.dispose()]));

/** What a request for a transport on this connection is answered with. */
async function claim(hub, transport) {
  const { status, text } = transport === "WebSockets" ? await upgrade(hub.url)
    : transport === "ServerSentEvents" ? await EventStream.open(hub.url)
      : await server.request(hub.url.slice(server.url.length));
  return [status, text];
}

async function post(hub, method, body) {
  const { status, text } = await server.request(hub.url.slice(server.url.length), { method, body });
  return [status, text];
}

/** The connection still works. */
async function isUnharmed(hub) {
  assert.equal(await hub.result("Echo", "unharmed"), "unharmed");
  hub.cut();
}

function invocation(invocationId, target, ...args) {
  return { type: TYPE.invocation, invocationId, target, arguments: args };
}

describe("one connection", () => {
  test("9 a second WebSocket on a live connection is refused and the first is unharmed", async () => {
    const hub = await Hub.open(server);
    assert.deepEqual(await claim(hub, "WebSockets"), [409, ""]);
    await isUnharmed(hub);
  });

  test("9 a second event stream on a live connection is refused and the first is unharmed", async () => {
    const hub = await Hub.open(server, { transport: "ServerSentEvents" });
    assert.deepEqual(await claim(hub, "ServerSentEvents"), [409, ""]);
    await isUnharmed(hub);
  });

  test("9 a connection stays with its transport", async () => {
    for (const transport of TRANSPORTS) {
      for (const other of TRANSPORTS.filter((one) => one !== transport)) {
        const hub = await Hub.open(server, { transport });
        assert.deepEqual(await claim(hub, other), [400, "Cannot change transports mid-connection"], `${transport}, then ${other}`);
        await isUnharmed(hub);
      }
    }
  });

  test("10 a POST to a WebSocket connection gives 405", async () => {
    const hub = await Hub.open(server);
    assert.deepEqual(await post(hub, "POST", "x"), [405, "POST requests are not allowed for WebSocket connections."]);
    await isUnharmed(hub);
  });

  test("10 a DELETE of a connection that is not polling gives 400", async () => {
    for (const transport of ["WebSockets", "ServerSentEvents"]) {
      const hub = await Hub.open(server, { transport });
      assert.deepEqual(await post(hub, "DELETE"), [400, "Cannot terminate this connection using the DELETE endpoint."]);
      await isUnharmed(hub);
    }
  });
});

describe("messages", () => {
  test("13 JSON goes out in text frames and MessagePack in binary ones, from the handshake's answer on", async () => {
    for (const [protocol, opcode] of [[json, OPCODE.text], [messagepack, OPCODE.binary]]) {
      const hub = await Hub.open(server, { protocol });
      await hub.result("Echo", "x");
      await hub.result("InvokeWithString", "x");
      await hub.write({ type: TYPE.close });
      await hub.end();
      assert.ok(hub.link.opcodes.length >= 2);
      assert.deepEqual(new Set(hub.link.opcodes), new Set([opcode]), protocol.name);
    }
  });

  test("13 the client may send JSON in binary frames and each handshake in either", async () => {
    const binary = await Hub.open(server, { hasHandshake: false });
    await binary.raw(Buffer.from(handshake()));
    assert.equal(await binary.handshakeAnswered(), "{}\x1e");
    await binary.raw(Buffer.from(record(invocation("1", "Echo", "in a binary frame"))));
    assert.equal((await binary.completion("1")).result, "in a binary frame");
    assert.deepEqual(new Set(binary.link.opcodes), new Set([OPCODE.text]));
    await isUnharmed(binary);

    const packed = await Hub.open(server, { protocol: messagepack, hasHandshake: false });
    await packed.raw(Buffer.from(handshake(messagepack)));
    assert.equal(await packed.handshakeAnswered(), "{}\x1e");
    await isUnharmed(packed);
  });

  test("13 neither a subprotocol nor compression is taken up", async () => {
    const { headers, socket } = await upgrade(`${server.url}/testhub`, {
      "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
      "Sec-WebSocket-Protocol": "json",
    });
    assert.deepEqual([headers["sec-websocket-extensions"], headers["sec-websocket-protocol"]], [undefined, undefined]);
    socket.cut();
  });

  test("14 a message may be split over three WebSocket messages, and three may be in one", async () => {
    for (const protocol of [json, messagepack]) {
      const hub = await Hub.open(server, { protocol });
      const whole = Buffer.from(protocol.encode(invocation("1", "Echo", "in three pieces")));
      for (const piece of [whole.subarray(0, 3), whole.subarray(3, 20), whole.subarray(20)]) {
        await hub.raw(protocol === json ? piece.toString() : piece);
      }
      assert.equal((await hub.completion("1")).result, "in three pieces");
      await hub.write(invocation("2", "Echo", "a"), invocation("3", "Echo", "b"), invocation("4", "Echo", "c"));
      assert.deepEqual((await Promise.all(["2", "3", "4"].map((id) => hub.completion(id)))).map(({ result }) => result), ["a", "b", "c"]);
      hub.cut();
    }
  });

  test("14 a message may begin in one WebSocket message and end in the next, beside others", async () => {
    const hub = await Hub.open(server);
    const text = ["1", "2", "3"].map((id) => record(invocation(id, "Echo", id))).join("");
    await hub.raw(text.slice(0, 90));
    await hub.raw(text.slice(90));
    for (const id of ["1", "2", "3"]) assert.equal((await hub.completion(id)).result, id);
    hub.cut();
  });

  test("14 a WebSocket message may come in fragments, with a ping between them and an empty one", async () => {
    const hub = await Hub.open(server);
    const { socket } = hub.link;
    const text = record(invocation("1", "Echo", "in frägments"));
    const bytes = Buffer.from(text);
    const inside = bytes.indexOf("ä") + 1;
    socket.sendFrame({ opcode: OPCODE.text, fin: false, payload: bytes.subarray(0, inside) });
    socket.sendFrame({ opcode: OPCODE.ping, payload: "are you there" });
    socket.sendFrame({ opcode: OPCODE.continuation, fin: false, payload: "" });
    socket.sendFrame({ opcode: OPCODE.continuation, fin: false, payload: bytes.subarray(inside, inside + 5) });
    socket.sendFrame({ opcode: OPCODE.continuation, payload: bytes.subarray(inside + 5) });
    assert.equal((await socket.pongs.take("the pong")).payload.toString(), "are you there");
    assert.equal((await hub.completion("1")).result, "in frägments");
    hub.cut();
  });

  test("14 what the server sends is whole messages, on every transport", async () => {
    for (const transport of TRANSPORTS) {
      const hub = await Hub.open(server, { transport });
      const large = "x".repeat(20000);
      const ids = [];
      for (let sent = 0; sent < 20; sent++) ids.push(await hub.call("InvokeWithString", [large]));
      for (const id of ids) await hub.completion(id);
      for (const unit of hub.units.slice(1)) assert.ok(unit.length === 0 || unit.at(-1) === 0x1e, transport);
      assert.equal(hub.log.filter(({ target }) => target === "Message").length, 20);
      hub.cut();
    }
  });

  test("15 a WebSocket message of 200 KiB is accepted when its hub messages are small", async () => {
    const hub = await Hub.open(server);
    const numbers = Array.from({ length: 5000 }, (_, index) => index);
    const text = numbers.map((number) => record({ type: TYPE.invocation, target: "Number", arguments: [number] })).join("");
    assert.ok(text.length >= 200 * 1024);
    await hub.raw(text);
    assert.deepEqual(await hub.result("Numbers"), numbers);
    hub.cut();
  });
});

describe("closing", () => {
  test("16 a client's close frame is answered with 1000, whether it has a code or not", async () => {
    for (const code of [undefined, 1000, 1001]) {
      const hub = await Hub.open(server);
      hub.link.socket.close(code);
      const how = await within("the close frame is answered", hub.link.socket.closed);
      assert.deepEqual(how, { code: 1000, reason: "" }, `closed with ${code}`);
      assert.equal((await server.disconnected(hub.id)).failure, null);
    }
  });

  test("16 the server closes with 1000 and an empty reason", async () => {
    const hub = await Hub.open(server);
    await hub.notify("Abort");
    const { code, reason, close } = await hub.end();
    assert.deepEqual({ code, reason, close }, { code: 1000, reason: "", close: { type: TYPE.close } });
  });

  test("16 a peer that never answers the close frame is cut after the close timeout", async () => {
    const hub = await Hub.open(hasty);
    hub.link.socket.answersClose = false;
    await hub.notify("Abort");
    assert.equal((await within("the close frame", hub.link.socket.closed)).code, 1000);
    const closed = Date.now();
    await within("the TCP connection ends", hub.link.socket.ended);
    assert.ok(Date.now() - closed >= 800, "it had the time to answer");
  });

  test("16 a peer that answers is not kept waiting, whoever closes first", async () => {
    const ends = [(hub) => hub.notify("Abort"), (hub) => hub.write({ type: TYPE.close }), (hub) => hub.link.socket.close(1000)];
    for (const end of [...ends, ...ends]) {
      const hub = await Hub.open(server);
      await end(hub);
      await hub.end();
      await within("the TCP connection ends", hub.link.socket.ended, 500);
    }
  });

  const VIOLATIONS = [
    ["an unmasked frame", 1002, [{ payload: "x", masked: false }]],
    ["a first reserved bit", 1002, [{ payload: "x", rsv: 4 }]],
    ["a last reserved bit", 1002, [{ payload: "x", rsv: 1 }]],
    ["a data opcode that is not defined", 1002, [{ opcode: 3, payload: "x" }]],
    ["a control opcode that is not defined", 1002, [{ opcode: 11, payload: "x" }]],
    ["a continuation of nothing", 1002, [{ opcode: OPCODE.continuation, payload: "x" }]],
    ["a message inside a message", 1002, [{ payload: "x", fin: false }, { payload: "y" }]],
    ["a ping in fragments", 1002, [{ opcode: OPCODE.ping, payload: "x", fin: false }]],
    ["a ping that is too long", 1002, [{ opcode: OPCODE.ping, payload: "x".repeat(126) }]],
    ["text that is not UTF-8", 1007, [{ payload: Buffer.from([0x22, 0xc3, 0x28, 0x22]) }]],
    ["text with a surrogate in UTF-8", 1007, [{ payload: Buffer.from([0xed, 0xa0, 0x80]) }]],
    ["text that ends inside a character", 1007, [{ payload: Buffer.from([0x61, 0xc3]) }]],
  ];
  describe("after a broken frame", { concurrency: true }, () => {
    for (const [what, expected, frames] of VIOLATIONS) {
      test(`16 ${what} closes the WebSocket with ${expected}`, async () => {
        const hub = await Hub.open(hasty);
        for (const one of frames) hub.link.socket.sendFrame(one);
        const how = await within("the close frame", hub.link.socket.closed);
        assert.equal(how?.code, expected);
        await within("the TCP connection ends", hub.link.socket.ended);
        assert.equal((await hasty.disconnected(hub.id)).disconnected, 1);
      });
    }
  });
});
