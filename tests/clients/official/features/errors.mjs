/** What goes wrong is said in the reference server's words, and the connection stays. */

import { rejects } from "../checks.mjs";
import { itemsOf, stillWorks } from "../environment.mjs";

const FAILED = (method) => `Failed to invoke '${method}' due to an error on the server.`;
const UNEXPECTED = (method) => `An unexpected error occurred invoking '${method}' on the server.`;
const BINDING = "InvalidDataException: Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked.";

/** What is done, the call, the text. @type {[string, (connection: any, env: any) => Promise<any>, string][]} */
const FAILURES = [
  ["invoking an unknown method", (hub) => hub.invoke("Nope"), `${FAILED("Nope")} HubException: Method does not exist.`],
  ["streaming an unknown method", (hub) => itemsOf(hub.stream("Nope")), `${FAILED("Nope")} HubException: Method does not exist.`],
  ["invoking a hook", (hub) => hub.invoke("OnConnectedAsync"), `${FAILED("OnConnectedAsync")} HubException: Method does not exist.`],
  ["too many arguments", (hub) => hub.invoke("Echo", "a", "b"),
    `${FAILED("Echo")} InvalidDataException: Invocation provides 2 argument(s) but target expects 1.`],
  ["too few arguments", (hub) => hub.invoke("echo"),
    `${FAILED("Echo")} InvalidDataException: Invocation provides 0 argument(s) but target expects 1.`],
  ["an argument of another type", (hub) => hub.invoke("Echo", { not: "a text" }), `${FAILED("Echo")} ${BINDING}`],
  ["an argument of another type for a stream", (hub) => itemsOf(hub.stream("Counter", "many", 0)), `${FAILED("Counter")} ${BINDING}`],
  ["a method that fails", (hub) => hub.invoke("throwEXCEPTION", "boom"),
    `${UNEXPECTED("ThrowException")} InvalidOperationException: boom`],
  ["a method that fails with a hub exception", (hub) => hub.invoke("ThrowNamed", "HubException", "said"),
    `${UNEXPECTED("ThrowNamed")} HubException: said`],
  ["a method that fails with an exception of its own", (hub) => hub.invoke("ThrowNamed", "OwnException", "“quoted” <b>"),
    `${UNEXPECTED("ThrowNamed")} OwnException: “quoted” <b>`],
  ["invoking a streaming method", (hub) => hub.invoke("Stream"),
    "The client attempted to invoke the streaming 'Stream' method with a non-streaming invocation."],
  ["streaming a plain method", (hub) => itemsOf(hub.stream("Echo", "a")),
    "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation."],
  ["a method that is not allowed", (hub) => hub.invoke("authorizedonly"),
    "Failed to invoke 'authorizedonly' because user is unauthorized"],
  ["an upload that is missing", (hub) => hub.invoke("StreamingConcat"),
    `${UNEXPECTED("StreamingConcat")} HubException: Client sent 0 stream(s), Hub method expects 1.`],
  ["an upload too many", (hub, { signalR }) => hub.invoke("Echo", "a", new signalR.Subject()),
    `${UNEXPECTED("Echo")} HubException: Client sent 1 stream(s), Hub method expects 0.`],
];

export const errors = Object.fromEntries(FAILURES.map(([what, act, text]) => [
  `${what} fails with its text`,
  async (env) => {
    const connection = await env.connect();
    await rejects(act(connection, env), text);
    await stillWorks(connection);
  },
]));
