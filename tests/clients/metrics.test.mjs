/**
 * The numbers that the server tells Prometheus: they are what its clients counted, and a
 * real Prometheus finds something for every expression of the dashboard and the alerts.
 */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import * as signalR from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

import { Client, Inbox, Server, claims, freePort, later, nextWindow, sequenceOf, sign, temporaryFolder, within } from "./support.mjs";
import { until } from "./waiting.mjs";

const { WebSockets, ServerSentEvents, LongPolling } = signalR.HttpTransportType;

/** Every transport with every protocol that it can carry. */
const KINDS = [
  ["WebSockets", WebSockets, "json"],
  ["WebSockets", WebSockets, "messagepack"],
  ["ServerSentEvents", ServerSentEvents, "json"],
  ["LongPolling", LongPolling, "json"],
  ["LongPolling", LongPolling, "messagepack"],
];

/** Connections of each kind. */
const CONNECTIONS = 3;

/** Commands of each sort. */
const ROUNDS = 12;

/** What was seen from here, by the name and labels of the metric that should say it too. */
class Counted {
  /** @type {Map<string, number>} */
  counts = new Map();

  /** @param {string} name @param {Record<string, string>} labels */
  add(name, labels = {}, count = 1) {
    const series = seriesOf(name, labels);
    this.counts.set(series, (this.counts.get(series) ?? 0) + count);
  }

  /** @param {string} name */
  of(name) {
    return Object.fromEntries([...this.counts].filter(([series]) => series.split("{")[0] === name).sort());
  }
}

/** @param {string} name @param {Record<string, string>} labels */
function seriesOf(name, labels) {
  const pairs = Object.entries(labels).sort().map(([label, value]) => `${label}="${value}"`);
  return pairs.length ? `${name}{${pairs.join(",")}}` : name;
}

/** A page of metrics, by series. @param {string} url */
async function page(url) {
  const text = await (await fetch(`${url}/metrics`)).text();
  const samples = text.split("\n").filter((line) => line && !line.startsWith("#")).map((line) => {
    const [, name, , labels, value] = /** @type {RegExpExecArray} */ (/^(\w+)(\{(.*)\})? (.+)$/.exec(line));
    const parsed = [...(labels ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, label, text]) => [label, text]);
    return [seriesOf(name, Object.fromEntries(parsed)), Number(value)];
  });
  return {
    /** All of a metric that is not 0. @param {string} name @returns {Record<string, number>} */
    of(name) {
      return Object.fromEntries(samples.filter(([series, value]) => series.split("{")[0] === name && value !== 0).sort());
    },
    /** @param {string} name */
    sum(name) {
      return Object.values(this.of(name)).reduce((sum, value) => sum + value, 0);
    },
  };
}

/** Calls the API, and counts what it was answered. */
class CountingClient extends Client {
  /** @param {string} url @param {string} token @param {Counted} counted */
  constructor(url, token, counted) {
    super(url, token);
    this.counted = counted;
  }

  /** @param {string} command @param {string} route */
  async command(command, route, method, path, body, headers = {}, result) {
    const answer = await this.call(method, path, body, headers);
    this.counted.add("signalbox_commands_total", { command, result: result ?? answer.body.code ?? "accepted" });
    this.counted.add("signalbox_http_requests_total", { method, route, status: `${Math.floor(answer.status / 100)}xx` });
    return answer;
  }
}

/** Makes commands that are accepted, refused and repeated. @param {CountingClient} client */
async function load(client) {
  const assigned = await client.command("create_contractor", "/api/contractors", "POST", "/api/contractors", { name: "Ada", region: "north", timezone: "Europe/Berlin" });
  const draft = () => ({ title: "Boiler", customer: "Hotel", address: "1 Quay", region: "north", timezone: "Europe/Berlin", contractorIds: [assigned.body.id], ...nextWindow() });
  const create = (...rest) => client.command("create_job", "/api/jobs", "POST", "/api/jobs", ...rest);
  await Promise.all(Array.from({ length: ROUNDS }, async (_, round) => {
    const body = draft();
    const headers = { "idempotency-key": `round-${round}` };
    const { body: job } = await create(body, headers);
    await create(body, headers, "repeated");
    await create(draft(), headers);
    await create({ ...draft(), startUtc: job.startUtc, endUtc: job.endUtc });
    const change = (name, method, body, headers) =>
      client.command(`${name}_job`, `/api/jobs/{id}/${name}`, method, `/api/jobs/${job.id}/${name}`, body, headers);
    await change("reschedule", "PUT", later(job, 15), { "if-match": '"9"' });
    await change("reschedule", "PUT", later(job, 15));
    await change("assign", "POST", { contractorIds: [] });
    await change("cancel", "POST", { reason: "Flood" });
    await change("cancel", "POST", {});
  }));
}

