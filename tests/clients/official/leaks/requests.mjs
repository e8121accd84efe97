/** Connections made of requests: reservations, polls, event streams and POSTs, left wherever a client can leave them. */

import { TYPE, handshake, record } from "../../conformance/hub.mjs";
import { EventStream } from "../../conformance/wire.mjs";
import { within } from "../../waiting.mjs";
import { LOSSES, requestText } from "./site.mjs";

const EVENTS = { Accept: "text/event-stream" };
const POST = { method: "POST" };
const DELETE = { method: "DELETE" };

/** A call as a record. */
function call(target, ...args) {
  return record({ type: TYPE.invocation, invocationId: "1", target, arguments: args });
}

async function sayClose(site, path) {
  await site.expect(200, path, { ...POST, body: record({ type: TYPE.close }) });
}

/** A connection that polls and has shaken hands, with no poll open; answers its path. */
async function polling(site, hub = "/testhub") {
  const path = await site.reserve(hub);
  await site.expect(200, path);
  if (hub === "/echo") return path;
  await site.expect(200, path, { ...POST, body: handshake() });
  await site.expect(200, path);
  return path;
}

/** A TCP connection that has sent a poll, which waits. */
async function openPoll(site, path) {
  const [first, second] = [await site.tcp(requestText("GET", path)), site.ask(path)];
  // Of two polls one ends, whichever came first; the other one waits then.
  const ended = await within("one of two polls ends", Promise.race([
    first.answer().then(() => "first"), second.answer.then(() => "second"),
  ]));
  if (ended === "second") return first;
  second.abort();
  first.socket.destroy();
  return openPoll(site, path);
}

/** A TCP connection on which an event stream has begun. */
async function openEvents(site, path, headers = EVENTS) {
  const connection = await site.tcp(requestText("GET", path, headers));
  await connection.receive("the event stream begins", (bytes) => bytes.includes(":\r\n\r\n"));
  return connection;
}

/** An event stream whose client has shaken hands; answers its connection and its path. */
async function streaming(site) {
  const path = await site.reserve();
  const connection = await openEvents(site, path);
  await site.expect(200, path, { ...POST, body: handshake() });
  await connection.receive("the handshake is answered", (bytes) => bytes.includes("data: {}"));
  return { connection, path };
}

/** @returns {import("./site.mjs").Way[]} */
function reservations() {
  return [
    {
      name: "a reservation that nobody claims",
      needs: "timers",
      leave: (site, number) => site.reserve(["/testhub", "/echo"][number % 2], { version: number % 3 ? 1 : null }),
    },
    {
      name: "a reservation with POSTs and no transport",
      needs: "timers",
      async leave(site) {
        const path = await site.reserve();
        await site.expect(200, path, { ...POST, body: handshake() });
        await site.expect(200, path, { ...POST, body: call("Echo", "early") });
      },
    },
    {
      name: "a reservation with a POST that is too long, which is abandoned",
      needs: "timers",
      async leave(site) {
        const path = await site.reserve();
        const early = await site.tcp(requestText("POST", path, { "Content-Length": 20000 }, "x".repeat(10000)));
        await early.receive("nothing", () => true);
        await LOSSES["is reset"](early);
      },
    },
    {
      name: "a reservation with a POST that waits until the reservation is gone",
      needs: "timers",
      async leave(site) {
        const { status } = await site.server.request(await site.reserve(), { ...POST, body: "x".repeat(10000) });
        if (status !== 404) throw new Error(`the POST was answered with ${status}`);
      },
    },
    {
      name: "a negotiation that is refused",
      async leave(site, number) {
        const refused = [
          [401, "/authorizedhub/negotiate", POST], [401, "/testhub/negotiate", { ...POST, headers: { authorization: "Bearer bad" } }],
          [405, "/testhub/negotiate", {}], [200, "/testhub/negotiate?negotiateVersion=abc", POST], [405, "/testhub", { method: "PUT" }],
        ];
        await site.expect(...refused[number % refused.length]);
      },
    },
    {
      name: "a request for a connection that is not there, or not its own",
      async leave(site, number) {
        const { connectionId, connectionToken } = (await site.server.negotiate()).json;
        const path = `/testhub?id=${connectionToken}`;
        const refused = [
          [404, `/testhub?id=${connectionId}`, {}], [404, `/testhub?id=${connectionId}`, { headers: EVENTS }], [404, "/testhub?id=unknown", POST],
          [400, path, DELETE], [404, "/testhub?id=unknown", DELETE], [404, `/testhub-websockets?id=${connectionToken}`, {}],
          [401, path, { headers: { authorization: "Bearer bad" } }],
        ];
        await site.expect(...refused[number % refused.length]);
        // What is reserved is still there, and is claimed, so that no timer has to drop it.
        await site.expect(200, path);
        await site.expect(202, path, DELETE);
      },
    },
  ];
}

