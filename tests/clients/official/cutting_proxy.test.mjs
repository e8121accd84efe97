/**
 * Stateful reconnect, with a network that cuts the socket again and again while numbered
 * messages flow both ways: none may be lost, doubled or out of order.
 *
 * SIGNALR_CUTS sets the number of cuts per protocol, SIGNALR_SEED repeats a run's choices.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import * as signalR from "@microsoft/signalr";
import * as msgpack from "@microsoft/signalr-protocol-msgpack";

import { CuttingProxy } from "./cutting_proxy.mjs";
import { Environment, Inbox } from "./environment.mjs";
import { TestServer } from "./test_server.mjs";
import { within } from "../waiting.mjs";

const CUTS = Number(process.env.SIGNALR_CUTS ?? 200);
const SEED = Number(process.env.SIGNALR_SEED ?? Date.now() % 2 ** 31);

/** A connection's share of the cuts, so that a long run does not end in one huge answer. */
const CUTS_PER_CONNECTION = 200;

/** Messages each way for each cut: what is unacknowledged stays well below the buffers' 100,000 bytes. */
const MESSAGES_PER_CUT = 40;

/** A socket's life ends after so many bytes or milliseconds, whichever comes first. */
const BYTES_MAX = 6000;
const LIFE_MS_MAX = 60;

/** @type {TestServer} */
let server;

before(async () => {
  server = await TestServer.start();
});

after(() => server?.dispose());

/** A source of chance that a seed repeats: answers whole numbers below a limit. */
function chance(seed) {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** Some sockets die of bytes, the others of time; the latter have room for the whole replay. */
function fateOf(random) {
  const bytes = random(2) ? 1 + random(BYTES_MAX) : Infinity;
  return { bytes, ms: 1 + random(LIFE_MS_MAX), reset: random(2) === 0, half: random(4) === 0 };
}

/** Sends and invokes `Number` until the cuts are done; answers how many numbers it gave. */
async function numbersUp(connection, proxy, cuts, random) {
  let last = 0;
  while (proxy.cuts < cuts) {
    if (last >= MESSAGES_PER_CUT * (proxy.cuts + 1)) {
      await proxy.next();
      continue;
    }
    const calls = Array.from({ length: 1 + random(20) }, () => {
      last += 1;
      return random(2) ? connection.send("Number", last) : connection.invoke("Number", last);
    });
    await within(`numbers up to ${last} are sent`, Promise.all(calls));
  }
  return last;
}

/** Has the server send `Number` until the cuts are done; answers how many numbers it gave. */
async function numbersDown(env, id, inbox, proxy, cuts, random) {
  let last = 0;
  while (proxy.cuts < cuts) {
    if (last >= MESSAGES_PER_CUT * (proxy.cuts + 1)) {
      await proxy.next();
      continue;
    }
    const to = last + 1 + random(30);
    await within(`numbers up to ${to} are taken`, env.ask("POST", `/numbers/${id}?from=${last + 1}&to=${to}`));
    last = to;
    await inbox.atLeast(last - MESSAGES_PER_CUT * 5);
  }
  return last;
}

/** One connection through so many cuts. */
async function survives(protocol, cuts, random) {
  const proxy = await CuttingProxy.start(server.url);
  const pair = { transport: "WebSockets", protocol };
  const direct = new Environment({ signalR, msgpack, url: server.url, pair });
  const env = new Environment({ signalR, msgpack, url: proxy.url, pair });
  const connection = await env.connect({ stateful: true });
  const id = connection.connectionId;
  try {
    const inbox = new Inbox(connection, "Number");
    const ended = new Promise((_, reject) => {
      connection.onclose((error) => reject(new Error(`the connection was closed: ${error}`)));
    });
    proxy.fate = () => (proxy.cuts < cuts ? fateOf(random) : undefined);
    // The first socket has been used before it could be given a fate.
    proxy.cutAll();

    const [up, down] = await Promise.race([ended, Promise.all([
      numbersUp(connection, proxy, cuts, random),
      numbersDown(direct, id, inbox, proxy, cuts, random),
    ])]);
    const received = await Promise.race([ended, inbox.atLeast(down)]);
    const taken = await Promise.race([ended, within("the numbers are told", connection.invoke("Numbers"))]);

    assert.deepEqual(taken, Array.from({ length: up }, (_, index) => index + 1), "numbers that the server took");
    assert.deepEqual(received.map(([n]) => n), Array.from({ length: down }, (_, index) => index + 1), "numbers that the client got");
    assert.equal(connection.connectionId, id);
    assert.equal(await connection.invoke("GetCallerConnectionId"), id);
    assert.deepEqual(await direct.hooks(id), { connected: 1, disconnected: 0, failure: null });
    return { cuts: proxy.cuts, midway: proxy.midway, sockets: proxy.webSockets, up, down, bytes: proxy.bytes.up + proxy.bytes.down };
  } catch (error) {
    const hooks = JSON.stringify(await direct.hooks(id));
    throw new Error(`${error.message} (after ${proxy.cuts} cuts; the client is ${connection.state}, its hooks: ${hooks})`);
  } finally {
    await env.close();
    proxy.dispose();
  }
}

describe("stateful reconnect under cuts", () => {
  for (const protocol of ["json", "messagepack"]) {
    test(`${protocol} loses, doubles and swaps nothing`, async (context) => {
      const random = chance(SEED);
      const sum = {};
      try {
        for (let done = 0; done < CUTS; done += CUTS_PER_CONNECTION) {
          const counted = await survives(protocol, Math.min(CUTS_PER_CONNECTION, CUTS - done), random);
          for (const [what, count] of Object.entries(counted)) sum[what] = (sum[what] ?? 0) + count;
        }
      } finally {
        context.diagnostic(`${protocol}: seed ${SEED}, ${Object.entries(sum).map(([what, count]) => `${what} ${count}`).join(", ")}`);
      }
      assert.ok(sum.cuts >= CUTS && sum.midway > 0);
    });
  }
});
