/** Streams in both directions. */

import { equal, rejects } from "../checks.mjs";
import { itemsOf, stillWorks, unique } from "../environment.mjs";
import { deferred, within } from "../../waiting.mjs";

/** Gives the subject these items, and ends it. */
function upload(subject, ...items) {
  for (const item of items) subject.next(item);
  subject.complete();
}

/**
 * Waits until the client has sent the items that it was given before. It sends one item
 * of each upload after the other, so another upload of more items ends later.
 */
async function sent(env, connection) {
  const subject = new env.signalR.Subject();
  const joined = connection.invoke("StreamingConcat", subject);
  upload(subject, ..."abcdefgh");
  equal(await within("the uploads are sent", joined), "abcdefgh");
}

export const streams = {
  "items arrive in order, then the end": async (env) => {
    const connection = await env.connect();
    equal(await itemsOf(connection.stream("Stream")), ["a", "b", "c"]);
    equal(await itemsOf(connection.stream("Counter", 300, 0)), [...Array(300).keys()]);
  },

  "a stream without items ends": async (env) => {
    const connection = await env.connect();
    equal(await itemsOf(connection.stream("EmptyStream")), []);
  },

  "streams at once do not mix": async (env) => {
    const connection = await env.connect();
    const counts = [30, 20, 10, 0];
    const streams = counts.map((count) => itemsOf(connection.stream("Counter", count, 1)));
    equal(await Promise.all(streams), counts.map((count) => [...Array(count).keys()]));
  },

  "a stream that fails before it begins says why": async (env) => {
    const connection = await env.connect();
    await rejects(itemsOf(connection.stream("StreamThrowException", "boom")),
      "An unexpected error occurred invoking 'StreamThrowException' on the server. InvalidOperationException: boom");
    await stillWorks(connection);
  },

  "a stream that fails midway keeps its earlier items": async (env) => {
    const connection = await env.connect();
    const items = [];
    const failure = deferred();
    connection.stream("StreamFailMidway", 3, "boom").subscribe({
      next: (item) => items.push(item), complete: () => failure.resolve("no failure"), error: failure.resolve,
    });
    const error = await within("the stream fails", failure.promise);
    equal(error.message, "An error occurred on the server while streaming results. InvalidOperationException: boom");
    equal(items, [0, 1, 2]);
    await stillWorks(connection);
  },

  "cancelling reaches a stream that is idle": async (env) => {
    const cancelled = deferred();
    const connection = await env.connect({ on: { StreamCanceled: cancelled.resolve } });
    const ignore = () => {};
    connection.stream("InfiniteStream").subscribe({ next: ignore, complete: ignore, error: cancelled.reject }).dispose();
    await within("the server says that the stream was cancelled", cancelled.promise);
    await stillWorks(connection);
  },

  "cancelling ends a stream that runs": async (env) => {
    const connection = await env.connect();
    const seen = deferred();
    const items = [];
    const subscription = connection.stream("Counter", 1000000, 1).subscribe({
      next: (item) => items.push(item) === 3 && seen.resolve(),
      complete: () => seen.reject(new Error("ended")),
      error: seen.reject,
    });
    await within("three items arrive", seen.promise);
    subscription.dispose();
    const received = items.length;
    await stillWorks(connection);
    equal(items.length, received, "items after the cancellation");
    equal(items.slice(0, 3), [0, 1, 2]);
  },

  "a stream is not held up by an invocation that waits": async (env) => {
    const connection = await env.connect();
    const gate = unique("gate");
    const waiting = connection.invoke("Wait", gate);
    equal(await itemsOf(connection.stream("ReleaseStream", gate)), ["released"]);
    equal(await within("the invocation completes", waiting), gate);
  },

  "an upload is read to its end": async (env) => {
    const connection = await env.connect();
    const subject = new env.signalR.Subject();
    const joined = connection.invoke("StreamingConcat", subject);
    upload(subject, "Hello ", "", "wörld", "!");
    equal(await joined, "Hello wörld!");
    const empty = new env.signalR.Subject();
    const nothing = connection.invoke("StreamingConcat", empty);
    empty.complete();
    equal(await nothing, "");
  },

  "two uploads of one call do not mix": async (env) => {
    const connection = await env.connect();
    const [one, other] = [new env.signalR.Subject(), new env.signalR.Subject()];
    // The client overlooks a stream that directly follows another one among the arguments.
    const joined = connection.invoke("StreamingConcatTwo", one, "both", other);
    other.next("c");
    one.next("a");
    upload(other, "d");
    upload(one, "b");
    equal(await joined, "both:ab|cd");
  },

  "uploads of several calls at once do not mix": async (env) => {
    const connection = await env.connect();
    const uploads = ["a", "b", "c", "d", "e"].map((letter) => {
      const subject = new env.signalR.Subject();
      return { letter, subject, joined: connection.invoke("StreamingConcat", subject) };
    });
    for (let round = 0; round < 8; round += 1) for (const { letter, subject } of uploads) subject.next(letter);
    for (const { subject } of uploads) subject.complete();
    equal(await Promise.all(uploads.map(({ joined }) => joined)), uploads.map(({ letter }) => letter.repeat(8)));
  },

  "a send may carry an upload": async (env) => {
    const connection = await env.connect();
    const subject = new env.signalR.Subject();
    await connection.send("StreamingConcat", subject);
    upload(subject, "a", "b");
    await sent(env, connection);
  },

  "a stream may carry an upload": async (env) => {
    const connection = await env.connect();
    const subject = new env.signalR.Subject();
    const echoed = itemsOf(connection.stream("StreamEcho", subject));
    const items = Array.from({ length: 40 }, (_, index) => `item ${index}`);
    upload(subject, ...items);
    equal(await echoed, items);
  },

  "an upload that the client fails fails the method": async (env) => {
    const connection = await env.connect();
    const subject = new env.signalR.Subject();
    const joined = connection.invoke("StreamingConcat", subject);
    subject.next("a");
    subject.error(new Error("client failed"));
    await rejects(joined, "An unexpected error occurred invoking 'StreamingConcat' on the server. HubException: client failed");
    await stillWorks(connection);
  },

  "an upload longer than its buffer waits until it is read": async (env) => {
    const connection = await env.connect();
    const gate = unique("gate");
    const subject = new env.signalR.Subject();
    const counted = connection.invoke("StreamingCountAfter", gate, subject);
    upload(subject, ...Array(50).fill("item"));
    await env.release(gate);
    equal(await within("the upload is read", counted), 50);
    await stillWorks(connection);
  },

  "items of an upload after its method has ended are ignored": async (env) => {
    const connection = await env.connect();
    const subject = new env.signalR.Subject();
    await rejects(connection.invoke("Nope", subject), /Method does not exist\.$/);
    upload(subject, "late", "later");
    await sent(env, connection);
    await stillWorks(connection);
  },
};