/** @returns {import("./site.mjs").Way[]} */
function events() {
  const paths = ["/testhub", "/echo"];
  return [
    ...Object.entries(LOSSES).flatMap(([loss, lose]) => [
      ...paths.map((hub) => ({
        name: `an event stream of ${hub} ${loss} before its client has sent anything`,
        leave: async (site) => lose(await openEvents(site, await site.reserve(hub))),
      })),
      ...paths.map((hub) => ({
        name: `an event stream of ${hub} ${loss} as soon as it is asked for`,
        leave: async (site) => {
          const path = await site.reserve(hub);
          const connection = await site.tcp(requestText("GET", path, EVENTS));
          await lose(connection);
          // The request may have been lost as well, and left a reservation.
          const stream = await EventStream.open(site.url + path);
          stream.stream?.cut();
        },
      })),
      {
        name: `an event stream ${loss} after half a handshake`,
        async leave(site) {
          const path = await site.reserve();
          const connection = await openEvents(site, path);
          await site.expect(200, path, { ...POST, body: handshake().slice(0, 12) });
          await lose(connection);
        },
      },
      {
        name: `an event stream ${loss} while half a POST has come`,
        async leave(site) {
          const { connection, path } = await streaming(site);
          const post = await site.tcp(requestText("POST", path, { "Content-Length": 1000 }, "{"));
          await lose(connection);
          await lose(post);
        },
      },
      {
        name: `a POST to an event stream ${loss} inside its body`,
        async leave(site) {
          const { connection, path } = await streaming(site);
          await lose(await site.tcp(requestText("POST", path, { "Content-Length": 1000 }, record({ type: TYPE.ping }))));
          await sayClose(site, path);
          await connection.receive("the end of the stream", (bytes) => bytes.includes("\r\n0\r\n"));
          connection.socket.destroy();
        },
      },
    ]),
    {
      name: "an event stream of /echo is dropped after an echo",
      async leave(site) {
        const path = await site.reserve("/echo");
        const connection = await openEvents(site, path);
        await site.expect(200, path, { ...POST, body: "hello" });
        await connection.receive("the echo", (bytes) => bytes.includes("data: hello"));
        connection.socket.destroy();
      },
    },
    {
      name: "an event stream never shakes hands",
      needs: "timers",
      leave: async (site) => site.hold((await openEvents(site, await site.reserve())).socket),
    },
    {
      name: "an event stream shakes hands in a way that is refused",
      async leave(site) {
        const path = await site.reserve();
        const connection = await openEvents(site, path, { ...EVENTS, Connection: "close" });
        await site.expect(200, path, { ...POST, body: record({ protocol: "messagepack", version: 1 }) });
        await within("the stream ends", connection.ended);
      },
    },
    {
      name: "an event stream is read to its end and its connection kept",
      async leave(site) {
        const { connection, path } = await streaming(site);
        await sayClose(site, path);
        await connection.receive("the end of the stream", (bytes) => bytes.includes("\r\n0\r\n"));
        site.hold(connection.socket);
      },
    },
    {
      name: "an event stream is asked for twice",
      async leave(site) {
        const { connection, path } = await streaming(site);
        await site.expect(409, path, { headers: EVENTS });
        await site.expect(400, path);
        await site.expect(400, path, DELETE);
        connection.socket.destroy();
      },
    },
    ...["stays", "goes"].map((end) => ({
      name: `an event stream stops reading and ${end}`,
      needs: end === "stays" ? "timers" : undefined,
      share: 0.5,
      async leave(site) {
        const { connection, path } = await streaming(site);
        connection.socket.pause();
        await site.expect(200, path, { ...POST, body: call("Echo", "x".repeat(30000)).repeat(20) });
        if (end === "stays") site.hold(connection.socket);
        else await LOSSES["is reset"](connection);
      },
    })),
  ];
}

