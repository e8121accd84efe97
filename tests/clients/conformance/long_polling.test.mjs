/** The Long Polling transport, poll by poll. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { until, within } from "../waiting.mjs";
import { Hub, TYPE, json, record } from "./hub.mjs";
import { Polls } from "./polls.mjs";
import { TestServer } from "./test_server.mjs";
import { RawConnection } from "./wire.mjs";

/** @type {TestServer} */
let server;
/** With timeouts that a test can wait for. @type {TestServer} */
let hasty;

before(async () => {
  [server, hasty] = await Promise.all([
    TestServer.start(),
    TestServer.start({ "poll-timeout-ms": 3000, "disconnect-timeout-ms": 1000 }),
  ]);
});

after(() => Promise.all([server?.dispose(), hasty?.dispose()]));

function isNotCached({ headers }) {
  assert.equal(headers["cache-control"]?.replaceAll(" ", ""), "no-cache,no-store");
  assert.equal(headers.pragma, "no-cache");
  assert.equal(headers.expires, "Thu, 01 Jan 1970 00:00:00 GMT");
}

function numbersOf(answers) {
  return answers.flatMap(({ body }) => json.decode(body)).filter(({ target }) => target === "Number").map((message) => message.arguments[0]);
}

describe("polls", { concurrency: true }, () => {
  test("18 the first poll is answered at once, with nothing in it", async () => {
    const polls = await Polls.reserve(server);
    const answer = await within("the first poll is answered", polls.start().answer, 2000);
    assert.deepEqual([answer.status, answer.text, answer.headers["content-length"]], [200, "", "0"]);
    assert.match(answer.headers["content-type"], /^application\/octet-stream\b/);
    isNotCached(answer);
  });

  test("19 a poll brings everything that was buffered, in one piece", async () => {
    const polls = await Polls.open(server);
    await server.numbers(polls.id, 1, 5);
    const answer = await polls.poll();
    assert.equal(answer.status, 200);
    assert.match(answer.headers["content-type"], /^application\/octet-stream\b/);
    assert.equal(Number(answer.headers["content-length"]), answer.body.length);
    assert.deepEqual(numbersOf([answer]), [1, 2, 3, 4, 5]);
    isNotCached(answer);
  });

  test("19 a poll that waits brings what arrives, at once", async () => {
    const polls = await Polls.open(server);
    const poll = await polls.waiting();
    await server.send(polls.id, "hello");
    const answer = await within("the poll is answered", poll.answer, 2000);
    assert.deepEqual(json.decode(answer.body), [{ type: TYPE.invocation, target: "Send", arguments: ["hello"] }]);
  });

  test("19 23 an idle poll is answered with nothing at the poll timeout, and keeps the connection until then", async () => {
    const polls = await Polls.open(hasty);
    const asked = Date.now();
    const answer = await polls.poll();
    assert.ok(Date.now() - asked >= 2500, "it waits, far longer than the disconnect timeout");
    assert.deepEqual([answer.status, answer.text, answer.headers["content-length"]], [200, "", "0"]);
    assert.match(answer.headers["content-type"], /^text\/plain\b/);
    isNotCached(answer);
    await polls.call("Echo", "still here");
    assert.equal(json.decode((await polls.data()).body)[0].result, "still here");
  });

  test("19 answers of every status are not to be cached", async () => {
    const polls = await Polls.open(server);
    const poll = await polls.waiting();
    await polls.delete();
    const [ended, gone, missing] = [await poll.answer, await polls.poll(), await server.request("/testhub")];
    assert.deepEqual([ended.status, gone.status, missing.status], [204, 404, 400]);
    for (const answer of [ended, gone, missing]) isNotCached(answer);
  });

  test("20 a new poll ends the old one with 204 and receives the data", async () => {
    const polls = await Polls.open(server);
    const old = await polls.waiting();
    const next = polls.start();
    assert.equal((await within("the old poll ends", old.answer)).status, 204);
    await server.send(polls.id, "for the new poll");
    const answer = await within("the new poll is answered", next.answer);
    assert.equal(json.decode(answer.body)[0].arguments[0], "for the new poll");
  });

  test("20 while polls take over from each other, nothing is lost, doubled or out of order", async () => {
    const polls = await Polls.open(server);
    const last = 600;
    const answers = [];
    let started = 0;
    const start = () => {
      started++;
      polls.start().answer.then((answer) => answers.push(answer));
    };
    const sending = (async () => {
      for (let from = 1; from <= last; from += 20) await server.numbers(polls.id, from, from + 19);
    })();
    let isSent = false;
    sending.then(() => (isSent = true));
    while (!isSent) {
      start();
      await server.counts();
    }
    await sending;
    // Whichever of them comes last finds something to bring.
    await until("all polls are answered", async () => {
      await server.send(polls.id, "end");
      return answers.length === started;
    });
    while (!answers.some(({ text }) => text.includes('"end"'))) answers.push(await polls.poll());
    assert.deepEqual(new Set(answers.map(({ status }) => status).filter((status) => status !== 204)), new Set([200]));
    // Which poll was which is not known, since they may overtake each other on their way.
    const bodies = answers.map((answer) => numbersOf([answer])).filter(({ length }) => length > 0).sort((a, b) => a[0] - b[0]);
    assert.deepEqual(bodies.flat(), Array.from({ length: last }, (_, index) => index + 1));
  });

  test("20 of polls that race, one stays and the others get 204, none 409", async () => {
    const polls = await Polls.open(server);
    const racing = Array.from({ length: 10 }, () => polls.start());
    const answers = [];
    for (const poll of racing) poll.answer.then((answer) => answers.push(answer));
    await until("all but one have been answered", async () => answers.length === 9);
    await server.send(polls.id, "for the last one");
    await until("the last one has been answered", async () => answers.length === 10);
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(9).fill(204)]);
    assert.equal(json.decode(answers[9].body)[0].arguments[0], "for the last one");
  });

  test("21 after the hub has ended, what is left is delivered, then 204, then 404", async () => {
    const polls = await Polls.open(server);
    await polls.post(["SendToCaller", "Abort"].map((target) => record({ type: TYPE.invocation, target, arguments: target === "Abort" ? [] : ["left over"] })).join(""));
    await server.disconnected(polls.id);
    const answers = [await polls.poll()];
    while (answers.at(-1).status === 200 && answers.length < 10) answers.push(await polls.poll());
    const last = answers.pop();
    assert.ok(answers.length >= 1, "data first");
    assert.deepEqual(answers.flatMap(({ body }) => json.decode(body)), [
      { type: TYPE.invocation, target: "Send", arguments: ["left over"] },
      { type: TYPE.close },
    ]);
    assert.equal(last.status, 204);
    assert.equal((await polls.poll()).status, 404);
  });

  test("22 DELETE ends an open poll with 204 and runs the disconnected hook", async () => {
    const polls = await Polls.open(server);
    const poll = await polls.waiting();
    const answer = await polls.delete();
    assert.deepEqual([answer.status, answer.text], [202, ""]);
    assert.match(answer.headers["content-type"], /^text\/plain\b/);
    assert.equal((await within("the poll ends", poll.answer)).status, 204);
    assert.deepEqual(await server.disconnected(polls.id), { connected: 1, disconnected: 1, failure: null });
    assert.equal((await polls.poll()).status, 404);
    assert.equal((await polls.delete()).status, 404);
  });

  test("22 DELETE without an open poll ends the connection too", async () => {
    const polls = await Polls.open(server);
    assert.equal((await polls.delete()).status, 202);
    assert.equal((await server.disconnected(polls.id)).failure, null);
    await until("the connection is gone", async () => [204, 404].includes((await polls.poll()).status));
  });

  test("23 a connection without a poll is disposed after the disconnect timeout", async () => {
    const polls = await Polls.open(hasty);
    const left = Date.now();
    await hasty.disconnected(polls.id);
    assert.ok(Date.now() - left >= 800, "it is kept for the disconnect timeout");
    assert.equal((await polls.poll()).status, 404);
    assert.equal((await polls.post("x")).status, 404);
  });

  test("24 POSTs are taken in the order of their arrival", async () => {
    const polls = await Polls.open(server);
    const connection = await RawConnection.open(server.url);
    const count = 20;
    const requests = Array.from({ length: count }, (_, index) => {
      const body = record({ type: TYPE.invocation, target: "Number", arguments: [index] });
      return `POST ${polls.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    });
    connection.send(requests.join(""));
    for (let answered = 0; answered < count; answered++) assert.equal((await connection.answer()).status, 200);
    connection.socket.destroy();
    await polls.call("Numbers");
    assert.deepEqual(json.decode((await polls.data()).body)[0].result, Array.from({ length: count }, (_, index) => index));
  });

  test("24 concurrent POSTs are all taken, and their bodies are not mixed", async () => {
    const polls = await Polls.open(server);
    const bodies = Array.from({ length: 30 }, (_, index) => [3, 4, 5].map((part) => index * 10 + part));
    const answers = await Promise.all(bodies.map((numbers) => polls.post(numbers.map((number) => record({ type: TYPE.invocation, target: "Number", arguments: [number] })).join(""))));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    await polls.call("Numbers");
    const numbers = json.decode((await polls.data()).body)[0].result;
    assert.deepEqual([...numbers].sort((a, b) => a - b), bodies.flat());
    for (let at = 0; at < numbers.length; at += 3) assert.deepEqual(numbers.slice(at, at + 3), bodies[Math.floor(numbers[at] / 10)]);
  });

  test("24 a slow POST and a quick one are both taken whole", async () => {
    const polls = await Polls.open(server);
    const body = record({ type: TYPE.invocation, target: "Number", arguments: [1] });
    const slow = await RawConnection.open(server.url);
    slow.send(`POST ${polls.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 20)}`);
    const quick = polls.post(body.replace("[1]", "[2]"));
    slow.send(body.slice(20));
    assert.deepEqual([(await slow.answer()).status, (await quick).status], [200, 200]);
    slow.socket.destroy();
    await polls.call("Numbers");
    assert.deepEqual(json.decode((await polls.data()).body)[0].result.sort(), [1, 2]);
  });

  /** Holds the hub's reading up: a method that waits, and one that waits for it. @param {string} gate */
  async function heldUp(gate) {
    const polls = await Polls.open(server);
    await polls.post(["Wait", "Wait"].map((target, index) => record({ type: TYPE.invocation, invocationId: `${index}`, target, arguments: [gate] })).join(""));
    const ping = record({ type: TYPE.ping });
    const state = { isAnswered: false };
    const posted = polls.post(ping.repeat(Math.ceil(400000 / ping.length)));
    posted.then(() => (state.isAnswered = true));
    for (let asked = 0; asked < 10; asked++) await server.counts();
    return { polls, posted, state };
  }

  test("24 a POST is answered once the whole body has found room", async () => {
    const { polls, posted, state } = await heldUp("room");
    assert.equal(state.isAnswered, false);
    await server.release("room");
    assert.equal((await within("the POST is answered", posted)).status, 200);
    await until("both have completed", async () => (await polls.poll()).text.includes('"invocationId":"1"'));
  });

  test("24 a POST that waits for room is answered with 404 when the connection goes", async () => {
    const { polls, posted } = await heldUp("no room");
    assert.equal((await polls.delete()).status, 202);
    assert.equal((await within("the POST is answered", posted)).status, 404);
    await server.disconnected(polls.id);
  });

  test("25 a poll that is abandoned takes nothing with it, and the connection goes on", async () => {
    const polls = await Polls.open(server);
    const poll = await polls.waiting();
    poll.abort();
    for (let asked = 0; asked < 5; asked++) await server.counts();
    await server.send(polls.id, "not lost");
    assert.equal(json.decode((await polls.data()).body)[0].arguments[0], "not lost");
  });

  test("25 a client that abandons its poll leaves nothing behind", async () => {
    const polls = await Promise.all(Array.from({ length: 5 }, () => Polls.open(hasty)));
    for (const one of polls) (await one.waiting()).abort();
    for (const one of polls) {
      await hasty.disconnected(one.id);
      assert.equal((await one.poll()).status, 404);
    }
  });
});

test("25 a poll that nobody reads closes the connection after the send timeout", async () => {
  const own = await TestServer.start({ "send-timeout-ms": 1000, "output-bytes-max": 64 * 1024 * 1024 });
  try {
    const polls = await Polls.open(own);
    const connection = await RawConnection.open(own.url);
    connection.socket.pause();
    // More than the operating system takes in on behalf of a client that does not read.
    const sent = own.request("/broadcast?count=600&bytes=30000", { method: "POST" }).catch(() => {});
    connection.send(`GET ${polls.path} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(600));
    const { failure } = await own.disconnected(polls.id);
    assert.notEqual(failure, null);
    connection.socket.destroy();
    await sent;
  } finally {
    await own.dispose();
  }
});

test("18 a client of polls alone is served as on any transport", async () => {
  const hub = await Hub.open(server, { transport: "LongPolling" });
  const ids = await Promise.all(["a", "b", "c"].map((text) => hub.call("Echo", [text])));
  assert.deepEqual((await Promise.all(ids.map((id) => hub.completion(id)))).map(({ result }) => result), ["a", "b", "c"]);
  hub.cut();
});
