/** WebSockets and bare TCP connections, left at every point of their life; hubs, raw connections and plain sockets. */

import { TYPE, handshake, json, record } from "../../conformance/hub.mjs";
import { OPCODE, upgrade } from "../../conformance/wire.mjs";
import { until, within } from "../../waiting.mjs";
import { LOSSES, UPGRADE, requestText } from "./site.mjs";

/** Everything on which a WebSocket can be opened without negotiation. */
const PATHS = ["/testhub", "/echo", "/wsecho"];

/** More than the kernel and a sender of the server keep for a client that does not read. */
const MUCH_BYTES = 1536 * 1024;

/** Sends bytes, and waits until the server has read them: what is behind them may be half a frame. */
async function readByServer(socket, bytes) {
  socket.connection.send(Buffer.concat([Buffer.from([0x80 | OPCODE.ping, 0x80, 0, 0, 0, 0]), bytes]));
  await socket.pongs.take("a pong");
}

/** Waits until no more of what was written leaves. @param {import("node:net").Socket} socket */
async function isStuck(socket) {
  let before = Infinity;
  await until("nothing more leaves", () => {
    const [now, was] = [socket.writableLength, before];
    before = now;
    return now === was;
  });
}

/** What has been sent when the client goes. */
const UNFINISHED = {
  "before its first message": async () => {},
  "inside a frame's head": (socket) => readByServer(socket, Buffer.from([0x81, 0xfe, 0x01])),
  "inside a frame": (socket) => readByServer(socket, Buffer.concat([Buffer.from([0x81, 0xfe, 0x01, 0x00, 0, 0, 0, 0]), Buffer.alloc(100, "x")])),
  "between two frames of a message": (socket) => readByServer(socket, Buffer.concat([Buffer.from([0x01, 0x81, 0, 0, 0, 0]), Buffer.from("{")])),
};

/** Tells the server half of something, and no more. */
const HALF_REQUESTS = {
  "before its first byte": [],
  "inside a request's head": [requestText("GET", "/testhub", UPGRADE).slice(0, 60)],
  "inside a request's body": [requestText("POST", "/testhub?id=unknown", { "Content-Length": 1000 }, "half of it")],
};

/** @returns {import("./site.mjs").Way[]} */
function losses() {
  const ways = [];
  for (const [loss, lose] of Object.entries(LOSSES)) {
    for (const [where, parts] of Object.entries(HALF_REQUESTS)) {
      ways.push({ name: `a TCP connection ${loss} ${where}`, leave: async (site) => lose(await site.tcp(...parts)) });
    }
    for (const path of PATHS) {
      for (const [where, send] of Object.entries(UNFINISHED)) {
        ways.push({
          name: `a WebSocket of ${path} ${loss} ${where}`,
          async leave(site) {
            const socket = await site.socket(path);
            await send(socket);
            await lose(socket.connection);
          },
        });
      }
      ways.push({
        name: `a WebSocket of ${path} ${loss} as soon as it is asked for`,
        leave: async (site) => lose(await site.tcp(requestText("GET", path, UPGRADE))),
      });
    }
    ways.push({
      name: `a WebSocket of a hub ${loss} inside the handshake`,
      async leave(site, number) {
        const socket = await site.socket(number % 2 ? await site.reserve() : "/testhub");
        await readByServer(socket, Buffer.alloc(0));
        socket.send(handshake().slice(0, 12));
        await lose(socket.connection);
      },
    });
    ways.push({
      name: `a WebSocket of a hub ${loss} inside a hub message`,
      async leave(site, number) {
        const hub = await site.hub(number);
        await hub.raw(hub.protocol === json ? '{"type":1,' : Buffer.from([0x40, 0x96]));
        await lose(hub.link.socket.connection);
      },
    });
  }
  return ways;
}

/** Closes it, and waits for the answer. */
async function closeAndWait(socket) {
  socket.close(1000);
  await within("the close is answered", socket.closed);
  await within("the server ends the connection", socket.ended);
}

