/** How invocations find their method, what failures say, and in which order things happen. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Hub, PROTOCOLS, TRANSPORTS, TYPE, record } from "./hub.mjs";
import { TestServer } from "./test_server.mjs";

/** @type {TestServer} */
let server;
/** @type {TestServer} */
let withoutDetails;
/** Runs two invocations of a connection at once. @type {TestServer} */
let parallel;
/** @type {Hub} */
let hub;
/** On the server without details. @type {Hub} */
let plain;

before(async () => {
  [server, withoutDetails, parallel] = await Promise.all([
    TestServer.start(),
    TestServer.start({ "no-detailed-errors": true }),
    TestServer.start({ "parallel-invocations-max": 2 }),
  ]);
  [hub, plain] = await Promise.all([Hub.open(server), Hub.open(withoutDetails)]);
});

after(() => Promise.all([server?.dispose(), withoutDetails?.dispose(), parallel?.dispose()]));

/** The error of a call, with details and without. */
async function isError(call, withDetails, without = withDetails) {
  assert.equal((await call(hub)).error, withDetails);
  assert.equal((await call(plain)).error, without);
}

const unexpected = (method, detail) => `An unexpected error occurred invoking '${method}' on the server.${detail ? ` ${detail}` : ""}`;
const failed = (method, detail) => `Failed to invoke '${method}' due to an error on the server.${detail ? ` ${detail}` : ""}`;
const NO_SUCH = "HubException: Method does not exist.";
const NOT_BOUND = "InvalidDataException: Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked.";
const count = (given, expected) => `InvalidDataException: Invocation provides ${given} argument(s) but target expects ${expected}.`;

/** Invokes, or asks for a stream. */
const invoke = (target, ...args) => (at) => at.invoke(target, ...args);
const stream = (target, ...args) => async (at) => at.completion(await at.stream(target, args));

