/** Streams in both directions. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { until } from "../waiting.mjs";
import { Hub, PROTOCOLS, TYPE } from "./hub.mjs";
import { TestServer } from "./test_server.mjs";

/** @type {TestServer} */
let server;
/** @type {TestServer} */
let withoutDetails;

before(async () => {
  [server, withoutDetails] = await Promise.all([TestServer.start(), TestServer.start({ "no-detailed-errors": true })]);
});

after(() => Promise.all([server?.dispose(), withoutDetails?.dispose()]));

const item = (invocationId, value) => ({ type: TYPE.streamItem, invocationId, item: value });
const end = (invocationId, how = {}) => ({ type: TYPE.completion, invocationId, ...how });
const cancel = (invocationId) => ({ type: TYPE.cancelInvocation, invocationId });

/** The items and the Completion of a stream; afterwards nothing more comes of it. */
async function whole(hub, invocationId) {
  const completion = await hub.completion(invocationId);
  await hub.result("Echo", "nothing comes after the Completion");
  const all = hub.log.filter((message) => message.invocationId === invocationId && message.type !== TYPE.invocation);
  assert.deepEqual(all.at(-1), completion, "the Completion is the last, and the only one");
  assert.deepEqual(all.slice(0, -1).filter(({ type }) => type !== TYPE.streamItem), []);
  return { items: all.slice(0, -1).map((message) => message.item), completion };
}

/** Calls with streams that are uploaded at once. */
async function upload(hub, target, args, streams, extra = {}) {
  const id = await hub.call(target, args, { streamIds: Object.keys(streams), ...extra });
  for (const [streamId, items] of Object.entries(streams)) {
    await hub.write(...items.map((value) => item(streamId, value)), end(streamId));
  }
  return id;
}

describe("a stream of the server", () => {
  test("45 is its items and then one Completion without a result", async () => {
    for (const protocol of PROTOCOLS) {
      const hub = await Hub.open(server, { protocol });
      const rows = [["Stream", [], ["a", "b", "c"]], ["EmptyStream", [], []], ["Counter", [4, 0], [0, 1, 2, 3]], ["Counter", [2, 20], [0, 1]]];
      for (const [target, args, items] of rows) {
        const id = await hub.stream(target, args);
        assert.deepEqual(await whole(hub, id), { items, completion: { type: TYPE.completion, invocationId: id } }, target);
      }
      hub.cut();
    }
  });

  test("45 that fails midway keeps its items and says so", async () => {
    const text = "An error occurred on the server while streaming results.";
    for (const [at, error] of [[server, `${text} InvalidOperationException: no more`], [withoutDetails, text]]) {
      for (const protocol of PROTOCOLS) {
        const hub = await Hub.open(at, { protocol });
        const id = await hub.stream("StreamFailMidway", [2, "no more"]);
        assert.deepEqual(await whole(hub, id), { items: [0, 1], completion: { type: TYPE.completion, invocationId: id, error } });
        hub.cut();
      }
    }
  });

  test("45 46 runs beside others of the same connection", async () => {
    const hub = await Hub.open(server);
    const ids = await Promise.all([1, 2, 3].map(() => hub.stream("Counter", [50, 1])));
    for (const id of ids) assert.equal((await whole(hub, id)).items.length, 50);
    hub.cut();
  });

  test("46 that is idle hears of its cancellation, and completes without an error", async () => {
    for (const protocol of PROTOCOLS) {
      const hub = await Hub.open(server, { protocol });
      const id = await hub.stream("InfiniteStream");
      await hub.write(cancel(id));
      await hub.called("StreamCanceled");
      assert.deepEqual(await whole(hub, id), { items: [], completion: { type: TYPE.completion, invocationId: id } });
      hub.cut();
    }
  });

  test("46 that is running ends when it is cancelled", async () => {
    const hub = await Hub.open(server);
    const id = await hub.stream("Counter", [1000000, 5]);
    assert.equal(await hub.item(id), 0);
    await hub.write(cancel(id), cancel(id));
    const { items, completion } = await whole(hub, id);
    assert.deepEqual(completion, { type: TYPE.completion, invocationId: id });
    assert.deepEqual(items, items.map((_, index) => index));
    hub.cut();
  });

  test("46 that is unknown, or has ended, is not cancelled", async () => {
    const hub = await Hub.open(server);
    const id = await hub.stream("Stream");
    await hub.completion(id);
    await hub.write(cancel(id), cancel("unknown"));
    assert.equal(await hub.result("Echo", "x"), "x");
    assert.equal(hub.log.length, 5);
    hub.cut();
  });

  test("47 keeps its id to itself, goes on, and can still be cancelled", async () => {
    const hub = await Hub.open(server);
    await hub.stream("StreamEcho", [], { invocationId: "same", streamIds: ["up"] });
    await hub.write(item("up", "before"));
    assert.equal(await hub.item("same"), "before");
    await hub.stream("Stream", [], { invocationId: "same" });
    assert.deepEqual(await hub.completion("same"), { type: TYPE.completion, invocationId: "same", error: "Invocation ID 'same' is already in use." });
    await hub.write(item("up", "after"));
    assert.equal(await hub.item("same"), "after");
    await hub.write(cancel("same"));
    assert.deepEqual(await hub.completion("same"), { type: TYPE.completion, invocationId: "same" });
    await hub.stream("Stream", [], { invocationId: "same" });
    assert.equal(await hub.item("same"), "a");
    hub.cut();
  });

  test("47 that has its id taken hears of its cancellation", async () => {
    const hub = await Hub.open(server);
    await hub.stream("InfiniteStream", [], { invocationId: "same" });
    await hub.stream("InfiniteStream", [], { invocationId: "same" });
    assert.match((await hub.completion("same")).error, /already in use/);
    await hub.write(cancel("same"));
    await hub.called("StreamCanceled");
    assert.deepEqual(await hub.completion("same"), { type: TYPE.completion, invocationId: "same" });
    hub.cut();
  });

  test("50 ends when its connection is lost", async () => {
    const own = await TestServer.start();
    try {
      const { tasks } = await own.counts();
      const hub = await Hub.open(own);
      for (const target of ["InfiniteStream", "InfiniteStream"]) await hub.stream(target);
      const counting = await hub.stream("Counter", [1000000, 5]);
      await hub.item(counting);
      await hub.call("StreamingConcat", [], { streamIds: ["up"] });
      await hub.call("StreamingCountAfter", ["never", ], { streamIds: ["unread"] });
      await hub.stream("StreamEcho", [], { streamIds: ["echo"] });
      await hub.result("Echo", "all have begun");
      hub.cut();
      await own.disconnected(hub.id);
      await own.release("never");
      await until("nothing of it is left", async () => {
        const now = await own.counts();
        return now.connections === 0 && now.transports === 0 && now.tasks <= tasks;
      });
    } finally {
      await own.dispose();
    }
  });
});

