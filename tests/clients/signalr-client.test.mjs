/** The hub, as the official SignalR client sees it. */

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { randomUUID } from "node:crypto";

import {
  Client, Server, SECRET, WITHOUT_NEGOTIATION, claims, connect, later, secondsFromNow,
  sequenceOf, sign, upgradeStatus, within,
} from "./support.mjs";

/** @type {Server} */
let server;
/** @type {Client} */
let admin;
/** @type {Client} */
let dispatcher;
let ada = "";
let ben = "";
let west = "";
/** @type {import("@microsoft/signalr").HubConnection[]} */
let open = [];

before(async () => {
  server = await Server.serve();
  admin = new Client(server.url, sign(claims.admin()));
  dispatcher = new Client(server.url, sign(claims.dispatcher("north")));
  [ada, ben, west] = await Promise.all([admin.contractor("north", "Ada"), admin.contractor("north", "Ben"), admin.contractor("west", "Wim")]);
});

after(() => server?.dispose());

afterEach(async () => {
  await Promise.all(open.map((connection) => connection.stop()));
  open = [];
});

/** A started connection that is stopped after the test. */
async function live(token, settings = {}) {
  const made = connect(settings.url ?? server.url, token, settings);
  open.push(made.connection);
  await within("the connection starts", made.connection.start());
  return made;
}

/** A connection of a dispatcher of these regions, in their groups. */
async function dispatching(...regions) {
  const made = await live(sign(claims.dispatcher(...regions)));
  for (const region of regions) await made.connection.invoke("JoinDispatchGroup", region);
  return made;
}

/** A connection of a contractor, in its group. */
async function working(contractorId) {
  const made = await live(sign(claims.contractor(contractorId)));
  await made.connection.invoke("JoinContractorGroup", contractorId);
  return made;
}

/** The fields that every event has, by the answer to the change that made it. */
function common(type, answer) {
  const job = answer.body;
  assert.equal(answer.headers.get("etag"), `"${job.version}"`);
  return {
    type,
    schemaVersion: 1,
    eventId: answer.headers.get("x-event-id"),
    sequence: sequenceOf(answer),
    occurredAt: job.updatedAt,
    jobId: job.id,
    jobVersion: job.version,
    region: job.region,
    contractorIds: job.contractorIds,
    title: job.title,
    timezone: job.timezone,
    actor: { id: "dispatcher-1", role: "dispatcher", name: "Dora Dispatcher" },
    correlationId: answer.headers.get("x-request-id"),
  };
}