/** @returns {import("./site.mjs").Way[]} */
function polls() {
  return [
    ...Object.entries(LOSSES).flatMap(([loss, lose]) => [
      {
        name: `the first poll ${loss} as soon as it is sent`,
        needs: "timers",
        leave: async (site) => lose(await site.tcp(requestText("GET", await site.reserve()))),
      },
      {
        name: `a poll ${loss}, and no other one follows`,
        needs: "timers",
        leave: async (site) => lose(await openPoll(site, await polling(site))),
      },
      {
        name: `a poll of /echo ${loss} where its data comes, then DELETE while the next one waits`,
        async leave(site) {
          const path = await polling(site, "/echo");
          await lose(await openPoll(site, path));
          await site.expect(200, path, { ...POST, body: "hello" });
          const next = site.ask(path);
          await site.expect(202, path, DELETE);
          await within("the next poll ends", next.answer);
        },
      },
    ]),
    ...["/testhub", "/echo"].flatMap((hub) => [
      {
        name: `polls of ${hub} stop between two`,
        needs: "timers",
        leave: (site) => polling(site, hub),
      },
      {
        name: `polls of ${hub} stop after the first`,
        needs: "timers",
        leave: async (site) => site.expect(200, await site.reserve(hub)),
      },
      {
        name: `polls of ${hub} end by DELETE between two`,
        async leave(site) {
          const path = await polling(site, hub);
          await site.expect(202, path, DELETE);
          if (hub === "/testhub") await site.server.request(path, DELETE);
        },
      },
      {
        name: `a poll of ${hub} is superseded again and again, then DELETE`,
        async leave(site) {
          const path = await polling(site, hub);
          const superseded = Array.from({ length: 5 }, () => site.ask(path));
          await site.expect(202, path, DELETE);
          await within("the polls end", Promise.all(superseded.map((poll) => poll.answer)));
        },
      },
    ]),
    {
      name: "polls never shake hands",
      needs: "timers",
      async leave(site) {
        const path = await site.reserve();
        await site.expect(200, path);
        // The refusal is the last thing that a poll brings.
        for (let status = 200; status === 200; ) ({ status } = await site.server.request(path));
      },
    },
    {
      name: "polls are read to their end",
      async leave(site) {
        const path = await polling(site);
        await sayClose(site, path);
        await site.expect(200, path);
        await site.expect(204, path);
        await site.expect(404, path);
      },
    },
    {
      name: "polls stop where the server's Close waits",
      needs: "timers",
      async leave(site) {
        const path = await polling(site);
        await sayClose(site, path);
      },
    },
    ...["stays", "goes"].map((end) => ({
      name: `an answer to a poll is not read by a client that ${end}`,
      needs: "timers",
      share: 0.5,
      async leave(site) {
        const path = await polling(site);
        await site.expect(200, path, { ...POST, body: call("Echo", "x".repeat(30000)).repeat(20) });
        const poll = await site.tcp();
        poll.socket.pause();
        poll.send(requestText("GET", path));
        if (end === "stays") site.hold(poll.socket);
        else await LOSSES["is reset"](poll);
      },
    })),
    {
      name: "polls whose client leaves more results than may wait",
      needs: "timers",
      share: 0.3,
      async leave(site) {
        const path = await polling(site);
        await site.server.request(path, { ...POST, body: call("Echo", "x".repeat(30000)).repeat(45) });
      },
    },
    {
      name: "a POST whose body never ends, to polls that are deleted",
      async leave(site) {
        const path = await polling(site);
        site.hold((await site.tcp(requestText("POST", path, { "Content-Length": 1000 }, "{"))).socket);
        await site.expect(202, path, DELETE);
      },
    },
    {
      name: "POSTs that nobody reads are answered when the connection ends",
      isUnread: true,
      async leave(site) {
        const path = await polling(site);
        await site.expect(200, path, { ...POST, body: call("Wait", site.gate) + call("Wait", site.gate) });
        const waiting = Array.from({ length: 4 }, () => site.ask(path, { ...POST, body: call("Echo", "x".repeat(30000)) }));
        const abandoned = site.ask(path, { ...POST, body: call("Echo", "x".repeat(30000)) });
        await site.expect(202, path, DELETE);
        abandoned.abort();
        await within("the POSTs are answered", Promise.all(waiting.map((post) => post.answer)));
      },
    },
  ];
}

/** @returns {import("./site.mjs").Way[]} */
function others() {
  return [
    {
      name: "an HTTP connection is kept alive and left idle",
      async leave(site) {
        const connection = await site.tcp();
        for (let request = 0; request < 3; request++) {
          connection.send(requestText("GET", "/counts"));
          await connection.answer();
        }
        site.hold(connection.socket);
      },
    },
    {
      name: "a request's head never ends",
      leave: async (site) => site.hold((await site.tcp("GET /testhub HTTP/1.1\r\nHost: ")).socket),
    },
    ...["WebSockets", "ServerSentEvents", "LongPolling"].map((transport) => ({
      name: `the connected hook refuses a connection over ${transport}`,
      async leave(site, number) {
        const at = number % 2 ? { path: "/uncreatable" } : { query: "connected=fail" };
        const hub = await site.hub(number >> 1, { transport, ...at });
        await hub.end();
      },
    })),
  ];
}

export const requestWays = () => [...reservations(), ...events(), ...polls(), ...others()];
