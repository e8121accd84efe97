/** The server asks, the client answers. */

import { equal, matches, rejects } from "../checks.mjs";
import { stillWorks } from "../environment.mjs";
import { deferred, within } from "../../waiting.mjs";

const ASKING = (method) => `An unexpected error occurred invoking '${method}' on the server.`;

export const clientResults = {
  "a hub method gets the caller's answer": async (env) => {
    const connection = await env.connect({ on: { Answer: (value) => value } });
    for (const value of [42, "text", null, true, [1, "two", null], { a: { b: [] } }, ""]) {
      equal(await connection.invoke("AskCaller", value), value);
    }
  },

  "an answer may take its time": async (env) => {
    const question = deferred();
    const answer = deferred();
    const connection = await env.connect({ on: { Answer: (value) => (question.resolve(value), answer.promise) } });
    const asked = connection.invoke("AskCaller", "when?");
    equal(await within("the question arrives", question.promise), "when?");
    await stillWorks(connection);
    answer.resolve("later");
    equal(await asked, "later");
  },

  "many questions at once get each its own answer": async (env) => {
    const connection = await env.connect({ on: { Answer: async (value) => value * 2 } });
    const values = Array.from({ length: 20 }, (_, index) => index + 1);
    equal(await Promise.all(values.map((value) => connection.invoke("AskCaller", value))), values.map((value) => value * 2));
  },

  "an error of the client's becomes the method's": async (env) => {
    const connection = await env.connect({ on: { Answer: () => { throw new Error("from the client"); } } });
    await rejects(connection.invoke("AskCaller", 1), `${ASKING("AskCaller")} HubException: Error: from the client`);
    await stillWorks(connection);
  },

  "a client without an answer says so": async (env) => {
    const connection = await env.connect();
    await rejects(connection.invoke("AskCaller", 1), `${ASKING("AskCaller")} HubException: Client didn't provide a result.`);
    await stillWorks(connection);
  },

  "an answer of another type fails the method": async (env) => {
    const connection = await env.connect({ on: { AnswerInt: () => "not a number" } });
    await rejects(connection.invoke("AskCallerInt"),
      /^An unexpected error occurred invoking 'AskCallerInt' on the server\. HubException: Error trying to deserialize result to /);
    connection.off("AnswerInt");
    connection.on("AnswerInt", () => 7);
    equal(await connection.invoke("AskCallerInt"), 7);
  },

  "another connection can be asked": async (env) => {
    const other = await env.connect({ on: { Answer: (value) => `${value}, says the other` } });
    const connection = await env.connect({ on: { Answer: () => "wrong one" } });
    equal(await connection.invoke("AskConnection", other.connectionId, "yes"), "yes, says the other");
  },

  "asking a connection that does not exist fails": async (env) => {
    const connection = await env.connect();
    await rejects(connection.invoke("AskConnection", "nobody", 1), /Connection 'nobody' does not exist\.$/);
  },

  "a question that is given up ends without an answer": async (env) => {
    const connection = await env.connect({ on: { Never: () => new Promise(() => {}) } });
    matches(await connection.invoke("AskAndCancel", 50), /Invocation canceled by the server\.$/);
    await stillWorks(connection);
  },

  "code outside of the hub gets an answer": async (env) => {
    const connection = await env.connect({ on: { Result: () => 10 } });
    const path = `/clientresult/${connection.connectionId}`;
    equal(await env.ask("GET", path), "10");
    equal(await Promise.all(Array.from({ length: 4 }, () => env.ask("GET", path))), Array(4).fill("10"));
  },

  "code outside of the hub gets the client's error": async (env) => {
    const connection = await env.connect();
    const path = `/clientresult/${connection.connectionId}`;
    equal(await env.ask("GET", path), "Client didn't provide a result.");
    connection.on("Result", () => { throw new Error("from callback"); });
    equal(await env.ask("GET", path), "Error: from callback");
    equal(await env.ask("GET", "/clientresult/nobody"), "Connection 'nobody' does not exist.");
  },

  "the connected hook may not ask": async (env) => {
    const said = deferred();
    const connection = await env.connect({ hub: "/testhub?connected=ask", on: { ConnectedHook: said.resolve } });
    matches(await within("the hook says what happened", said.promise),
      /Client results inside OnConnectedAsync Hub methods are not allowed\.$/);
    await stillWorks(connection);
  },
};