describe("events", () => {
  test("dispatcher and contractor receive a reschedule with every field", async () => {
    const { body: job } = await dispatcher.job({ contractorIds: [ada] });
    const audience = [await dispatching("north"), await working(ada)];
    const window = later(job, 30);
    const answer = await dispatcher.reschedule(job, { ...window, reason: "traffic" }, { "x-request-id": "a-request-of-mine" });
    const expected = {
      ...common("JobRescheduled", answer),
      previousStartUtc: job.startUtc,
      previousEndUtc: job.endUtc,
      newStartUtc: window.startUtc,
      newEndUtc: window.endUtc,
      reason: "traffic",
    };
    assert.equal(expected.correlationId, "a-request-of-mine");
    for (const { inbox } of audience) {
      assert.deepEqual(await inbox.until(expected.sequence), [{ method: "JobRescheduled", args: [expected] }]);
      assert.equal(Object.keys(inbox.events[0].args[0])[0], "type");
    }
  });

  test("a reschedule without a reason says null", async () => {
    const { body: job } = await dispatcher.job();
    const { inbox } = await dispatching("north");
    const answer = await dispatcher.reschedule(job, later(job, 30));
    const [{ args: [event] }] = await inbox.until(sequenceOf(answer));
    assert.equal(event.reason, null);
  });

  test("dispatcher and contractor receive a cancellation with every field", async () => {
    const { body: job } = await dispatcher.job({ contractorIds: [ada, ben] });
    const audience = [await dispatching("north"), await working(ada), await working(ben)];
    const answer = await dispatcher.cancel(job, { reason: "customer ill" });
    const expected = {
      ...common("JobCancelled", answer),
      startUtc: job.startUtc,
      endUtc: job.endUtc,
      reason: "customer ill",
    };
    for (const { inbox } of audience) {
      assert.deepEqual(await inbox.until(expected.sequence), [{ method: "JobCancelled", args: [expected] }]);
    }
  });

  test("a cancellation without a reason says so in words", async () => {
    const { body: job } = await dispatcher.job();
    const { inbox } = await dispatching("north");
    const answer = await dispatcher.cancel(job, {});
    const [{ args: [event] }] = await inbox.until(sequenceOf(answer));
    assert.equal(event.reason, "No reason provided");
  });

  test("a creation and an assignment arrive with every field", async () => {
    const { inbox } = await dispatching("north");
    const dropped = await working(ada);
    const created = await dispatcher.job({ contractorIds: [ada] });
    const job = created.body;
    const assigned = await dispatcher.must("POST", `/api/jobs/${job.id}/assign`, { contractorIds: [ben] });
    const { startUtc, endUtc } = job;
    const expected = [
      { method: "JobCreated", args: [{ ...common("JobCreated", created), startUtc, endUtc }] },
      { method: "JobAssigned", args: [{ ...common("JobAssigned", assigned), startUtc, endUtc, previousContractorIds: [ada] }] },
    ];
    assert.deepEqual(await inbox.until(sequenceOf(assigned)), expected);
    assert.deepEqual(await dropped.inbox.until(sequenceOf(assigned)), expected);
  });

  test("another region and another contractor receive nothing", async () => {
    const { body: job } = await dispatcher.job({ contractorIds: [ada] });
    const otherRegion = await dispatching("west");
    const otherContractor = await working(ben);
    const nobody = await live(sign(claims.dispatcher("north")));
    await dispatcher.reschedule(job, later(job, 30));
    await dispatcher.cancel(job, {});
    // Events of a connection come in order: what it should not get would be before these.
    const markWest = await admin.job({ region: "west" });
    const markBen = await dispatcher.job({ contractorIds: [ben] });
    await otherRegion.inbox.until(sequenceOf(markWest));
    await otherContractor.inbox.until(sequenceOf(markBen));
    assert.deepEqual(otherRegion.inbox.sequences, [sequenceOf(markWest)]);
    assert.deepEqual(otherContractor.inbox.sequences, [sequenceOf(markBen)]);
    await nobody.connection.invoke("JoinDispatchGroup", "north");
    const mark = await dispatcher.job();
    await nobody.inbox.until(sequenceOf(mark));
    assert.deepEqual(nobody.inbox.sequences, [sequenceOf(mark)]);
  });

  test("a connection in two groups of an event receives it once", async () => {
    const { body: job } = await dispatcher.job({ contractorIds: [ada, ben] });
    const { connection, inbox } = await live(sign(claims.admin()));
    await connection.invoke("JoinDispatchGroup", "north");
    await connection.invoke("JoinContractorGroup", ada);
    await connection.invoke("JoinContractorGroup", ben);
    await connection.invoke("JoinContractorGroup", ben);
    const changes = [
      await dispatcher.reschedule(job, later(job, 30)),
      await dispatcher.cancel(job, {}),
      await dispatcher.job(),
    ].map(sequenceOf);
    await inbox.until(changes[2]);
    assert.deepEqual(inbox.sequences, changes);
  });

  test("nothing arrives after leaving", async () => {
    const { connection, inbox } = await live(sign(claims.admin()));
    for (const method of ["Join", "Leave"]) {
      await connection.invoke(`${method}DispatchGroup`, "north");
      await connection.invoke(`${method}ContractorGroup`, ada);
    }
    await dispatcher.job({ contractorIds: [ada] });
    await connection.invoke("JoinDispatchGroup", "west");
    const mark = await admin.job({ region: "west" });
    await inbox.until(sequenceOf(mark));
    assert.deepEqual(inbox.sequences, [sequenceOf(mark)]);
  });

  test("rescheduling to the same window announces nothing", async () => {
    const { body: job } = await dispatcher.job();
    const { inbox } = await dispatching("north");
    const same = await dispatcher.reschedule(job, { startUtc: job.startUtc, endUtc: job.endUtc });
    assert.equal(same.headers.get("x-event-sequence"), null);
    const mark = await dispatcher.job();
    await inbox.until(sequenceOf(mark));
    assert.deepEqual(inbox.sequences, [sequenceOf(mark)]);
  });

  test("the alias of the hub shares its groups", async () => {
    const { connection, inbox } = await live(sign(claims.dispatcher("north")), { hub: "/hub/recommendations" });
    await connection.invoke("JoinDispatchGroup", "north");
    const mark = await dispatcher.job();
    await inbox.until(sequenceOf(mark));
  });

  test("events come without negotiation as well", async () => {
    const { connection, inbox } = await live(sign(claims.dispatcher("north")), { options: WITHOUT_NEGOTIATION });
    await connection.invoke("JoinDispatchGroup", "north");
    const mark = await dispatcher.job();
    await inbox.until(sequenceOf(mark));
  });
});

