/** The server asks a client, and waits for its answer. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Hub, PROTOCOLS, TRANSPORTS, TYPE } from "./hub.mjs";
import { TestServer } from "./test_server.mjs";

/** @type {TestServer} */
let server;
/** @type {TestServer} */
let withoutDetails;

before(async () => {
  [server, withoutDetails] = await Promise.all([TestServer.start(), TestServer.start({ "no-detailed-errors": true })]);
});

after(() => Promise.all([server?.dispose(), withoutDetails?.dispose()]));

const answer = (invocationId, how) => ({ type: TYPE.completion, invocationId, ...how });
const unexpected = (method, detail) => `An unexpected error occurred invoking '${method}' on the server. ${detail}`;

/** Calls a method that asks the caller, and answers as the client would. */
async function asked(hub, method, args, target, how) {
  const id = await hub.call(method, args);
  const call = await hub.called(target);
  await hub.write(answer(call.invocationId, how));
  return { call, completion: await hub.completion(id) };
}

test("51 the value that the client answers is the result", async () => {
  for (const [transport, protocol] of [...TRANSPORTS.map((one) => [one, PROTOCOLS[0]]), ["WebSockets", PROTOCOLS[1]]]) {
    const hub = await Hub.open(server, { transport, protocol });
    for (const value of ["text", 5, null, { a: [1] }]) {
      const { call, completion } = await asked(hub, "AskCaller", ["question"], "Answer", { result: value });
      assert.deepEqual(call.arguments, ["question"]);
      assert.match(call.invocationId, /[^0-9]/, "no id that a client would give");
      assert.deepEqual(completion.result, value);
    }
    assert.equal((await asked(hub, "AskCallerInt", [], "AnswerInt", { result: 42 })).completion.result, 42);
    hub.cut();
  }
});

test("51 the error that the client answers is passed on as it is, also without details", async () => {
  for (const at of [server, withoutDetails]) {
    const hub = await Hub.open(at);
    for (const error of ["Client didn't provide a result.", "Client did not provide a result.", "Error: no \"reason\" <given>"]) {
      const { completion } = await asked(hub, "AskCaller", [1], "Answer", { error });
      assert.equal(completion.error, unexpected("AskCaller", `HubException: ${error}`));
    }
    hub.cut();
  }
});

test("51 a value that does not convert is an error, and the connection stays", async () => {
  for (const protocol of PROTOCOLS) {
    const hub = await Hub.open(server, { protocol });
    for (const result of ["text", { a: 1 }]) {
      const { completion } = await asked(hub, "AskCallerInt", [], "AnswerInt", { result });
      assert.ok(completion.error?.startsWith(unexpected("AskCallerInt", "HubException: Error trying to deserialize result to ")), completion.error);
    }
    assert.equal(await hub.result("Echo", "x"), "x");
    hub.cut();
  }
});

test("51 a client that is lost while it is asked is an error, and so is one that never was", async () => {
  const [hub, other] = [await Hub.open(server), await Hub.open(server)];
  const waiting = await hub.call("AskConnection", [other.id, 1]);
  await other.called("Answer");
  other.cut();
  assert.equal((await hub.completion(waiting)).error, unexpected("AskConnection", `HubException: Connection '${other.id}' disconnected.`));
  await server.disconnected(other.id);
  for (const id of [other.id, "nobody"]) {
    assert.equal((await hub.invoke("AskConnection", id, 1)).error, unexpected("AskConnection", `HubException: Connection '${id}' does not exist.`));
  }
  hub.cut();
});

test("51 another connection can be asked", async () => {
  const [hub, other] = [await Hub.open(server), await Hub.open(server, { protocol: PROTOCOLS[1] })];
  const waiting = await hub.call("AskConnection", [other.id, "question"]);
  const call = await other.called("Answer");
  assert.deepEqual(call.arguments, ["question"]);
  await other.write(answer(call.invocationId, { result: "yes" }));
  assert.equal((await hub.completion(waiting)).result, "yes");
  hub.cut();
  other.cut();
});

