/** Groups, users and the other ways to address connections. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { until } from "../waiting.mjs";
import { Hub, PROTOCOLS, TRANSPORTS, TYPE } from "./hub.mjs";
import { TestServer } from "./test_server.mjs";

/** @type {TestServer} */
let server;

before(async () => {
  server = await TestServer.start();
});

after(() => server?.dispose());

/** Two connections of ada, one of ben, and one of nobody, in different protocols and on different transports. */
async function everyone() {
  const [ada, ben] = [await server.token("ada"), await server.token("ben")];
  const caller = await Hub.open(server, { token: ada });
  const second = await Hub.open(server, { token: ada, protocol: PROTOCOLS[1] });
  const benjamin = await Hub.open(server, { token: ben, transport: "ServerSentEvents" });
  const nobody = await Hub.open(server, { transport: "LongPolling" });
  return { caller, second, ben: benjamin, nobody };
}

/** What each one has received of `Send` until now. */
async function received(hubs, mark) {
  await hubs.caller.result("SendToAll", mark);
  const seen = {};
  for (const [name, hub] of Object.entries(hubs)) {
    await hub.take(`the mark ${mark}`, ({ target, arguments: args }) => target === "Send" && args[0] === mark);
    seen[name] = hub.log.filter(({ target }) => target === "Send").map((message) => message.arguments[0]).filter((text) => text !== mark);
    hub.log.length = 0;
  }
  return seen;
}

const leave = (hubs) => Object.values(hubs).forEach((hub) => hub.cut());

test("62 every form of address reaches whom it names, and nobody else", async () => {
  const hubs = await everyone();
  const { caller, second, ben, nobody } = hubs;
  await caller.result("AddToGroup", caller.id, "g");
  await caller.result("AddToGroup", second.id, "g");
  await caller.result("AddToGroup", ben.id, "g");
  await ben.result("JoinGroup", "h");
  await nobody.result("JoinGroup", "h");

  const all = ["caller", "second", "ben", "nobody"];
  const forms = [
    ["SendToAll", [], all],
    ["SendToAllExcept", [[second.id, nobody.id]], ["caller", "ben"]],
    ["SendToAllExcept", [[]], all],
    ["SendToAllExcept", [["unknown"]], all],
    ["SendToCaller", [], ["caller"]],
    ["SendToOthers", [], ["second", "ben", "nobody"]],
    ["SendToConnection", [ben.id], ["ben"]],
    ["SendToConnection", ["unknown"], []],
    ["SendToConnections", [[second.id, nobody.id]], ["second", "nobody"]],
    ["SendToConnections", [[ben.id, "unknown", ben.id]], ["ben"]],
    ["SendToConnections", [[]], []],
    ["SendToGroup", ["g"], ["caller", "second", "ben"]],
    ["SendToGroup", ["G"], []],
    ["SendToGroup", ["nothing"], []],
    ["SendToGroups", [["g", "nothing"]], ["caller", "second", "ben"]],
    ["SendToGroups", [["g", "h"]], ["caller", "second", "ben", "ben", "nobody"]],
    ["SendToGroupExcept", ["g", [caller.id, ben.id]], ["second"]],
    ["SendToGroupExcept", ["g", []], ["caller", "second", "ben"]],
    ["SendToOthersInGroup", ["g"], ["second", "ben"]],
    ["SendToOthersInGroup", ["h"], ["ben", "nobody"]],
    ["SendToUser", ["ada"], ["caller", "second"]],
    ["SendToUser", ["ben"], ["ben"]],
    ["SendToUser", ["Ada"], []],
    ["SendToUser", ["unknown"], []],
    ["SendToUser", [""], []],
    ["SendToUsers", [["ada", "ben"]], ["caller", "second", "ben"]],
    ["SendToUsers", [["ada", "ada", "unknown"]], ["caller", "second"]],
    ["SendToUsers", [[]], []],
  ];
  const expected = { caller: [], second: [], ben: [], nobody: [] };
  for (const [index, [target, args, names]] of forms.entries()) {
    const text = `${index}: ${target} ${JSON.stringify(args)}`;
    assert.equal(await caller.result(target, ...args, text), null, text);
    for (const name of names) expected[name].push(text);
  }
  assert.deepEqual(await received(hubs, "end of forms"), expected);
  leave(hubs);
});

test("62 a call of a client has a target, arguments and nothing else", async () => {
  const hub = await Hub.open(server);
  await hub.result("SendToCaller", "x");
  assert.deepEqual(hub.log[0], { type: TYPE.invocation, target: "Send", arguments: ["x"] });
  hub.cut();
});