describe("joining", () => {
  const refusals = [
    ["a foreign region", () => claims.dispatcher("north"), () => ["JoinDispatchGroup", "west"]],
    ["a region that is none", () => claims.dispatcher("north"), () => ["JoinDispatchGroup", "North!"]],
    ["a foreign region's contractor", () => claims.dispatcher("north"), () => ["JoinContractorGroup", west]],
    ["another contractor", () => claims.contractor(ada), () => ["JoinContractorGroup", ben]],
    ["a dispatch group, as a contractor", () => claims.contractor(ada), () => ["JoinDispatchGroup", "north"]],
    ["a contractor that does not exist", () => claims.dispatcher("north"), () => ["JoinContractorGroup", randomUUID()]],
    ["a contractor that is none", () => claims.dispatcher("north"), () => ["JoinContractorGroup", "ada"]],
  ];
  for (const [what, who, call] of refusals) {
    test(`${what} is refused, and the connection stays`, async () => {
      const { connection } = await live(sign(who()));
      await assert.rejects(connection.invoke(...call()), (error) => {
        assert.match(error.message, /^forbidden: /);
        return true;
      });
      assert.equal(connection.state, "Connected");
    });
  }

  test("a refused join joins nothing", async () => {
    const { connection, inbox } = await live(sign(claims.dispatcher("north")));
    await connection.invoke("JoinDispatchGroup", "west").catch(() => {});
    await admin.job({ region: "west" });
    await connection.invoke("JoinDispatchGroup", "north");
    const mark = await dispatcher.job();
    await inbox.until(sequenceOf(mark));
    assert.deepEqual(inbox.sequences, [sequenceOf(mark)]);
  });

  test("a dispatcher follows a contractor of the own region", async () => {
    const { connection, inbox } = await live(sign(claims.dispatcher("north")));
    await connection.invoke("JoinContractorGroup", ada);
    await dispatcher.job({ contractorIds: [ben] });
    const mark = await dispatcher.job({ contractorIds: [ada] });
    await inbox.until(sequenceOf(mark));
    assert.deepEqual(inbox.sequences, [sequenceOf(mark)]);
  });

  test("an unknown method is refused in the protocol's own words", async () => {
    const { connection } = await live(sign(claims.dispatcher("north")));
    await assert.rejects(connection.invoke("Nope"), {
      message: "Failed to invoke 'Nope' due to an error on the server. HubException: Method does not exist.",
    });
  });
});

describe("tokens", () => {
  const good = () => claims.dispatcher("north");
  const wrong = [
    ["no token", () => null],
    ["an empty token", () => ""],
    ["no JWT at all", () => "nonsense"],
    ["an expired token", () => sign({ ...good(), exp: secondsFromNow(-1) })],
    ["a token without expiry", () => sign({ ...good(), exp: undefined })],
    ["a token that is not valid yet", () => sign({ ...good(), nbf: secondsFromNow(600) })],
    ["a token without signature, algorithm none", () => sign(good(), { algorithm: "none" })],
    ["a token with a signature, algorithm none", () => signedAsNone(good())],
    ["a token signed with another secret", () => sign(good(), { secret: `${SECRET}, another` })],
    ["a token signed with HS512", () => sign(good(), { algorithm: "HS512" })],
    ["a token whose claims were changed", () => withOtherClaims(sign(good()), claims.admin())],
  ];
  for (const [what, make] of wrong) {
    test(`${what} does not let anybody in`, async () => {
      const token = make();
      const headers = token === null ? {} : { authorization: `Bearer ${token}` };
      const negotiate = await fetch(`${server.url}/hub/dispatch/negotiate?negotiateVersion=1`, { method: "POST", headers });
      assert.deepEqual([negotiate.status, await negotiate.text()], [401, ""]);
      assert.equal(await upgradeStatus(`${server.url}/hub/dispatch`, headers), 401);
      const query = token === null ? "" : `?access_token=${encodeURIComponent(token)}`;
      assert.equal(await upgradeStatus(`${server.url}/hub/dispatch${query}`), 401);
      const api = await fetch(`${server.url}/api/jobs`, { headers });
      assert.equal(api.status, 401);
    });
  }

  test("the client's start fails with a wrong token, with and without negotiation", async () => {
    const token = sign(good(), { secret: `${SECRET}, another` });
    for (const options of [{}, WITHOUT_NEGOTIATION]) {
      await assert.rejects(within("the start fails", connect(server.url, token, { options }).connection.start()));
    }
  });

  test("a good token lets in by header and by query", async () => {
    const token = sign(good());
    const hub = `${server.url}/hub/dispatch`;
    assert.equal(await upgradeStatus(hub, { authorization: `Bearer ${token}` }), 101);
    assert.equal(await upgradeStatus(`${hub}?access_token=${token}`), 101);
  });

  test("the query's token is for the hub alone", async () => {
    const answer = await fetch(`${server.url}/api/jobs?access_token=${sign(good())}`);
    assert.equal(answer.status, 401);
  });

  test("a connection ends when its token does", async () => {
    const { connection, inbox } = await live(sign({ ...good(), exp: secondsFromNow(3) }));
    const closed = new Promise((resolve) => connection.onclose(resolve));
    await connection.invoke("JoinDispatchGroup", "north");
    await within("the connection is closed", closed);
    await dispatcher.job();
    assert.deepEqual(inbox.events, []);
  });

  test("with automatic reconnect the client comes back with a fresh token", async () => {
    const tokens = [];
    const fresh = () => {
      const exp = secondsFromNow(tokens.length < 2 ? 3 : 3600);
      tokens.push(sign({ ...good(), exp }));
      return tokens.at(-1);
    };
    const { connection, inbox } = await live(fresh, { reconnect: true });
    const first = connection.connectionId;
    const used = tokens.length;
    await within("the client is back", new Promise((resolve) => connection.onreconnected(resolve)));
    assert.notEqual(connection.connectionId, first);
    assert.ok(tokens.length > used, "the token factory was asked again");
    await connection.invoke("JoinDispatchGroup", "north");
    const mark = await dispatcher.job();
    await inbox.until(sequenceOf(mark));
  });
});

