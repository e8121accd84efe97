/** Invocations, sends and server calls. */

import { equal } from "../checks.mjs";
import { Inbox, stillWorks } from "../environment.mjs";
import { deferred, within } from "../../waiting.mjs";

const TEXTS = [
  "", "你好，世界！", "👩‍🚒 ü é", "quotes \" and ' and \\ and / and <b>&amp;", "lines\nand\r\nlines\rand\ttabs",
  "\u0000\u001e\u2028", "data: looks like an event\n\n", "[0,{}]",
];

/** A bytes value as the protocol has it. */
function bytes(env, text, values) {
  return env.protocol === "json" ? text : new Uint8Array(values);
}

/** A time as the protocol has it. */
function time(env, text) {
  return env.protocol === "json" ? text : new Date(text);
}

export const calls = {
  "an invocation is answered with its result": async (env) => {
    const connection = await env.connect();
    for (const text of TEXTS) equal(await connection.invoke("Echo", text), text);
  },

  "a text just below the size limit comes back whole": async (env) => {
    const connection = await env.connect();
    const text = "ü€x".repeat(5300);
    equal(await connection.invoke("Echo", text), text);
  },

  "nothing and null both arrive as null": async (env) => {
    const connection = await env.connect();
    equal(await connection.invoke("NullResult"), null);
    equal(await connection.invoke("VoidResult"), null);
  },

  "a hub method is found in any case": async (env) => {
    const connection = await env.connect();
    equal(await connection.invoke("eCHO", "found"), "found");
  },

  "sends and invocations run in the order of the calls": async (env) => {
    const connection = await env.connect();
    const numbers = Array.from({ length: 60 }, (_, index) => index + 1);
    await Promise.all(numbers.map((n) => (n % 3 ? connection.send("Number", n) : connection.invoke("Number", n))));
    equal(await connection.invoke("Numbers"), numbers);
  },

  "each of many invocations at once gets its own answer": async (env) => {
    const connection = await env.connect();
    const texts = Array.from({ length: 100 }, (_, index) => `text ${index}`);
    equal(await Promise.all(texts.map((text) => connection.invoke("Echo", text))), texts);
  },

  "a send that fails is answered with nothing": async (env) => {
    const connection = await env.connect();
    await connection.send("Nope");
    await connection.send("Echo");
    await connection.send("ThrowException", "boom");
    await connection.send("Stream");
    await stillWorks(connection);
  },

  "a server call arrives before the method completes": async (env) => {
    const connection = await env.connect();
    const inbox = new Inbox(connection, "Message");
    for (const text of TEXTS) await connection.invoke("InvokeWithString", text);
    equal(inbox.calls, TEXTS.map((text) => [text]));
  },

  "a server call without a handler does no harm": async (env) => {
    const connection = await env.connect();
    await connection.invoke("InvokeWithString", "to nobody");
    await stillWorks(connection);
  },

  "a server call reaches every handler of its name": async (env) => {
    const connection = await env.connect();
    const [one, other] = [new Inbox(connection, "message"), new Inbox(connection, "MESSAGE")];
    await connection.invoke("InvokeWithString", "both");
    equal([one.calls, other.calls], [[["both"]], [["both"]]]);
  },

  "server calls from outside of any method arrive in order": async (env) => {
    const connection = await env.connect();
    const sent = new Inbox(connection, "Send");
    const numbers = new Inbox(connection, "Number");
    for (const text of TEXTS) await env.ask("POST", `/send/${connection.connectionId}`, text);
    equal(await sent.atLeast(TEXTS.length), TEXTS.map((text) => [text]));
    await env.ask("POST", `/numbers/${connection.connectionId}?from=1&to=500`);
    equal(await numbers.atLeast(500), Array.from({ length: 500 }, (_, index) => [index + 1]));
  },

  "a broadcast reaches everybody, in order": async (env) => {
    const inboxes = [new Inbox(await env.connect(), "Broadcast"), new Inbox(await env.connect(), "Broadcast")];
    await env.ask("POST", "/broadcast?count=200&bytes=100");
    for (const inbox of inboxes) {
      const received = await inbox.atLeast(200);
      const first = received[0][0];
      equal(received, received.map((_, index) => [first + index, "x".repeat(100)]));
    }
  },

  "an object keeps its declared names": async (env) => {
    const arrived = deferred();
    const connection = await env.connect({ on: { CustomObject: arrived.resolve } });
    await connection.send("SendCustomObject", { Name: "test", Value: 42 });
    equal(await within("the object arrives", arrived.promise), { Name: "test", Value: 42 });
  },

  "bytes, GUIDs, times and lists come back": async (env) => {
    const connection = await env.connect();
    const object = {
      String: "hello",
      IntArray: [1, -2, 127, 128, -129, 65535, 65536, 2147483647, -2147483648],
      ByteArray: bytes(env, "AP+AaA==", [0x00, 0xff, 0x80, 0x68]),
      Guid: "00010203-0405-0607-0706-050403020100",
      DateTime: time(env, "2002-04-01T10:20:15Z"),
    };
    equal(await connection.invoke("EchoComplexObject", object), object);
    for (const moment of ["1999-12-31T23:59:59.123Z", "1969-07-20T20:17:40Z", "2106-02-08T00:00:00Z"]) {
      const { DateTime } = await connection.invoke("EchoComplexObject", { ...object, DateTime: time(env, moment) });
      equal(new Date(DateTime), new Date(moment));
    }
  },

  "an object of the server's arrives in all its parts": async (env) => {
    const connection = await env.connect();
    equal(await connection.invoke("SendComplexObject"), {
      String: "hello world",
      IntArray: [1, 2, 3],
      ByteArray: bytes(env, "AQID", [1, 2, 3]),
      Guid: "00010203-0405-0607-0706-050403020100",
      DateTime: time(env, "2000-01-01T00:00:00Z"),
    });
  },
};