/** Connections of every kind, each with what it received. @param {string} url @param {Counted} counted */
async function connectAll(url, counted) {
  return Promise.all(KINDS.flatMap(([transportName, transport, protocol]) => Array.from({ length: CONNECTIONS }, async () => {
    const builder = new signalR.HubConnectionBuilder()
      .withUrl(`${url}/hub/dispatch`, { transport, accessTokenFactory: () => sign(claims.dispatcher("north")) })
      .configureLogging(signalR.LogLevel.None);
    if (protocol === "messagepack") builder.withHubProtocol(new MessagePackHubProtocol());
    const connection = builder.build();
    const inbox = new Inbox(connection);
    await within("the connection starts", connection.start());
    await connection.invoke("JoinDispatchGroup", "north");
    counted.add("signalbox_connections", { transport: transportName, protocol });
    counted.add("signalbox_connections_opened_total", { transport: transportName });
    return { connection, inbox };
  })));
}

test("what is told is what the clients counted", async () => {
  const server = await Server.serve();
  try {
    const counted = new Counted();
    const client = new CountingClient(server.url, sign(claims.dispatcher("north")), counted);
    const clients = await connectAll(server.url, counted);
    assert.deepEqual((await page(server.url)).of("signalbox_connections"), counted.of("signalbox_connections"));
    await load(client);
    const last = sequenceOf(await client.call("GET", "/api/events?after=0&limit=500"));
    counted.add("signalbox_http_requests_total", { method: "GET", route: "/api/events", status: "2xx" });
    assert.equal(last, ROUNDS * 4, "created, rescheduled, assigned, cancelled");
    await Promise.all(clients.map(({ inbox }) => inbox.until(last)));
    const received = clients.reduce((sum, { inbox }) => sum + inbox.events.length, 0);
    assert.equal(received, last * clients.length);

    const [{ connection }] = clients;
    await connection.invoke("LeaveDispatchGroup", "north");
    const { replayed } = await connection.invoke("Subscribe", { groups: ["dispatch/north"], after: 5 });
    assert.equal(replayed, last - 5);
    const items = await new Promise((resolve, reject) => {
      let items = 0;
      const stream = connection.stream("StreamEvents", { groups: ["dispatch/north"], after: 2 });
      const subscription = stream.subscribe({
        next: () => {
          items += 1;
          if (items === last - 2) {
            subscription.dispose();
            resolve(items);
          }
        },
        error: reject,
        complete: () => {},
      });
    });

    // A client has an event before the worker has counted that turn.
    await until("the deliveries are counted", async () => (await page(server.url)).sum("signalbox_deliveries_total") === received);
    const told = await page(server.url);
    assert.deepEqual(told.of("signalbox_commands_total"), counted.of("signalbox_commands_total"));
    const commands = Object.values(counted.of("signalbox_commands_total")).reduce((sum, count) => sum + count, 0);
    assert.equal(told.sum("signalbox_command_duration_seconds_count"), commands);
    assert.equal(told.sum("signalbox_batch_commands_sum"), commands);
    const api = Object.entries(told.of("signalbox_http_requests_total")).filter(([series]) => series.includes('route="/api/'));
    assert.deepEqual(Object.fromEntries(api), counted.of("signalbox_http_requests_total"));
    for (const name of ["signalbox_connections", "signalbox_connections_opened_total"]) {
      assert.deepEqual(told.of(name), counted.of(name));
    }
    assert.equal(told.sum("signalbox_replayed_events_total"), replayed);
    assert.equal(told.sum("signalbox_streamed_events_total"), items);
    assert.equal(told.sum("signalbox_event_relay_delay_seconds_count"), last);
    assert.equal(told.sum("signalbox_slow_connections_cut_total"), 0);

    await Promise.all(clients.map(({ connection }) => connection.stop()));
    await until("nobody is connected", async () => (await page(server.url)).sum("signalbox_connections") === 0);
    const left = await page(server.url);
    assert.equal(left.sum("signalbox_connections_closed_total"), clients.length);
    assert.equal(left.sum("signalbox_deliveries_total"), received);
    assert.equal(left.sum("signalbox_event_log_lag_events"), 0);
  } finally {
    await server.dispose();
  }
});

const PACKAGING = new URL("../../packaging/", import.meta.url);
const RULES = new URL("prometheus/signalbox.rules.yml", PACKAGING).pathname;

/** How far back rates look: a few scrapes. */
const RANGE = "5s";