describe("origins", () => {
  const headers = (origin) => ({ authorization: `Bearer ${sign(claims.dispatcher("north"))}`, origin });

  test("a foreign page is refused", async () => {
    for (const origin of ["http://evil.example", "null", `${server.url}.evil.example`]) {
      const negotiate = await fetch(`${server.url}/hub/dispatch/negotiate?negotiateVersion=1`, { method: "POST", headers: headers(origin) });
      assert.equal(negotiate.status, 403, origin);
      assert.equal(await upgradeStatus(`${server.url}/hub/dispatch`, headers(origin)), 403, origin);
    }
  });

  test("the server's own page is let in", async () => {
    const negotiate = await fetch(`${server.url}/hub/dispatch/negotiate?negotiateVersion=1`, { method: "POST", headers: headers(server.url) });
    assert.equal(negotiate.status, 200);
    assert.equal(await upgradeStatus(`${server.url}/hub/dispatch`, headers(server.url)), 101);
  });
});

describe("stopping", () => {
  test("the server says goodbye, and the client comes back to its successor", async () => {
    const first = await Server.serve();
    const { port, folder } = first;
    let second;
    try {
      const { connection, inbox } = await live(sign(claims.dispatcher("north")), { url: first.url, reconnect: true });
      const lost = new Promise((resolve) => connection.onreconnecting(resolve));
      const back = new Promise((resolve) => connection.onreconnected(resolve));
      assert.deepEqual(await first.stop(), { code: 0, signal: null });
      await within("the client notices", lost);
      second = await Server.serve({ port, folder });
      await within("the client is back", back);
      await connection.invoke("JoinDispatchGroup", "north");
      const mark = await new Client(second.url, dispatcher.token).job();
      await inbox.until(sequenceOf(mark));
    } finally {
      await Promise.all([first.dispose(), second?.dispose()]);
    }
  });

  test("a client without automatic reconnect is told that it was closed", async () => {
    const own = await Server.serve();
    try {
      const { connection } = await live(sign(claims.dispatcher("north")), { url: own.url });
      const closed = new Promise((resolve) => connection.onclose(resolve));
      await own.stop();
      await within("the client is closed", closed);
    } finally {
      await own.dispose();
    }
  });
});

/** An unsigned token's header and claims with a signature that belongs to HS256. */
function signedAsNone(content) {
  const [header, payload] = sign(content, { algorithm: "none" }).split(".");
  return `${header}.${payload}.${sign(content).split(".")[2]}`;
}

/** The token's signature under other claims. */
function withOtherClaims(token, content) {
  const [header, , signature] = token.split(".");
  return `${header}.${sign(content).split(".")[1]}.${signature}`;
}