describe("methods", () => {
  test("38 are found in any case", async () => {
    for (const target of ["Echo", "echo", "ECHO", "eChO"]) assert.equal(await hub.result(target, "x"), "x");
    const id = await hub.stream("sTREAM");
    assert.deepEqual([await hub.item(id), await hub.item(id), await hub.item(id)], ["a", "b", "c"]);
    await hub.completion(id);
  });

  test("38 that do not exist are refused with the exact text, also without details", async () => {
    for (const target of ["NoSuchMethod", "noSuchMethod", "", "Echo ", "Écho", "OnConnectedAsync", "OnDisconnectedAsync", "on_connected", "ToString"]) {
      await isError(invoke(target), failed(target, NO_SUCH));
      await isError(stream(target), failed(target, NO_SUCH));
    }
  });

  test("38 are named in errors as they are declared", async () => {
    await isError(invoke("throwexception", "x"), unexpected("ThrowException", "InvalidOperationException: x"), unexpected("ThrowException"));
    await isError(invoke("ECHO"), failed("Echo", count(0, 1)), failed("Echo"));
    await isError(invoke("stream"), "The client attempted to invoke the streaming 'Stream' method with a non-streaming invocation.");
  });

  test("39 that fail say why if details are on", async () => {
    for (const message of ["boom", "", "ä \"quoted\""]) {
      await isError(invoke("ThrowException", message), unexpected("ThrowException", `InvalidOperationException: ${message}`), unexpected("ThrowException"));
    }
    await isError(invoke("ThrowNamed", "TimeoutException", "late"), unexpected("ThrowNamed", "TimeoutException: late"), unexpected("ThrowNamed"));
    await isError(stream("StreamThrowException", "x"), unexpected("StreamThrowException", "InvalidOperationException: x"), unexpected("StreamThrowException"));
  });

  test("39 that fail with a hub exception always say why", async () => {
    await isError(invoke("ThrowNamed", "HubException", "for all to see"), unexpected("ThrowNamed", "HubException: for all to see"));
  });

  test("40 with a wrong number of arguments are refused", async () => {
    await isError(invoke("Echo"), failed("Echo", count(0, 1)), failed("Echo"));
    await isError(invoke("Echo", "a", "b"), failed("Echo", count(2, 1)), failed("Echo"));
    await isError(invoke("VoidResult", 1), failed("VoidResult", count(1, 0)), failed("VoidResult"));
    await isError(stream("Counter", 1), failed("Counter", count(1, 2)), failed("Counter"));
  });

  test("40 with an argument of a wrong type are refused", async () => {
    for (const argument of [5, true, ["x"], { a: "x" }]) {
      await isError(invoke("Echo", argument), failed("Echo", NOT_BOUND), failed("Echo"));
    }
    await isError(invoke("Number", "one"), failed("Number", NOT_BOUND), failed("Number"));
    await isError(invoke("SendCustomObject", "x"), failed("SendCustomObject", NOT_BOUND), failed("SendCustomObject"));
    await isError(invoke("SendToUsers", "x", "y"), failed("SendToUsers", NOT_BOUND), failed("SendToUsers"));
    await isError(stream("Counter", "x", 0), failed("Counter", NOT_BOUND), failed("Counter"));
    assert.equal(await hub.result("Echo", "still here"), "still here");
  });

  test("40 are refused alike in each protocol and on each transport", async () => {
    for (const [transport, protocol] of [...TRANSPORTS.map((one) => [one, PROTOCOLS[0]]), ["WebSockets", PROTOCOLS[1]], ["LongPolling", PROTOCOLS[1]]]) {
      const other = await Hub.open(server, { transport, protocol });
      assert.equal((await other.invoke("Echo", 5)).error, failed("Echo", NOT_BOUND));
      assert.equal((await other.invoke("Echo")).error, failed("Echo", count(0, 1)));
      assert.equal((await other.invoke("NoSuchMethod")).error, failed("NoSuchMethod", NO_SUCH));
      other.cut();
    }
  });

  test("40 42 are checked in order: arguments, authorization, kind of call, streams", async () => {
    await isError(invoke("Counter"), failed("Counter", count(0, 2)), failed("Counter"));
    await isError(invoke("AuthorizedOnly", "x"), failed("AuthorizedOnly", count(1, 0)), failed("AuthorizedOnly"));
    await isError(stream("AuthorizedOnly"), "Failed to invoke 'AuthorizedOnly' because user is unauthorized");
    const twoStreams = (target, type) => async (at) => at.completion(await at.call(target, [], { type, streamIds: ["u", "v"] }));
    await isError(twoStreams("StreamingConcat", TYPE.streamInvocation), "The client attempted to invoke the non-streaming 'StreamingConcat' method with a streaming invocation.");
    await isError(twoStreams("StreamEcho", TYPE.invocation), "The client attempted to invoke the streaming 'StreamEcho' method with a non-streaming invocation.");
  });

  test("41 are never answered when the call has no id, not even unknown ones", async () => {
    const silent = await Hub.open(server);
    const calls = [
      ["Echo", ["x"]], ["NoSuchMethod", []], ["Echo", []], ["Echo", [5]], ["ThrowException", ["x"]], ["Stream", []],
      ["AuthorizedOnly", []], ["StreamingConcat", []], ["NullResult", []],
    ];
    for (const [target, args] of calls) {
      await silent.write({ type: TYPE.invocation, target, arguments: args });
      await silent.write({ type: TYPE.invocation, invocationId: "", target, arguments: args });
    }
    assert.equal(await silent.result("Echo", "the mark"), "the mark");
    assert.deepEqual(silent.log, [{ type: TYPE.completion, invocationId: "1", result: "the mark" }]);
    silent.cut();
  });

  test("42 called in the wrong way say which way is right", async () => {
    await isError(invoke("Stream"), "The client attempted to invoke the streaming 'Stream' method with a non-streaming invocation.");
    await isError(stream("Echo", "x"), "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation.");
  });
});

/** The ids of the Completions so far. */
function completed(at) {
  return at.log.filter(({ type }) => type === TYPE.completion).map(({ invocationId }) => invocationId);
}

