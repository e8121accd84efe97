/**
 * The official client against one server by TLS, in a process of its own: Node.js reads
 * the certificates that it trusts besides, NODE_EXTRA_CA_CERTS, once when it starts.
 *
 *   node tls_client.mjs URL TOKEN
 *
 * Writes what it saw over each transport and protocol as JSON.
 */

import * as signalR from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

const [url, token] = process.argv.slice(2);
const { WebSockets, ServerSentEvents, LongPolling } = signalR.HttpTransportType;

const PAIRS = [
  ["JSON over WebSockets", WebSockets, false],
  ["MessagePack over WebSockets", WebSockets, true],
  ["JSON over Server-Sent Events", ServerSentEvents, false],
  ["JSON over long polling", LongPolling, false],
  ["MessagePack over long polling", LongPolling, true],
];

/** Makes a job; answers its id. */
async function createJob(title) {
  const [startUtc, endUtc] = ["2030-01-01T09:00:00.000Z", "2030-01-01T10:00:00.000Z"];
  const draft = { title, customer: "Harbour Hotel", address: "1 Quay Street", region: "north", timezone: "Europe/Berlin", startUtc, endUtc };
  const response = await fetch(`${url}/api/jobs`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(draft),
  });
  if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
}

// The SignalR client keeps to itself why it could not connect.
await fetch(`${url}/healthz`).catch((error) => Promise.reject(error.cause));

const seen = {};
for (const [pair, transport, isBinary] of PAIRS) {
  const builder = new signalR.HubConnectionBuilder()
    .withUrl(`${url}/hub/dispatch`, { transport, accessTokenFactory: () => token })
    .configureLogging(signalR.LogLevel.None);
  if (isBinary) builder.withHubProtocol(new MessagePackHubProtocol());
  const connection = builder.build();
  const event = new Promise((resolve) => connection.on("JobCreated", resolve));
  const closed = new Promise((resolve) => connection.onclose((error) => resolve(error?.message ?? "properly")));
  await connection.start();
  await connection.invoke("JoinDispatchGroup", "north");
  await createJob(pair);
  const { title } = await event;
  await connection.stop();
  seen[pair] = { title, closed: await closed };
}
console.log(JSON.stringify(seen));