/** A Prometheus in a folder of its own, with the project's own files, looking often. */
class Prometheus {
  /** @param {string} target */
  static async start(target) {
    const prometheus = new Prometheus();
    prometheus.folder = await temporaryFolder();
    prometheus.port = await freePort();
    const file = await readFile(new URL("prometheus/prometheus.yml", PACKAGING), "utf8");
    const placed = file
      .replace("127.0.0.1:8080", target)
      .replace("- signalbox.rules.yml", `- ${RULES}`)
      .replaceAll("15s", "500ms");
    assert.ok(placed.includes(target) && placed.includes(RULES) && placed.includes("500ms"));
    const config = join(prometheus.folder, "prometheus.yml");
    await writeFile(config, placed);
    const args = [`--config.file=${config}`, `--storage.tsdb.path=${join(prometheus.folder, "data")}`,
      `--web.listen-address=127.0.0.1:${prometheus.port}`, "--log.level=warn"];
    prometheus.child = spawn("prometheus", args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    prometheus.child.stderr.on("data", (bytes) => (said += bytes));
    prometheus.exited = once(prometheus.child, "exit");
    prometheus.exited.then(() => (prometheus.hasEnded = true));
    await until("prometheus is ready", async () => {
      assert.ok(!prometheus.hasEnded, `prometheus ended: ${said}`);
      return fetch(`${prometheus.url}/-/ready`).then(({ ok }) => ok, () => false);
    });
    return prometheus;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The values of an expression as of now. @param {string} expression @returns {Promise<number[]>} */
  async query(expression) {
    const response = await fetch(`${this.url}/api/v1/query?${new URLSearchParams({ query: expression })}`);
    const { status, error, data } = /** @type {any} */ (await response.json());
    assert.equal(status, "success", `${expression}: ${error}`);
    return data.result.map(({ value }) => Number(value[1]));
  }

  async dispose() {
    this.child.kill();
    await this.exited;
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Every expression of the dashboard, as a Grafana would ask it of all nodes. */
async function dashboardExpressions() {
  const dashboard = JSON.parse(await readFile(new URL("grafana/signalbox.json", PACKAGING), "utf8"));
  const panels = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr]));
  const known = { $__rate_interval: RANGE, $instance: ".*" };
  return panels.map(([title, expr]) => [title, expr.replace(/\$\w+/g, (name) => {
    assert.ok(name in known, `${title} has a variable that nobody sets: ${name}`);
    return known[name];
  })]);
}

/** @type {Server} */
let server;
/** @type {Prometheus} */
let prometheus;

before(async () => {
  server = await Server.serve();
  prometheus = await Prometheus.start(new URL(server.url).host);
});

after(async () => {
  await prometheus?.dispose();
  await server?.dispose();
});

test("every expression of the dashboard and the alerts finds something after a demo run", async () => {
  const counted = new Counted();
  // What a rate sees is what rises between two looks.
  const hasSamples = async () => (await prometheus.query('count_over_time(up{job="signalbox"}[1h])'))[0] >= 2;
  await until("prometheus has looked twice", hasSamples);
  const clients = await connectAll(server.url, counted);
  const client = new CountingClient(server.url, sign(claims.dispatcher("north")), counted);
  await load(client);
  await Promise.all(clients.map(({ connection }) => connection.stop()));
  const hasSeen = async () => (await prometheus.query("sum(signalbox_events_logged_sequence)"))[0] >= ROUNDS * 4;
  await until("prometheus has seen it", hasSeen);

  const expressions = await dashboardExpressions();
  assert.ok(expressions.length > 40, "the dashboard was read");
  for (const [title, expression] of expressions) {
    const values = await prometheus.query(expression);
    assert.ok(values.some(Number.isFinite), `${title}: ${expression} is ${JSON.stringify(values)}`);
  }
  // An alert that does not fire is empty, so what it looks at is looked at.
  const rules = await readFile(RULES, "utf8");
  const selectors = new Set(rules.match(/\b(signalbox_\w+|process_\w+|up)(\{[^}]*\})?(?=[^\w:])/g)?.filter((name) => name !== "up"));
  assert.ok(selectors.size > 15, "the rules were read");
  for (const selector of selectors) {
    // Nothing was answered so yet.
    if (selector.includes('status="5xx"')) continue;
    assert.ok((await prometheus.query(selector)).length > 0, selector);
  }
  const response = await fetch(`${prometheus.url}/api/v1/rules`);
  const { data } = /** @type {any} */ (await response.json());
  const alerts = data.groups.flatMap(({ rules }) => rules);
  assert.ok(alerts.length > 15, "the rules were taken");
  for (const { name, health, lastError, state } of alerts) {
    assert.deepEqual([name, health, lastError ?? "", state], [name, "ok", "", "inactive"]);
  }
});

test("an alert fires when it is to, and no sooner", async () => {
  const run = promisify(execFile);
  const { stdout } = await run("promtool", ["test", "rules", new URL("prometheus/signalbox.rules.test.yml", PACKAGING).pathname]);
  assert.match(stdout, /SUCCESS/);
});

test("each alert is described for whoever it wakes up", async () => {
  const [rules, guide] = await Promise.all([readFile(RULES, "utf8"), readFile(new URL("../docs/operating.md", PACKAGING), "utf8")]);
  const names = [...rules.matchAll(/alert: (\w+)/g)].map(([, name]) => name);
  const described = [...guide.matchAll(/^\| `(Signalbox\w+)`/gm)].map(([, name]) => name);
  assert.deepEqual(described.sort(), names.sort());
});
