/**
 * Whatever way a client leaves, nothing of its connection stays behind: no entry in the
 * server's tables, no task, no descriptor, no thread, no memory.
 *
 * Each way has a server of its own for as long as it is tried, so that a leak names its
 * way. Most ways have one with the timers that a server usually has, and are over long
 * before those; the others have one with short timers. SIGNALR_LEAKS sets how many
 * connections each way gets, SIGNALR_LEAKS_SEED the order of those that leave together.
 * It takes Linux, for what the kernel says of the server's process.
 */

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import { hubWays } from "./leaks/hubs.mjs";
import { requestWays } from "./leaks/requests.mjs";
import { Site } from "./leaks/site.mjs";
import { socketWays } from "./leaks/sockets.mjs";
import { statefulWays } from "./leaks/stateful.mjs";
import { Pool, WatchedServer } from "./leaks/watched_server.mjs";

/** Connections of each way. */
const SIZE = Number(process.env.SIGNALR_LEAKS ?? 10);
const SEED = Number(process.env.SIGNALR_LEAKS_SEED ?? Date.now() % 1e6);

/** Clients that are busy at the same time: more would run into timers that are not theirs. */
const BUSY_CLIENTS_OF_ONE_SERVER = 20;
const BUSY_CLIENTS = 40;

/** How often all ways are gone at once, and how much of the usual number each time. */
const ROUNDS = 2;
const SHARE_OF_ROUND = 0.4;

/** What a server may keep for good reasons, such as the allocator's, once it has seen everything. */
const GROWTH_MIB_MAX = 64;

/** How long leftovers may be there. Shorter than a usual server's timers, of 15 s. */
const LIMIT_MS = 12000;
/** The kernel gives a client that does not read 20 s, where nobody else does. */
const KERNEL_LIMIT_MS = 40000;

const SHORT_TIMERS = {
  "handshake-timeout-ms": 2500, "disconnect-timeout-ms": 2500, "send-timeout-ms": 1000, "close-timeout-ms": 1000,
  "keep-alive-ms": 1000, "client-timeout-ms": 2000, "poll-timeout-ms": 1000,
};
/** For a server that is busier, so that only those run into a timer who shall. */
const MEDIUM_TIMERS = {
  "handshake-timeout-ms": 6000, "disconnect-timeout-ms": 6000, "send-timeout-ms": 3000, "close-timeout-ms": 3000,
  "keep-alive-ms": 2000, "client-timeout-ms": 6000, "poll-timeout-ms": 3000,
};

const WAYS = [...hubWays(), ...socketWays(), ...requestWays(), ...statefulWays()];

function slowestFirst(one, other) {
  return Number(other.needs === "kernel") - Number(one.needs === "kernel");
}

/** Of each kind of server, those that the ways share; the ones that only wait do not need a core each. */
const KINDS = [
  { title: "what a timer ends", ways: WAYS.filter(({ needs }) => needs === "timers"), pool: new Pool(SHORT_TIMERS, 16) },
  { title: "what needs no timer", ways: WAYS.filter(({ needs }) => needs !== "timers").sort(slowestFirst), pool: new Pool({}, 4) },
];

after(async () => {
  const servers = await Promise.all(KINDS.map(({ pool }) => pool.all()));
  await Promise.all(servers.flat().map((server) => server.dispose()));
});

let busy = 0;
/** @type {(() => void)[]} */
const waitingForTurn = [];

/** Runs the job when few enough others run. */
async function inTurn(job) {
  if (busy === BUSY_CLIENTS) await new Promise((resolve) => waitingForTurn.push(resolve));
  else busy += 1;
  try {
    await job();
  } finally {
    const next = waitingForTurn.shift();
    if (next) next();
    else busy -= 1;
  }
}

/** Runs all jobs, some at a time; none is begun after a failure. */
async function crowd(jobs, atATime) {
  const waiting = [...jobs];
  const failures = [];
  await Promise.all(Array.from({ length: atATime }, async () => {
    while (waiting.length > 0 && failures.length === 0) await inTurn(waiting.shift()).catch((error) => failures.push(error));
  }));
  if (failures.length > 0) throw new Error(`${failures.length} clients failed, the first one so: ${failures[0].stack}`);
}

let gates = 0;
let connections = 0;

/** Has clients connect and leave, and sees that nothing is left of them. */
async function leaveNothing(server, leaving, { atATime, limitMs, mayKeep = false }) {
  const gate = `gate ${++gates}`;
  const site = new Site(server, gate, await server.http.token());
  await server.asBefore(LIMIT_MS);
  try {
    await crowd(leaving.map((leave, number) => () => leave(site, number)), atATime);
    connections += leaving.length;
    if (!mayKeep) await server.connectionsGone(limitMs);
    await server.http.release(encodeURIComponent(gate));
    await server.asBefore(limitMs);
  } finally {
    site.dispose();
  }
  assert.equal(server.complaint, undefined);
}

function sizeOf({ share = 1 }, size) {
  return Math.max(1, Math.round(size * share));
}

for (const { title, ways, pool } of KINDS) {
  describe(`nothing is left of ${title}`, { concurrency: true }, () => {
    for (const way of ways) {
      test(way.name, async () => {
        await pool.lend((server) => leaveNothing(server, Array(sizeOf(way, SIZE)).fill(way.leave), {
          atATime: way.isAlone ? 1 : BUSY_CLIENTS_OF_ONE_SERVER,
          limitMs: way.needs === "kernel" ? KERNEL_LIMIT_MS : LIMIT_MS,
          mayKeep: way.isUnread,
        }));
      });
    }
  });
}

/** Numbers between 0 and 1 that are the same for the same seed. */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function shuffle(items, next) {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(next() * (last + 1));
    [items[last], items[other]] = [items[other], items[last]];
  }
  return items;
}

test("nothing is left of clients that leave in every way at once", async (t) => {
  t.diagnostic(`SIGNALR_LEAKS_SEED=${SEED}`);
  const next = random(SEED);
  const ways = WAYS.filter(({ needs }) => needs !== "kernel");
  const server = await WatchedServer.start(MEDIUM_TIMERS);
  t.after(() => server.dispose());
  const resident = [await server.residentMiB()];
  for (let round = 0; round < ROUNDS; round++) {
    const leaving = ways.flatMap((way) => Array.from({ length: sizeOf(way, SIZE * SHARE_OF_ROUND) }, (_, number) => (
      (site) => way.leave(site, number + round).catch((error) => {
        throw new Error(`${way.name}: ${error.message}`);
      })
    )));
    await leaveNothing(server, shuffle(leaving, next), { atATime: BUSY_CLIENTS, limitMs: LIMIT_MS * 2, mayKeep: true });
    resident.push(await server.residentMiB());
  }
  t.diagnostic(`resident MiB before and after each round: ${resident.join(", ")}; ${connections} connections in all`);
  assert.ok(resident.at(-1) - resident[1] <= GROWTH_MIB_MAX, `the server has grown: ${resident.join(", ")} MiB`);
  assert.deepEqual(await server.http.stop(), { code: 0, signal: null });
});