/** @returns {import("./site.mjs").Way[]} */
function closes() {
  return PATHS.flatMap((path) => [
    { name: `a WebSocket of ${path} is closed at once`, leave: async (site) => closeAndWait(await site.socket(path)) },
    {
      name: `a WebSocket of ${path} breaks the rules of frames`,
      async leave(site, number) {
        const socket = await site.socket(path);
        const wrong = [{ masked: false }, { rsv: 2 }, { opcode: 3 }, { payload: Buffer.from([0xff]) }, { opcode: OPCODE.continuation }];
        socket.sendFrame({ payload: "x", ...wrong[number % wrong.length] });
        await within("the server ends the connection", socket.ended);
      },
    },
    {
      name: `a WebSocket of ${path} sends a close frame and never ends its half`,
      async leave(site) {
        const socket = await site.socket(path);
        socket.connection.socket.allowHalfOpen = true;
        socket.close(1000);
        await within("the close is answered", socket.closed);
        site.hold(socket.connection.socket);
      },
    },
  ]);
}

/** @returns {import("./site.mjs").Way[]} */
function echoes() {
  return ["/echo", "/wsecho"].flatMap((path) => [
    {
      name: `a WebSocket of ${path} is closed after an echo`,
      async leave(site) {
        const socket = await site.socket(path);
        socket.send("hello");
        await socket.messages.take("the echo");
        await closeAndWait(socket);
      },
    },
    ...Object.entries(LOSSES).map(([loss, lose]) => ({
      name: `a WebSocket of ${path} ${loss} with its echoes unread`,
      share: 0.5,
      async leave(site) {
        const socket = await site.socket(path);
        socket.connection.socket.pause();
        for (let sent = 0; sent < MUCH_BYTES; sent += 65536) socket.send(Buffer.alloc(65536));
        await isStuck(socket.connection.socket);
        // Whoever ends a connection that it does not read would not see the end.
        if (loss === "is ended") socket.connection.socket.resume();
        await lose(socket.connection);
      },
    })),
    {
      name: `a WebSocket of ${path} never reads its echoes`,
      needs: path === "/echo" ? "timers" : "kernel",
      share: 0.5,
      async leave(site) {
        const socket = await site.socket(path);
        socket.connection.socket.pause();
        for (let sent = 0; sent < MUCH_BYTES; sent += 65536) socket.send(Buffer.alloc(65536));
        site.hold(socket.connection.socket);
      },
    },
  ]);
}

/** @returns {import("./site.mjs").Way[]} */
function handshakes() {
  return [
    {
      name: "a WebSocket of a hub never shakes hands",
      needs: "timers",
      leave: async (site) => site.hold((await site.socket("/testhub")).connection.socket),
    },
    {
      name: "a WebSocket of a hub never ends its handshake",
      needs: "timers",
      async leave(site) {
        const socket = await site.socket(await site.reserve());
        socket.send(handshake().slice(0, 12));
        await within("the server ends the connection", socket.ended);
      },
    },
    {
      name: "a WebSocket of a hub shakes hands in a way that is refused",
      async leave(site, number) {
        const socket = await site.socket("/testhub");
        socket.send(number % 2 ? record({ protocol: "smoke", version: 1 }) : `nonsense${record({})}`);
        await within("the server ends the connection", socket.ended);
      },
    },
    {
      name: "a WebSocket of a hub is no longer heard of behind its first ping",
      needs: "timers",
      async leave(site, number) {
        const hub = await site.hub(number);
        await hub.write({ type: TYPE.ping });
        await hub.end();
      },
    },
    {
      name: "a WebSocket of a hub sends what no hub understands",
      async leave(site, number) {
        const hub = await site.hub(number);
        const malformed = hub.protocol === json ? `{${record({})}` : Buffer.from([0x02, 0x91, 0xc1]);
        await hub.raw(number % 4 < 2 ? malformed : hub.protocol.encode({ type: TYPE.invocation, target: "Echo", arguments: ["x".repeat(40000)] }));
        await hub.end();
      },
    },
    {
      name: "a WebSocket of a hub gets a result that cannot be written",
      async leave(site, number) {
        const hub = await site.hub(number);
        await hub.call("Unserializable");
        await hub.end();
      },
    },
    {
      name: "a WebSocket of a hub has itself aborted",
      async leave(site, number) {
        const hub = await site.hub(number);
        await hub.notify("Abort");
        await hub.end();
      },
    },
    {
      name: "a WebSocket of a hub gives up asking",
      async leave(site, number) {
        const hub = await site.hub(number);
        await hub.result("AskAndCancel", 1);
        await closeAndWait(hub.link.socket);
      },
    },
  ];
}

