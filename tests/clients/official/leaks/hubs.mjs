/** Hub connections that do something, left in every way that their transport has. */

import { TYPE } from "../../conformance/hub.mjs";
import { bearer } from "../../conformance/test_server.mjs";
import { LOSSES } from "./site.mjs";

/** Waits until the server has read everything that was sent. */
async function isRead(hub) {
  await hub.completion(await hub.stream("EmptyStream"));
}

/** A message of an upload. */
function item(streamId, value) {
  return { type: TYPE.streamItem, invocationId: streamId, item: value };
}

/** Ends a connection that polls. */
async function remove(hub, site) {
  await site.expect(202, hub.url.slice(site.url.length), { method: "DELETE", headers: bearer(site.token) });
}

const WITH_UPLOAD = { streamIds: ["upload"] };

/**
 * What goes on when the client leaves. Those marked as unread have sent more than the
 * server reads while it waits.
 *
 * @type {Record<string, { run: (hub: any, site: any) => Promise<unknown>, isUnread?: boolean, share?: number, isAlone?: boolean }>}
 */
const DOINGS = {
  "that does nothing": { run: async () => {} },
  "in groups": {
    async run(hub) {
      await hub.result("JoinGroup", "crew");
      await hub.result("JoinGroup", `crew of ${hub.id}`);
    },
  },
  "whose call runs": {
    async run(hub, site) {
      await hub.call("Wait", [site.gate]);
      await isRead(hub);
    },
  },
  "whose calls wait for each other": {
    isUnread: true,
    async run(hub, site) {
      for (let call = 0; call < 3; call++) await hub.call("Wait", [site.gate]);
      await hub.notify("Echo", "x".repeat(20000));
    },
  },
  "whose stream is silent": {
    async run(hub) {
      await hub.stream("InfiniteStream");
      await isRead(hub);
    },
  },
  "whose stream sends": {
    run: async (hub) => hub.item(await hub.stream("Counter", [1e9, 5])),
  },
  "whose stream never waits": {
    share: 0.2,
    isAlone: true,
    run: (hub) => hub.stream("Counter", [1e9, 0]),
  },
  "that uploads": {
    async run(hub) {
      await hub.call("StreamingConcat", [], WITH_UPLOAD);
      await hub.write(item("upload", "a"), item("upload", "b"));
      await isRead(hub);
    },
  },
  "that uploads more than is read": {
    isUnread: true,
    async run(hub, site) {
      await hub.call("StreamingCountAfter", [site.gate], WITH_UPLOAD);
      await hub.write(...Array.from({ length: 20 }, () => item("upload", "x".repeat(1000))));
    },
  },
  "that streams both ways": {
    async run(hub) {
      const id = await hub.stream("StreamEcho", [], WITH_UPLOAD);
      await hub.write(item("upload", "a"));
      await hub.item(id);
    },
  },
  "that is asked": {
    async run(hub) {
      await hub.call("AskCaller", [1]);
      await hub.called("Answer");
    },
  },
};

/** @type {Record<string, { leave: (hub: any, site: any) => Promise<unknown>, needs?: "timers", isHeard?: boolean }>} */
const OF_EVERY_TRANSPORT = {
  "says Close": {
    isHeard: true,
    async leave(hub) {
      await hub.write({ type: TYPE.close });
      await hub.end();
    },
  },
  "is closed by the application": {
    async leave(hub, site) {
      await site.expect(204, `/close/${hub.id}`, { method: "POST" });
      await hub.end();
    },
  },
};

/** Ways to leave of each transport. `isHeard` needs a server that reads what the client sends. */
const LEAVINGS = {
  WebSockets: {
    ...OF_EVERY_TRANSPORT,
    "sends a close frame": {
      isHeard: true,
      async leave(hub) {
        hub.link.socket.close();
        await hub.end();
      },
    },
    "is reset": { leave: (hub) => LOSSES["is reset"](hub.link.socket.connection) },
    "is ended": { leave: (hub) => LOSSES["is ended"](hub.link.socket.connection) },
  },
  ServerSentEvents: {
    ...OF_EVERY_TRANSPORT,
    "is reset": { leave: async (hub) => hub.link.stream.request.socket.resetAndDestroy() },
    "is ended": {
      async leave(hub) {
        hub.link.stream.request.socket.end();
        await hub.end();
      },
    },
    "drops its request": { leave: async (hub) => hub.cut() },
  },
  LongPolling: {
    ...OF_EVERY_TRANSPORT,
    "deletes while its poll waits": {
      async leave(hub, site) {
        await remove(hub, site);
        await hub.end();
      },
    },
    "deletes after its poll": {
      async leave(hub, site) {
        hub.cut();
        await remove(hub, site);
      },
    },
    "polls no more": { needs: "timers", leave: async (hub) => hub.cut() },
  },
};

/** @returns {import("./site.mjs").Way[]} */
export function hubWays() {
  const ways = [];
  for (const [transport, leavings] of Object.entries(LEAVINGS)) {
    for (const [doing, { run, ...traits }] of Object.entries(DOINGS)) {
      for (const [leaving, { leave, needs, isHeard }] of Object.entries(leavings)) {
        if (traits.isUnread && isHeard) continue;
        ways.push({
          name: `a hub connection over ${transport} ${doing} ${leaving}`,
          needs,
          ...traits,
          async leave(site, number) {
            const hub = await site.hub(number, { transport, token: site.token });
            await run(hub, site);
            await leave(hub, site);
          },
        });
      }
    }
  }
  return ways;
}
