/** Connections that may go on with another socket: lost, found again, and left in between. */

import { TYPE, record } from "../../conformance/hub.mjs";
import { upgrade } from "../../conformance/wire.mjs";
import { StatefulPeer } from "../../conformance/stateful_peer.mjs";
import { until, within } from "../../waiting.mjs";
import { LOSSES, UPGRADE, requestText } from "./site.mjs";

/** What goes on when the socket is lost. */
const DOINGS = {
  "that does nothing": async () => {},
  "in a group": (peer) => peer.result("JoinGroup", "crew"),
  "whose call runs": async (peer, site) => peer.call("Wait", [site.gate]),
  "whose stream sends": async (peer) => {
    peer.call("Counter", [1e9, 5], { type: TYPE.streamInvocation });
    await peer.take("an item", ({ type }) => type === TYPE.streamItem);
  },
  "that uploads": async (peer) => {
    peer.call("StreamingConcat", [], { streamIds: ["upload"] });
    peer.send({ type: TYPE.streamItem, invocationId: "upload", item: "a" });
  },
  "that is asked": async (peer) => {
    peer.call("AskCaller", [1]);
    await peer.take("the question", ({ target }) => target === "Answer");
  },
};

/** Closes it as a client does, and waits until the server has closed it too. */
async function close(peer) {
  peer.socket.close(1000);
  await within("the close is answered", peer.socket.closed);
}

async function reopened(peer) {
  const status = await peer.reopen();
  if (status !== 101) throw new Error(`the reconnect was answered with ${status}`);
}

/** Whether the connection is there no more: the token leads nowhere, or to one that may not be had. */
async function isRefused(peer) {
  return until("a reconnect is refused", async () => {
    const status = await peer.attach();
    if (status === 101) peer.cut();
    return status === 404 || status === 409;
  });
}

/** @returns {import("./site.mjs").Way[]} */
function ofEveryDoing() {
  return Object.entries(DOINGS).flatMap(([doing, run]) => [
    {
      name: `a stateful connection ${doing} loses its socket and never comes back`,
      needs: "timers",
      async leave(site) {
        const peer = await StatefulPeer.open(site.server);
        await run(peer, site);
        peer.cut();
      },
    },
    {
      name: `a stateful connection ${doing} comes back and is closed`,
      async leave(site, number) {
        const peer = await StatefulPeer.open(site.server);
        await run(peer, site);
        await LOSSES[number % 2 ? "is reset" : "is ended"](peer.socket.connection);
        await reopened(peer);
        await close(peer);
      },
    },
    {
      name: `a stateful connection ${doing} comes back many times and says Close`,
      share: 0.5,
      async leave(site) {
        const peer = await StatefulPeer.open(site.server);
        await run(peer, site);
        for (let time = 0; time < 8; time++) {
          peer.cut();
          await reopened(peer);
        }
        peer.write(record({ type: TYPE.close }));
        await within("the server closes it", peer.socket.closed);
      },
    },
  ]);
}

/** Has the server send as much as it may. */
function startStream(peer) {
  peer.call("Counter", [1e9, 0], { type: TYPE.streamInvocation });
}

/** @returns {import("./site.mjs").Way[]} */
function special() {
  return [
    {
      name: "a stateful connection changes its socket while the old one is open",
      async leave(site) {
        const peer = await StatefulPeer.open(site.server);
        for (let time = 0; time < 4; time++) {
          const former = peer.socket;
          await reopened(peer);
          await within("the former socket is cut", former.ended);
        }
        await peer.result("Echo", "still here");
        await close(peer);
      },
    },
    {
      name: "a stateful connection comes back on several sockets at once",
      async leave(site) {
        const peer = await StatefulPeer.open(site.server);
        peer.cut();
        await Promise.all(Array.from({ length: 4 }, () => upgrade(site.url + peer.path)));
        // Whichever was the last has the connection; here comes one that certainly is.
        await reopened(peer);
        await peer.result("Echo", "still here");
        await close(peer);
      },
    },
    {
      name: "a stateful connection never reads again, and a new socket takes over",
      share: 0.3,
      async leave(site) {
        const peer = await StatefulPeer.open(site.server);
        peer.socket.connection.socket.pause();
        startStream(peer);
        site.hold(peer.socket.connection.socket);
        await reopened(peer);
        peer.acknowledges = true;
        await close(peer);
      },
    },
    {
      name: "a stateful connection comes back and is gone before it is answered",
      needs: "timers",
      async leave(site, number) {
        const peer = await StatefulPeer.open(site.server);
        peer.cut();
        for (let time = 0; time < 4; time++) {
          const socket = await site.tcp(requestText("GET", peer.path, UPGRADE));
          await LOSSES[number % 2 ? "is reset" : "is ended"](socket);
        }
      },
    },
    {
      name: "a stateful connection that is closed by the application while it is away",
      async leave(site) {
        const peer = await StatefulPeer.open(site.server);
        await peer.result("Echo", "here");
        peer.cut();
        await site.expect(204, `/close/${peer.id}`, { method: "POST" });
        await isRefused(peer);
      },
    },
    {
      name: "a stateful connection says Close and tries to come back",
      async leave(site) {
        const peer = await StatefulPeer.open(site.server);
        peer.write(record({ type: TYPE.close }));
        await within("the server closes it", peer.socket.closed);
        await isRefused(peer);
      },
    },
    {
      name: "a stateful connection that has not shaken hands loses its socket",
      needs: "timers",
      async leave(site) {
        const socket = await site.socket(await site.reserve("/testhub", { query: "useStatefulReconnect=true" }));
        await LOSSES["is reset"](socket.connection);
      },
    },
    {
      name: "a stateful connection whose handshake does without it loses its socket",
      async leave(site) {
        const peer = await StatefulPeer.open(site.server, { version: 1 });
        peer.cut();
      },
    },
    {
      name: "a stateful connection resumes behind what was ever sent",
      async leave(site) {
        const peer = await StatefulPeer.open(site.server);
        peer.cut();
        await peer.reopen({ sequenceId: 100 });
        await within("the server closes it", peer.socket.closed);
      },
    },
    {
      name: "a stateful connection acknowledges nothing",
      needs: "timers",
      share: 0.3,
      async leave(site) {
        const peer = await StatefulPeer.open(site.server);
        startStream(peer);
        await within("the server gives it up", peer.socket.closed);
      },
    },
    {
      name: "a stateful connection that is full of copies loses its socket",
      needs: "timers",
      share: 0.3,
      async leave(site) {
        const peer = await StatefulPeer.open(site.server);
        startStream(peer);
        await peer.take("many items", ({ item }) => item === 50);
        peer.cut();
      },
    },
  ];
}

export const statefulWays = () => [...ofEveryDoing(), ...special()];