/** A hub connection that has not answered the server's close. */
async function deafToClose(site, number) {
  const hub = await site.hub(number);
  hub.link.socket.answersClose = false;
  hub.link.socket.connection.socket.allowHalfOpen = true;
  site.hold(hub.link.socket.connection.socket);
  return hub;
}

/** Asks for results of this size without reading them. */
async function leaveUnread(hub, calls) {
  hub.link.socket.connection.socket.pause();
  for (let call = 0; call < calls; call++) await hub.call("Echo", ["x".repeat(30000)]);
  return hub.link.socket.connection;
}

/** @returns {import("./site.mjs").Way[]} */
function deafClients() {
  return [
    {
      name: "a WebSocket of a hub never answers the server's close",
      needs: "timers",
      async leave(site, number) {
        const hub = await deafToClose(site, number);
        await site.expect(204, `/close/${hub.id}`, { method: "POST" });
        await hub.take("the Close message", ({ type }) => type === TYPE.close);
      },
    },
    {
      name: "a WebSocket of a hub says Close and never answers the server's",
      needs: "timers",
      async leave(site, number) {
        const hub = await deafToClose(site, number);
        await hub.write({ type: TYPE.close });
        await hub.take("the Close message", ({ type }) => type === TYPE.close);
      },
    },
    {
      name: "a WebSocket of a hub stops reading a stream and stays",
      needs: "timers",
      share: 0.5,
      async leave(site, number) {
        const hub = await site.hub(number);
        hub.link.socket.connection.socket.pause();
        await hub.stream("Counter", [1e9, 0]);
        site.hold(hub.link.socket.connection.socket);
      },
    },
    {
      name: "a WebSocket of a hub stops reading results and stays",
      needs: "timers",
      share: 0.5,
      leave: async (site, number) => site.hold((await leaveUnread(await site.hub(number), 25)).socket),
    },
    {
      name: "a WebSocket of a hub stops reading results, sends a close frame and stays",
      needs: "timers",
      share: 0.5,
      async leave(site, number) {
        const hub = await site.hub(number);
        site.hold((await leaveUnread(hub, 25)).socket);
        hub.link.socket.close(1000);
      },
    },
    {
      name: "a WebSocket of a hub leaves more results unread than may wait",
      share: 0.3,
      leave: async (site, number) => site.hold((await leaveUnread(await site.hub(number), 80)).socket),
    },
    ...Object.entries(LOSSES).map(([loss, lose]) => ({
      name: `a WebSocket of a hub ${loss} with results unread`,
      share: 0.5,
      async leave(site, number) {
        const connection = await leaveUnread(await site.hub(number), 20);
        if (loss === "is ended") connection.socket.resume();
        await lose(connection);
      },
    })),
  ];
}

/** @returns {import("./site.mjs").Way[]} */
function refusals() {
  return [
    {
      name: "an upgrade that is refused",
      async leave(site, number) {
        const refused = [
          [400, "/testhub", { "Sec-WebSocket-Key": "short" }], [400, "/wsecho", { "Sec-WebSocket-Key": "short" }], [404, "/testhub?id=unknown", {}],
          [404, "/testhub-sse", {}], [401, "/testhub", { Authorization: "Bearer bad" }], [401, "/authorizedhub", {}],
        ];
        const [expected, path, headers] = refused[number % refused.length];
        const { status, socket } = await upgrade(site.url + path, headers);
        socket?.cut();
        if (status !== expected) throw new Error(`${path} was answered with ${status}`);
      },
    },
    {
      name: "an upgrade with a bad key, for a reservation that is claimed afterwards",
      async leave(site) {
        const path = await site.reserve();
        const { status } = await upgrade(site.url + path, { "Sec-WebSocket-Key": "short" });
        if (status !== 400) throw new Error(`a bad key was answered with ${status}`);
        await closeAndWait(await site.socket(path));
      },
    },
    {
      name: "a second WebSocket for a connection that has one",
      async leave(site, number) {
        const hub = await site.hub(number);
        const { status } = await upgrade(hub.url);
        if (status !== 409) throw new Error(`the second WebSocket was answered with ${status}`);
        await closeAndWait(hub.link.socket);
      },
    },
  ];
}

export const socketWays = () => [...losses(), ...closes(), ...echoes(), ...handshakes(), ...deafClients(), ...refusals()];
