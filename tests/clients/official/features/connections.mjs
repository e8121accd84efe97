/** How a connection begins, what the hub knows of it, and how it ends. */

import { equal, matches, rejects } from "../checks.mjs";
import { closing, stillWorks, unique } from "../environment.mjs";
import { deferred, until, within } from "../../waiting.mjs";

const CLOSED = "Server returned an error on close: Connection closed with an error.";

/** A feature of some environments only. */
function only(suits, run) {
  return Object.assign(run, { suits });
}

const overWebSockets = (env) => env.transport === "WebSockets";
/** Browsers set headers of their own on plain requests only. */
const withHeaders = (env) => !env.isBrowser || env.transport === "LongPolling";

/**
 * The error that the start failed with, or that closed the connection right after it.
 *
 * The client pings as soon as it has started. Over Server-Sent Events that is a request
 * of its own, and when the server is quicker to close, the start fails with that
 * request's 404 in place of the reason; another attempt then tells it.
 */
async function failureOf(env, settings) {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const connection = env.connection(settings);
    const closed = closing(connection);
    const error = await within("the connection starts", connection.start()).then(() => closed, (failure) => failure);
    if (error?.statusCode !== 404) return error;
  }
  throw new Error("every attempt ended with 404");
}

/** Waits until the disconnected hook has run; answers with what failure. */
async function disconnected(env, id) {
  const { connected, disconnected: count, failure } = await until("the disconnected hook has run", async () => {
    const hooks = await env.hooks(id);
    return hooks.disconnected > 0 && hooks;
  });
  equal([connected, count], [1, 1], "runs of the hooks");
  return failure;
}