describe("order", () => {
  test("43 two invocations run one after the other, in the order they were sent", async () => {
    const one = await Hub.open(server);
    const first = await one.call("Wait", ["43-first"]);
    const second = await one.call("Wait", ["43-second"]);
    await server.release("43-second");
    await one.mark("the second has not begun");
    assert.deepEqual(completed(one), []);
    await server.release("43-first");
    await one.completion(second);
    assert.deepEqual(completed(one), [first, second]);
    one.cut();
  });

  test("43 a stream, a ping and an upload do not wait for the invocation before them", async () => {
    const one = await Hub.open(server);
    const waiting = await one.call("Wait", ["43-long"]);
    const streaming = await one.stream("Stream");
    await one.write({ type: TYPE.ping });
    const uploading = await one.call("StreamingConcat", [], { streamIds: ["up"] });
    await one.write({ type: TYPE.streamItem, invocationId: "up", item: "a" });
    const cancelled = await one.stream("InfiniteStream");
    await one.write({ type: TYPE.cancelInvocation, invocationId: cancelled });
    await one.write({ type: TYPE.streamItem, invocationId: "up", item: "b" }, { type: TYPE.completion, invocationId: "up" });
    await one.completion(streaming);
    assert.equal((await one.completion(uploading)).result, "ab");
    await one.completion(cancelled);
    assert.equal(completed(one).includes(waiting), false);
    await server.release("43-long");
    assert.equal((await one.completion(waiting)).result, "43-long");
    one.cut();
  });

  test("43 what is sent behind an invocation that has to wait, waits with it", async () => {
    const one = await Hub.open(server);
    const first = await one.call("Wait", ["43-a"]);
    const second = await one.call("Wait", ["43-b"]);
    const behind = await one.stream("Stream");
    await server.release("43-b");
    await one.mark("nothing behind it has been read");
    assert.deepEqual(one.log.filter(({ type }) => type !== TYPE.invocation), []);
    await server.release("43-a");
    await Promise.all([first, second, behind].map((id) => one.completion(id)));
    assert.deepEqual(completed(one).filter((id) => id !== behind), [first, second]);
    one.cut();
  });

  test("43 a stream may release the invocation before it", async () => {
    const one = await Hub.open(server);
    const waiting = await one.call("Wait", ["43-by-stream"]);
    const streaming = await one.stream("ReleaseStream", ["43-by-stream"]);
    assert.equal(await one.item(streaming), "released");
    await Promise.all([waiting, streaming].map((id) => one.completion(id)));
    one.cut();
  });

  test("43 a limit of two lets two run and holds the third", async () => {
    const one = await Hub.open(parallel);
    const [first, second, third] = [await one.call("Wait", ["a"]), await one.call("Wait", ["b"]), await one.call("Wait", ["c"])];
    await parallel.release("c");
    await one.mark("the third has not begun");
    assert.deepEqual(completed(one), []);
    await parallel.release("b");
    await Promise.all([second, third].map((id) => one.completion(id)));
    assert.deepEqual(completed(one), [second, third]);
    await parallel.release("a");
    await one.completion(first);
    one.cut();
  });

  test("43 connections do not wait for each other", async () => {
    const [one, other] = [await Hub.open(server), await Hub.open(server)];
    const waiting = await one.call("Wait", ["43-alone"]);
    assert.equal(await other.result("Echo", "x"), "x");
    await server.release("43-alone");
    await one.completion(waiting);
    one.cut();
    other.cut();
  });

  test("44 what a method sends arrives before its Completion", async () => {
    for (const [transport, protocol] of [...TRANSPORTS.map((one) => [one, PROTOCOLS[0]]), ["WebSockets", PROTOCOLS[1]]]) {
      const one = await Hub.open(server, { transport, protocol });
      const texts = Array.from({ length: 30 }, (_, index) => `text ${index}`);
      const ids = [];
      for (const text of texts) ids.push(await one.call("InvokeWithString", [text]));
      await one.completion(ids.at(-1));
      const seen = one.log.map((message) => (message.type === TYPE.completion ? `completed ${message.invocationId}` : message.arguments[0]));
      assert.deepEqual(seen, texts.flatMap((text, index) => [text, `completed ${ids[index]}`]), transport);
      one.cut();
    }
  });

  test("44 invocations sent in one piece are answered in order", async () => {
    const one = await Hub.open(server);
    const ids = Array.from({ length: 100 }, (_, index) => `${index + 1}`);
    await one.raw(ids.map((id) => record({ type: TYPE.invocation, invocationId: id, target: "Echo", arguments: [id] })).join(""));
    await one.completion("100");
    assert.deepEqual(completed(one), ids);
    one.cut();
  });
});