describe("a stream of the client", () => {
  test("48 is read by an invocation, in each protocol, beside others and plain arguments", async () => {
    for (const protocol of PROTOCOLS) {
      const hub = await Hub.open(server, { protocol });
      const id = await upload(hub, "StreamingConcat", [], { up: ["a", "b", "c"] });
      assert.deepEqual(await hub.completion(id), { type: TYPE.completion, invocationId: id, result: "abc" });
      assert.equal((await hub.completion(await upload(hub, "StreamingConcat", [], { up: [] }))).result, "");

      const two = await hub.call("StreamingConcatTwo", ["both"], { streamIds: ["one", "two"] });
      await hub.write(item("two", "x"), item("one", "a"), item("two", "y"), end("two"), item("one", "b"), end("one"));
      assert.equal((await hub.completion(two)).result, "both:ab|xy");
      hub.cut();
    }
  });

  test("48 may come in one piece with its invocation", async () => {
    for (const protocol of PROTOCOLS) {
      const hub = await Hub.open(server, { protocol });
      await hub.write(
        { type: TYPE.invocation, invocationId: "1", target: "StreamingConcat", arguments: [], streamIds: ["up"] },
        item("up", "a"), item("up", "b"), end("up"),
      );
      assert.equal((await hub.completion("1")).result, "ab");
      hub.cut();
    }
  });

  test("48 may be sent by a call that is not answered, and is read all the same", async () => {
    const hub = await Hub.open(server);
    const call = { type: TYPE.invocation, target: "StreamingConcat", arguments: [], streamIds: ["up"] };
    await hub.write(call, ...Array.from({ length: 50 }, () => item("up", "x")), end("up", { error: "not answered either" }));
    await hub.write(call, item("up", "x"), end("up"));
    assert.equal(await hub.result("Echo", "x"), "x");
    assert.equal(hub.log.length, 1);
    hub.cut();
  });

  test("48 may be answered with a stream", async () => {
    for (const protocol of PROTOCOLS) {
      const hub = await Hub.open(server, { protocol });
      const id = await hub.stream("StreamEcho", [], { streamIds: ["up"] });
      for (const value of ["a", "b", "c"]) {
        await hub.write(item("up", value));
        assert.equal(await hub.item(id), value);
      }
      await hub.write(end("up"));
      assert.deepEqual((await whole(hub, id)).completion, { type: TYPE.completion, invocationId: id });
      hub.cut();
    }
  });

  test("48 that ends with an error fails the method with that text, also without details", async () => {
    for (const at of [server, withoutDetails]) {
      for (const protocol of PROTOCOLS) {
        const hub = await Hub.open(at, { protocol });
        const id = await hub.call("StreamingConcat", [], { streamIds: ["up"] });
        await hub.write(item("up", "a"), end("up", { error: "the source is gone" }));
        assert.equal((await hub.completion(id)).error, "An unexpected error occurred invoking 'StreamingConcat' on the server. HubException: the source is gone");
        const echo = await hub.stream("StreamEcho", [], { streamIds: ["up"] });
        await hub.write(item("up", "a"), end("up", { error: "the source is gone" }));
        const { items, completion } = await whole(hub, echo);
        assert.deepEqual(items, ["a"]);
        assert.equal(completion.error, "An error occurred on the server while streaming results. HubException: the source is gone");
        hub.cut();
      }
    }
  });

  test("48 with an item of a wrong type fails the method, and the connection stays", async () => {
    const text = "An unexpected error occurred invoking 'StreamingConcat' on the server. HubException: Failed to bind Stream message.";
    for (const at of [server, withoutDetails]) {
      const hub = await Hub.open(at);
      const id = await hub.call("StreamingConcat", [], { streamIds: ["up"] });
      await hub.write(item("up", "a"), item("up", { not: "text" }), item("up", "b"), end("up"));
      const { error } = await hub.completion(id);
      if (at === server) assert.ok(error.startsWith(text), error);
      else assert.equal(error, text);
      assert.equal(await hub.result("Echo", "x"), "x");
      hub.cut();
    }
  });

  test("49 must be as many as the method has, with the exact text", async () => {
    const rows = [["StreamingConcat", [], ["u", "v"], 1], ["StreamingConcat", [], [], 1], ["Echo", ["x"], ["u"], 0], ["StreamingConcatTwo", ["x"], ["u"], 2]];
    for (const at of [server, withoutDetails]) {
      const hub = await Hub.open(at);
      for (const [target, args, streamIds, expected] of rows) {
        const { error } = await hub.completion(await hub.call(target, args, { streamIds }));
        const detail = `HubException: Client sent ${streamIds.length} stream(s), Hub method expects ${expected}.`;
        assert.equal(error, `An unexpected error occurred invoking '${target}' on the server. ${detail}`);
      }
      const { error } = await hub.completion(await hub.stream("StreamEcho", [], { streamIds: ["u", "v"] }));
      assert.equal(error, "An unexpected error occurred invoking 'StreamEcho' on the server. HubException: Client sent 2 stream(s), Hub method expects 1.");
      hub.cut();
    }
  });

  test("49 that is unknown or has ended is ignored", async () => {
    const hub = await Hub.open(server);
    await hub.write(item("unknown", "x"), end("unknown"), end("unknown", { error: "x" }), end("unknown", { result: 5 }));
    const id = await upload(hub, "StreamingConcat", [], { up: ["a"] });
    assert.equal((await hub.completion(id)).result, "a");
    await hub.write(item("up", "late"), end("up"), end("up", { error: "late" }));
    assert.equal(await hub.result("Echo", "x"), "x");
    assert.equal(hub.log.length, 2);
    hub.cut();
  });

  test("49 may end with a null result", async () => {
    for (const protocol of PROTOCOLS) {
      const hub = await Hub.open(server, { protocol });
      const id = await hub.call("StreamingConcat", [], { streamIds: ["up"] });
      await hub.write(item("up", "a"), end("up", { result: null }));
      assert.equal((await hub.completion(id)).result, "a");
      hub.cut();
    }
  });

  test("50 may have ten items that nobody reads; the eleventh holds up its connection alone, until they are read", async () => {
    for (const protocol of PROTOCOLS) {
      const gate = `50-${protocol.name}`;
      const [hub, other] = [await Hub.open(server, { protocol }), await Hub.open(server)];
      const counting = await hub.call("StreamingCountAfter", [gate], { streamIds: ["up"] });
      for (let sent = 0; sent < 10; sent++) await hub.write(item("up", "x"));
      assert.equal(await hub.result("Echo", "ten have room"), "ten have room");

      for (let sent = 10; sent < 30; sent++) await hub.write(item("up", "x"));
      await hub.write(end("up"));
      const held = await hub.call("Echo", ["held up"]);
      assert.equal(await other.result("Echo", "not held up"), "not held up");
      await hub.mark(`${gate} what is sent to it still arrives`);
      assert.equal(hub.log.some(({ invocationId }) => invocationId === held), false);

      await server.release(gate);
      assert.equal((await hub.completion(counting)).result, 30);
      assert.equal((await hub.completion(held)).result, "held up");
      hub.cut();
      other.cut();
    }
  });
});