export const connections = {
  "client and hub agree on id and transport": async (env) => {
    const connection = await env.connect();
    equal(await connection.invoke("GetCallerConnectionId"), connection.connectionId);
    equal(await connection.invoke("GetActiveTransportName"), env.transport);
    equal(await env.hooks(connection.connectionId), { connected: 1, disconnected: 0, failure: null });
  },

  "an endpoint of one transport is found without being told": async (env) => {
    const word = { WebSockets: "websockets", ServerSentEvents: "sse", LongPolling: "longpolling" }[env.transport];
    const connection = await env.connect({ hub: `/testhub-${word}`, transport: null });
    equal(await connection.invoke("GetActiveTransportName"), env.transport);
  },

  "without WebSockets the next best transport is taken": async (env) => {
    const connection = await env.connect({ hub: "/testhub-nowebsockets", transport: null });
    equal(await connection.invoke("GetActiveTransportName"), env.protocol === "json" ? "ServerSentEvents" : "LongPolling");
  },

  "a transport that the endpoint lacks is refused": async (env) => {
    const hub = env.transport === "LongPolling" ? "/testhub-websockets" : "/testhub-longpolling";
    await rejects(env.connection({ hub }).start(), /^Unable to connect to the server with any of the available transports\./);
  },

  "the path is found in any case, with a slash at its end": async (env) => {
    await stillWorks(await env.connect({ hub: "/TestHub/" }));
  },

  "the hub sees the query": async (env) => {
    const connection = await env.connect({ hub: "/testhub?name=v%C3%A4lue%26%3D&empty=" });
    equal(await connection.invoke("GetQuery", "name"), "välue&=");
    equal(await connection.invoke("GetQuery", "empty"), "");
    equal(await connection.invoke("GetQuery", "missing"), null);
  },

  "the hub sees the client's headers": only(withHeaders, async (env) => {
    const connection = await env.connect({ options: { headers: { "X-Tested": "yes, it is" } } });
    equal(await connection.invoke("GetHeader", "x-tested"), "yes, it is");
    equal(await connection.invoke("GetHeader", "X-Missing"), null);
    const agent = await connection.invoke("GetHeader", env.isBrowser ? "X-SignalR-User-Agent" : "User-Agent");
    matches(agent, /^Microsoft SignalR\//);
  }),

  "the hub sees the cookies that negotiate has set": async (env) => {
    const connection = await env.connect();
    equal(await connection.invoke("GetCookie", "testCookie"), "testValue");
    equal(await connection.invoke("GetCookie", "testCookie2"), "testValue2");
    equal(await connection.invoke("GetCookie", "expiredCookie"), null);
  },

  "a token names the user": async (env) => {
    const connection = await env.connect({ hub: "/authorizedhub", token: await env.token() });
    equal(await connection.invoke("GetUserIdentifier"), "testuser");
    equal(await connection.invoke("AuthorizedOnly"), "ok");
    await stillWorks(connection);
    const user = unique("other");
    const other = await env.connect({ token: () => env.token(user) });
    equal(await other.invoke("GetUserIdentifier"), user);
    await rejects(other.invoke("AuthorizedOnly"), "Failed to invoke 'AuthorizedOnly' because user is unauthorized");
  },

  "without a good token there is no connection": async (env) => {
    const unauthorized = "Failed to complete negotiation with the server: Error: Unauthorized: Status code '401'";
    await rejects(env.connection({ hub: "/authorizedhub" }).start(), unauthorized);
    await rejects(env.connection({ hub: "/authorizedhub", token: "nonsense" }).start(), unauthorized);
    await rejects(env.connection({ token: "nonsense" }).start(), unauthorized);
  },

  "a redirect is followed": async (env) => {
    const hub = `/redirect?numRedirects=0&baseUrl=${env.url}`;
    const connection = await env.connect({ hub });
    const first = await connection.invoke("GetNumRedirects");
    equal(await connection.invoke("GetCallerConnectionId"), connection.connectionId);
    await connection.stop();
    await within("the connection starts again", connection.start());
    equal(await connection.invoke("GetNumRedirects") > first, true, "a redirect each time");
  },

  "a redirect may bring a token": async (env) => {
    const connection = await env.connect({ hub: `/redirect-with-token?baseUrl=${env.url}` });
    equal(await connection.invoke("GetUserIdentifier"), "testuser");
    equal(await connection.invoke("GetQuery", "redirected"), "yes");
  },

  "negotiation may be skipped": only(overWebSockets, async (env) => {
    const options = { skipNegotiation: true };
    const connection = await env.connect({ options });
    equal(connection.connectionId, null);
    matches(await connection.invoke("GetCallerConnectionId"), /^[\w-]{22}$/);
    const authorized = await env.connect({ options, hub: "/authorizedhub", token: () => env.token() });
    equal(await authorized.invoke("GetUserIdentifier"), "testuser");
    await rejects(env.connection({ options, hub: "/authorizedhub" }).start(), /^WebSocket failed to connect\./);
  }),

  "a refusal of the negotiation is told in the server's words": async (env) => {
    await rejects(env.connection({ hub: "/bad-negotiate" }).start(),
      "Failed to complete negotiation with the server: Error: Some response from server: Status code '400'");
  },

  "the connected hook may send": async (env) => {
    const said = deferred();
    const connection = await env.connect({ hub: "/testhub?connected=message", on: { ConnectedHook: said.resolve } });
    equal(await within("the hook's message arrives", said.promise), "hello");
    await stillWorks(connection);
  },

  "a connected hook that fails ends the connection": async (env) => {
    const error = await failureOf(env, { hub: "/testhub?connected=fail" });
    equal(error.message, `${CLOSED} InvalidOperationException: no entry`);
  },

  "a hub that cannot be made ends the connection": async (env) => {
    const error = await failureOf(env, { hub: "/uncreatable" });
    matches(error.message, /^Server returned an error on close: Connection closed with an error\. \w+: ./);
  },

  "a client that stops is gone, and may start again": async (env) => {
    const connection = await env.connect();
    const first = connection.connectionId;
    const closed = closing(connection);
    await within("the connection stops", connection.stop());
    equal(await closed, undefined);
    const failure = await disconnected(env, first);
    // Over Server-Sent Events the client's last message races with the end of its event stream.
    if (env.transport !== "ServerSentEvents") equal(failure, null);
    await within("the connection starts again", connection.start());
    equal(connection.connectionId === first, false, "the same id");
    await stillWorks(connection);
  },

  "a connection that its application aborts is closed, and stays so": async (env) => {
    const connection = await env.connect({ reconnect: true });
    const id = connection.connectionId;
    const closed = closing(connection);
    // Over plain requests this one is answered as taken, although the connection is gone by then.
    await connection.send("Abort");
    equal(await closed, undefined);
    equal(await disconnected(env, id), null);
    equal(connection.state, "Disconnected");
  },

  "a connection that is aborted from outside is closed, and stays so": async (env) => {
    const connection = await env.connect({ reconnect: true });
    const id = connection.connectionId;
    const closed = closing(connection);
    await env.ask("POST", `/close/${id}`);
    equal(await closed, undefined);
    equal(await disconnected(env, id), null);
    equal(connection.state, "Disconnected");
  },

  "a message above the size limit closes the connection": async (env) => {
    const connection = await env.connect();
    const id = connection.connectionId;
    const closed = closing(connection);
    connection.invoke("Echo", "x".repeat(33000)).catch(() => {});
    const { message } = await closed;
    equal(message, `${CLOSED} InvalidDataException: The maximum message size of 32768B was exceeded. The message size can be configured in AddHubOptions.`);
    matches(await disconnected(env, id), /The maximum message size of 32768B was exceeded/);
  },

  "a result that cannot be written closes the connection": async (env) => {
    const connection = await env.connect();
    const id = connection.connectionId;
    const closed = closing(connection);
    connection.invoke("Unserializable").catch(() => {});
    matches((await closed).message, /^Server returned an error on close: Connection closed with an error\./);
    matches(await disconnected(env, id), /./);
  },

  "invocations that wait when the connection closes fail": async (env) => {
    const connection = await env.connect();
    const waiting = connection.invoke("Wait", unique("gate"));
    const [refused] = await Promise.all([
      rejects(waiting, "Invocation canceled due to the underlying connection being closed."),
      env.ask("POST", `/close/${connection.connectionId}`),
    ]);
    equal(refused, undefined);
  },

  "clients come back after the server's restart": async (env) => {
    const connection = await env.connect({ reconnect: true });
    const plain = await env.connect();
    const first = connection.connectionId;
    const [lost, back, closed] = [deferred(), deferred(), closing(plain)];
    connection.onreconnecting((error) => lost.resolve(error));
    connection.onreconnected((id) => back.resolve(id));
    await env.restart();
    const errors = [await within("the client notices", lost.promise), await closed];
    // A client that is between two polls when the server ends finds nobody there.
    if (env.transport !== "LongPolling") equal(errors, [undefined, undefined]);
    const second = await within("the client is back", back.promise);
    equal(second === first, false, "the same id");
    equal(await connection.invoke("GetCallerConnectionId"), second);
  },
};