test("51 an answer that comes after the server has given up is ignored", async () => {
  const hub = await Hub.open(server);
  const id = await hub.call("AskAndCancel", [50]);
  const { invocationId } = await hub.called("Never");
  assert.equal((await hub.completion(id)).result, "Invocation canceled by the server.");
  assert.equal(hub.log.length, 2, "the client is not told");
  await hub.write(answer(invocationId, { result: "too late" }), answer("s999", { result: "never asked" }), answer(invocationId, { error: "too late" }));
  assert.equal(await hub.result("Echo", "x"), "x");
  hub.cut();
});

test("51 a client can be asked from outside of any call", async () => {
  const hub = await Hub.open(server);
  for (const [how, text] of [[{ result: 7 }, "7"], [{ error: "busy" }, "busy"]]) {
    const asking = server.request(`/clientresult/${hub.id}`);
    const { invocationId } = await hub.called("Result");
    await hub.write(answer(invocationId, how));
    assert.equal((await asking).text, text);
  }
  assert.equal((await server.request("/clientresult/nobody")).text, "Connection 'nobody' does not exist.");
  const asking = server.request(`/clientresult/${hub.id}`);
  await hub.called("Result");
  hub.cut();
  assert.equal((await asking).text, `Connection '${hub.id}' disconnected.`);
});

test("51 ids of the client and of the server may be the same", async () => {
  const hub = await Hub.open(server);
  const id = await hub.call("AskCaller", [1]);
  const { invocationId } = await hub.called("Answer");
  await hub.call("Echo", ["mine"], { invocationId });
  assert.equal((await hub.completion(invocationId)).result, "mine");
  await hub.write(answer(invocationId, { result: "yours" }));
  assert.equal((await hub.completion(id)).result, "yours");
  hub.cut();
});

test("52 a method that asks its caller lets the caller's other messages through", async () => {
  for (const protocol of PROTOCOLS) {
    const hub = await Hub.open(server, { protocol });
    const asking = await hub.call("AskCaller", [1]);
    const { invocationId } = await hub.called("Answer");
    assert.equal(await hub.result("Echo", "meanwhile"), "meanwhile");
    const again = await hub.call("AskCaller", [2]);
    const second = await hub.called("Answer");
    assert.notEqual(second.invocationId, invocationId);
    await hub.write(answer(second.invocationId, { result: "second" }));
    assert.equal((await hub.completion(again)).result, "second");
    await hub.write(answer(invocationId, { result: "first" }));
    assert.equal((await hub.completion(asking)).result, "first");

    // The gate is whole again: one invocation runs at a time.
    const gate = `52-${protocol.name}`;
    const waiting = await hub.call("Wait", [gate]);
    const behind = await hub.call("Echo", ["behind"]);
    await hub.mark(gate);
    assert.equal(hub.log.some((message) => message.invocationId === behind), false);
    await server.release(gate);
    await hub.completion(waiting);
    await hub.completion(behind);
    hub.cut();
  }
});

test("52 the connected hook may not ask", async () => {
  const hub = await Hub.open(server, { query: "connected=ask" });
  const { arguments: [text] } = await hub.called("ConnectedHook");
  assert.equal(text, "Client results inside OnConnectedAsync Hub methods are not allowed.");
  assert.equal(hub.log.length, 1);
  assert.equal((await asked(hub, "AskCaller", [1], "Answer", { result: "now it may" })).completion.result, "now it may");
  hub.cut();
});

test("52 a connection that was not asked cannot answer", async () => {
  const [hub, other] = [await Hub.open(server), await Hub.open(server)];
  const asking = await hub.call("AskCaller", [1]);
  const { invocationId } = await hub.called("Answer");
  await other.write(answer(invocationId, { result: "forged" }));
  // Such a connection may be closed for it; either way its message has been read.
  await Promise.race([other.result("Echo", "x").catch(() => {}), other.end()]);
  await hub.mark("nothing has come of it");
  assert.equal(hub.log.some((message) => message.invocationId === asking && message.type === TYPE.completion), false);
  await hub.write(answer(invocationId, { result: "genuine" }));
  assert.equal((await hub.completion(asking)).result, "genuine");
  hub.cut();
  other.cut();
});