test("62 an empty name among several groups is an error", async () => {
  const hub = await Hub.open(server);
  const { error } = await hub.invoke("SendToGroups", ["g", ""], "x");
  assert.match(error ?? "no error", /^An unexpected error occurred invoking 'SendToGroups' on the server\./);
  hub.cut();
});

test("62 joining twice, leaving without having joined, and unknown connections change nothing", async () => {
  const hubs = await everyone();
  const { caller, second } = hubs;
  for (const id of [caller.id, caller.id, second.id, "unknown"]) assert.equal((await caller.invoke("AddToGroup", id, "twice")).error, undefined);
  await caller.result("SendToGroup", "twice", "a");
  await caller.result("LeaveGroup", "twice");
  await caller.result("SendToGroup", "twice", "b");
  for (const id of [caller.id, "unknown", second.id]) assert.equal((await caller.invoke("RemoveFromGroup", id, "twice")).error, undefined);
  await caller.result("LeaveGroup", "never joined");
  await caller.result("SendToGroup", "twice", "c");
  assert.deepEqual(await received(hubs, "end of joining"), { caller: ["a"], second: ["a", "b"], ben: [], nobody: [] });
  leave(hubs);
});

test("62 joining takes effect before the call completes", async () => {
  const hub = await Hub.open(server);
  const calls = Array.from({ length: 20 }, (_, index) => [
    { type: TYPE.invocation, target: "JoinGroup", arguments: [`at once ${index}`] },
    { type: TYPE.invocation, target: "SendToGroup", arguments: [`at once ${index}`, "in"] },
    { type: TYPE.invocation, target: "LeaveGroup", arguments: [`at once ${index}`] },
    { type: TYPE.invocation, target: "SendToGroup", arguments: [`at once ${index}`, "out"] },
  ]);
  await hub.write(...calls.flat());
  await hub.result("Echo", "x");
  assert.deepEqual(hub.log.filter(({ target }) => target === "Send").map((message) => message.arguments[0]), Array(20).fill("in"));
  hub.cut();
});

test("62 membership is gone after a disconnect, and a client that returns has to join again", async () => {
  const own = await TestServer.start();
  try {
    const token = await own.token("ada");
    const [caller, member] = [await Hub.open(own), await Hub.open(own, { token })];
    await member.result("JoinGroup", "g");
    await member.result("JoinGroup", "h");
    await caller.result("JoinGroup", "h");
    assert.deepEqual([(await own.counts()).groups, (await own.counts()).users], [2, 1]);
    member.cut();
    await own.disconnected(member.id);
    await until("its groups and its user are gone", async () => {
      const { groups, users, connections } = await own.counts();
      return groups === 1 && users === 0 && connections === 1;
    });

    const returned = await Hub.open(own, { token });
    assert.notEqual(returned.id, member.id);
    await caller.result("SendToGroups", ["g", "h"], "before it joins");
    await returned.result("JoinGroup", "g");
    await caller.result("SendToGroup", "g", "after it has joined");
    await caller.result("SendToUser", "ada", "as a user");
    await returned.mark("end");
    assert.deepEqual(returned.log.filter(({ target }) => target === "Send").map((message) => message.arguments[0]), ["after it has joined", "as a user", "end"]);
    await caller.result("SendToConnection", member.id, "to nobody");
  } finally {
    await own.dispose();
  }
});

test("63 one broadcast reaches every protocol and every transport, in order", async () => {
  const own = await TestServer.start();
  try {
    const kinds = TRANSPORTS.flatMap((transport) => PROTOCOLS.map((protocol) => ({ transport, protocol })))
      .filter(({ transport, protocol }) => transport !== "ServerSentEvents" || protocol === PROTOCOLS[0]);
    const hubs = await Promise.all(kinds.map((kind) => Hub.open(own, kind)));
    await own.control("POST", "/broadcast?count=50&bytes=300");
    for (const hub of hubs) for (let taken = 0; taken < 50; taken++) await hub.called("Broadcast");
    await hubs[0].result("SendToAll", "to all, äöü");
    for (const hub of hubs) {
      await hub.called("Send");
      const calls = hub.log.filter(({ type }) => type === TYPE.invocation);
      assert.deepEqual(calls, hubs[0].log.filter(({ type }) => type === TYPE.invocation));
      assert.equal(calls.at(-1).arguments[0], "to all, äöü");
      assert.deepEqual(calls.slice(0, -1).map(({ target, arguments: [, text] }) => [target, text.length]), Array(50).fill(["Broadcast", 300]));
      const first = calls[0].arguments[0];
      assert.deepEqual(calls.slice(0, -1).map((message) => message.arguments[0]), Array.from({ length: 50 }, (_, index) => first + index));
    }
  } finally {
    await own.dispose();
  }
});
