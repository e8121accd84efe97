/**
 * Newer credentials for a connection that lives: `POST {hub}/refresh`, as the reference
 * server's later versions have it, and the requests that bring them anyway.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { until } from "../waiting.mjs";
import { Hub, TRANSPORTS, TYPE } from "./hub.mjs";
import { Polls } from "./polls.mjs";
import { StatefulPeer } from "./stateful_peer.mjs";
import { TestServer, bearer } from "./test_server.mjs";
import { ask } from "./wire.mjs";

/** @type {TestServer} */
let server;

before(async () => {
  server = await TestServer.start();
});

after(() => server?.dispose());

/** The answer to newer credentials. @param {string} path the endpoint's, with the connection's id */
async function refresh(path, { token, note, method = "POST" } = {}) {
  const [endpoint, query = ""] = path.split("?");
  const headers = { ...bearer(token), ...(note === undefined ? {} : { "x-note": note }) };
  const answer = await server.request(`${endpoint}/refresh${query && `?${query}`}`, { method, headers });
  return { status: answer.status, headers: answer.headers, json: answer.text.startsWith("{") ? JSON.parse(answer.text) : answer.text };
}

const pathOf = (hub) => hub.url.slice(server.url.length);

async function refused(path, options, status, error) {
  const answer = await refresh(path, options);
  assert.deepEqual([answer.status, answer.json], [status, { error }]);
}

describe("newer credentials", { concurrency: true }, () => {
  test("count for every later call, over each transport, and the connection goes on", async () => {
    for (const transport of TRANSPORTS) {
      const token = await server.token("ada");
      const hub = await Hub.open(server, { transport, token, headers: { "x-note": "first" } });
      assert.equal(await hub.result("GetNote"), "first");
      await hub.result("JoinGroup", transport);
      const { status, json } = await refresh(pathOf(hub), { token: await server.token("ada", 900), note: "second" });
      assert.equal(status, 200);
      assert.ok(json.tokenLifetimeSeconds > 890 && json.tokenLifetimeSeconds <= 900, JSON.stringify(json));
      assert.equal(await hub.result("GetNote"), "second");
      assert.equal(await hub.result("GetUserIdentifier"), "ada");
      await hub.result("SendToGroup", transport, "still a member");
      await hub.called("Send");
      assert.deepEqual(await server.hooks(hub.id), { connected: 1, disconnected: 0, failure: null });
      hub.cut();
    }
  });

  test("let the connection live until they end", async () => {
    await Promise.all(TRANSPORTS.map(async (transport) => {
      const hub = await Hub.open(server, { transport, token: await server.token("ada", 2) });
      const until = Date.now() + 3500;
      assert.equal((await refresh(pathOf(hub), { token: await server.token("ada", 5) })).status, 200);
      // Its own requests bring the older ones to the end, as those of clients do that ask for a token once.
      while (Date.now() < until) {
        await hub.result("Echo", "still alive");
        await pause(100);
      }
      const close = await hub.take("the Close", ({ type }) => type === TYPE.close, 15_000);
      assert.deepEqual(close, { type: TYPE.close, allowReconnect: true });
      await hub.end();
    }));
  });

  test("come to count between two calls, and not beside one", async () => {
    const hub = await Hub.open(server, { headers: { "x-note": "first" } });
    const call = await hub.call("Wait", ["renewal"]);
    const pending = refresh(pathOf(hub), { note: "second" });
    const note = hub.call("GetNote");
    await server.release("renewal");
    await hub.completion(call);
    assert.equal((await pending).status, 200);
    await hub.completion(await note);
    assert.equal(await hub.result("GetNote"), "second");
    hub.cut();
  });

  test("that the hub refuses leave everything as it was", async () => {
    const hub = await Hub.open(server, { headers: { "x-note": "first" } });
    await refused(pathOf(hub), { note: "refuse" }, 403, "permission_change_rejected");
    await refused(pathOf(hub), { note: "panic" }, 503, "refresh_unavailable");
    const panic = /^\[\S+Z ERROR signalbox::panic\] a thread panicked .*location=\S+hub.rs:\d+:\d+ .*panic="the renew hook was asked to panic"/m;
    await until("the log has the panic as a line of its own", () => panic.test(server.errors));
    const answer = await refresh(pathOf(hub), { note: "cannot tell" });
    assert.deepEqual([answer.status, answer.headers["retry-after"], answer.json], [503, "1", { error: "refresh_unavailable" }]);
    assert.equal(await hub.result("GetNote"), "first");
    hub.cut();
  });

  test("are refused with the reference server's codes", async () => {
    const [ada, ben] = await Promise.all([server.token("ada"), server.token("ben")]);
    const hub = await Hub.open(server, { token: ada });
    await refused(pathOf(hub), { token: ben }, 403, "user_changed");
    await refused(pathOf(hub), {}, 403, "user_changed");
    await refused(pathOf(hub), { token: "nonsense" }, 401, "invalid_token");
    await refused("/testhub", { token: ada }, 400, "missing_connection_token");
    await refused("/testhub?id=nobody", { token: ada }, 404, "connection_not_found");
    await refused(`/testhub?id=${hub.id}`, { token: ada }, 404, "connection_not_found");
    const { connectionId } = (await server.negotiate("/testhub", { version: null })).json;
    await refused(`/testhub?id=${connectionId}`, {}, 400, "unsupported_negotiate_version");
    const wrong = await refresh(pathOf(hub), { token: ada, method: "GET" });
    assert.equal(wrong.status, 405);
    assert.equal((await refresh("/testhub-norefresh?id=x", { token: ada })).status, 404);
    hub.cut();
    await server.disconnected(hub.id);
    await refused(pathOf(hub), { token: ada }, 404, "connection_not_found");
  });

  test("for a connection that has no transport yet are those that its transport brings", async () => {
    const { connectionToken } = (await server.negotiate()).json;
    assert.deepEqual((await refresh(`/testhub?id=${connectionToken}`, { note: "early" })).json, {});
    const hub = await Hub.open(server, { isNegotiated: false, query: `id=${connectionToken}`, headers: { "x-note": "own" } });
    assert.equal(await hub.result("GetNote"), "own");
    hub.cut();
  });

  test("come with a poll as well", async () => {
    const polls = await Polls.open(server);
    await until("a call says so", async () => {
      const poll = ask(server.url + polls.path, { headers: { "x-note": "polled" } });
      await polls.call("GetNote");
      return (await poll.answer).text.includes('"result":"polled"');
    });
    await polls.delete();
  });

  test("come with a socket that takes a lost one's place", async () => {
    const peer = await StatefulPeer.open(server, { token: await server.token("ada") });
    assert.equal(await peer.result("GetNote"), null);
    peer.cut();
    peer.headers = { ...bearer(await server.token("ada", 900)), "x-note": "reconnected" };
    assert.equal(await peer.reopen(), 101);
    assert.equal(await peer.result("GetNote"), "reconnected");
    peer.cut();
  });
});

describe("negotiation", () => {
  test("says how long the token lives, where it has an end and can be renewed", async () => {
    const token = await server.token("ada", 500);
    const lifetime = async (hub, options) => (await server.negotiate(hub, options)).json.tokenLifetimeSeconds;
    const seconds = await lifetime("/testhub", { token });
    assert.ok(seconds > 490 && seconds <= 500, `${seconds}`);
    assert.equal(await lifetime("/testhub", {}), undefined);
    assert.equal(await lifetime("/testhub", { token, version: null }), undefined);
    assert.equal(await lifetime("/testhub-norefresh", { token }), undefined);
  });
});
