/**
 * What the tests share: a real server, tokens, HTTP calls, and waiting with a limit.
 * It goes through public interfaces only, and asserts nothing but that the set-up
 * worked.
 */

import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import * as signalR from "@microsoft/signalr";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

import { databaseUrl, dropDatabase } from "./database.mjs";
import { Program } from "./program.mjs";
import { within } from "./waiting.mjs";

export { within };

/** What HS256 tokens of these tests are signed with. */
export const SECRET = "a secret of these tests, long enough for HS256";

/** A running server, with a folder of its own unless it is given one. */
export class Server extends Program {
  /**
   * Starts `signalbox serve` and waits until it is ready.
   *
   * @param {{ port?: number, folder?: string, args?: string[] }} [options]
   */
  static async serve({ port = 0, folder, args = [] } = {}) {
    const home = folder ?? (await temporaryFolder());
    const database = databaseUrl(home);
    return Server.start(home, ["serve", "--listen", `127.0.0.1:${port}`, "--database-url", database, "--jwt-secret", SECRET, ...args]);
  }

  /**
   * Starts `signalbox demo` without its simulation, and waits until it is ready.
   *
   * @param {{ port?: number, folder?: string }} [options]
   */
  static async demo({ port = 0, folder } = {}) {
    const home = folder ?? (await temporaryFolder());
    return Server.start(home, ["demo", "--listen", `127.0.0.1:${port}`, "--no-simulation", "--data", home]);
  }

  /** @param {string} folder @param {string[]} args */
  static async start(folder, args) {
    // The caller's own settings must not reach the program under test.
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("SIGNALBOX_"));
    const server = new Server(folder);
    await server.launch(args, { ...Object.fromEntries(inherited), RUST_LOG: "warn" });
    return server;
  }

  /** @param {string} folder */
  constructor(folder) {
    super("SIGNALBOX_BIN");
    this.folder = folder;
  }

  /** Ends the server if it runs, and removes its data. */
  async dispose() {
    await super.dispose();
    dropDatabase(this.folder);
    await rm(this.folder, { recursive: true, force: true });
  }
}

export function temporaryFolder() {
  return mkdtemp(join(tmpdir(), "signalbox-test-"));
}

export async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (probe.address());
  probe.close();
  await once(probe, "close");
  return port;
}

/** Seconds since 1970, so many from now. */
export function secondsFromNow(seconds) {
  return Math.floor(Date.now() / 1000) + seconds;
}

/**
 * A signed token. Written by hand, so that a wrong one can be made as well.
 *
 * @param {Record<string, unknown>} claims
 * @param {{ algorithm?: string, secret?: string }} [options]
 */
export function sign(claims, { algorithm = "HS256", secret = SECRET } = {}) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const content = `${encode({ alg: algorithm, typ: "JWT" })}.${encode(claims)}`;
  const digests = { HS256: "sha256", HS384: "sha384", HS512: "sha512" };
  const digest = digests[algorithm];
  const signature = digest ? createHmac(digest, secret).update(content).digest("base64url") : "";
  return `${content}.${signature}`;
}

/** Claims of people, good for an hour. */
export const claims = {
  admin: () => person("admin-1", "Adele Admin", ["admin"]),
  dispatcher: (...regions) => ({ ...person("dispatcher-1", "Dora Dispatcher", ["dispatcher"]), regions }),
  contractor: (contractorId) => ({ ...person("contractor-1", "Carl Contractor", ["contractor"]), contractorId }),
};

function person(sub, name, roles) {
  return { sub, name, roles, exp: secondsFromNow(3600) };
}

/** HTTP calls as one person. */
export class Client {
  /** @param {string} url @param {string} token */
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  /** @param {string} method @param {string} path @param {unknown} [body] */
  async call(method, path, body, headers = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    return { status: response.status, headers: response.headers, body: await response.json() };
  }

  /** A call that must succeed. */
  async must(method, path, body, headers) {
    const answer = await this.call(method, path, body, headers);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer;
  }

  /** A new contractor's id. */
  async contractor(region, name = "Some Contractor") {
    const { body } = await this.must("POST", "/api/contractors", { name, region, timezone: "Europe/Berlin" });
    return body.id;
  }

  /**
   * A new job; what is not said does not matter to the test. Windows of two jobs never
   * overlap unless the test says them.
   *
   * @param {Record<string, unknown>} [draft]
   */
  async job(draft = {}) {
    const window = nextWindow();
    return this.must("POST", "/api/jobs", {
      title: `Job ${randomUUID()}`,
      customer: "Some customer",
      address: "1 Some Street",
      region: "north",
      timezone: "Europe/Berlin",
      contractorIds: [],
      ...window,
      ...draft,
    });
  }

  async reschedule(job, change, headers) {
    return this.must("PUT", `/api/jobs/${job.id}/reschedule`, change, headers);
  }

  async cancel(job, change, headers) {
    return this.must("POST", `/api/jobs/${job.id}/cancel`, change, headers);
  }
}

const HOUR_MS = 3600000;
const DAY_MS = 24 * HOUR_MS;
const firstDay = Math.floor(Date.now() / DAY_MS) * DAY_MS + 30 * DAY_MS;
/** By day in Europe, whenever the tests run: a window that goes past midnight is told in other words. */
const STARTS = [7, 11, 15];
let windows = 0;

/** An hour of a day that no other job of these tests takes, with three free hours after it. */
export function nextWindow() {
  const [day, place] = [Math.floor(windows / STARTS.length), windows % STARTS.length];
  windows += 1;
  const start = firstDay + day * DAY_MS + STARTS[place] * HOUR_MS;
  return { startUtc: utc(start), endUtc: utc(start + HOUR_MS) };
}

/** The window, so many minutes later. */
export function later({ startUtc, endUtc }, minutes) {
  const shift = (text) => utc(Date.parse(text) + minutes * 60000);
  return { startUtc: shift(startUtc), endUtc: shift(endUtc) };
}

/** @param {number} moment */
export function utc(moment) {
  return new Date(moment).toISOString();
}

/**
 * An official SignalR connection, not started, with everything that it receives.
 *
 * @param {string} url
 * @param {string | (() => string)} token
 * @param {{ hub?: string, options?: object, reconnect?: boolean }} [settings]
 */
export function connect(url, token, { hub = "/hub/dispatch", options = {}, reconnect = false } = {}) {
  const builder = new signalR.HubConnectionBuilder()
    .withUrl(url + hub, { accessTokenFactory: typeof token === "string" ? () => token : token, ...options })
    .configureLogging(signalR.LogLevel.None);
  if (reconnect) builder.withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 100 });
  const connection = builder.build();
  return { connection, inbox: new Inbox(connection) };
}

/** The options that make the client open its WebSocket at once. */
export const WITHOUT_NEGOTIATION = { skipNegotiation: true, transport: signalR.HttpTransportType.WebSockets };

export const EVENT_TYPES = ["JobCreated", "JobAssigned", "JobRescheduled", "JobCancelled"];

/** Checks an event against the published schema of its type. */
const schemas = Object.fromEntries(EVENT_TYPES.map((type) => {
  const file = new URL(`../../docs/schemas/${type}.v1.json`, import.meta.url);
  const ajv = new Ajv({ strict: true, allowUnionTypes: true });
  addFormats(ajv);
  return [type, ajv.compile(JSON.parse(readFileSync(file, "utf8")))];
}));

/**
 * Every event that a connection received, in order. One that does not fit the published
 * schema of its type is an error wherever it comes.
 */
export class Inbox {
  /** @param {signalR.HubConnection} connection */
  constructor(connection) {
    /** @type {any[]} */
    this.events = [];
    this.waiting = () => {};
    /** @type {Error | null} */
    this.fault = null;
    for (const type of EVENT_TYPES) {
      connection.on(type, (...args) => {
        if (!schemas[type](args[0])) this.fault = new Error(`${type}: ${JSON.stringify(schemas[type].errors)}`);
        this.events.push({ method: type, args });
        this.waiting();
      });
    }
  }

  /**
   * Everything received up to and with the event of this sequence.
   *
   * @param {number | string} sequence
   */
  async until(sequence) {
    const isThere = () => this.events.some(({ args }) => args[0].sequence === Number(sequence));
    await within(`event ${sequence} arrives`, new Promise((resolve) => {
      this.waiting = () => isThere() && resolve(undefined);
      this.waiting();
    }));
    if (this.fault) throw this.fault;
    return this.events;
  }

  /** The sequences received so far. */
  get sequences() {
    return this.events.map(({ args }) => args[0].sequence);
  }
}

/** The sequence of the event that a change made. @param {{ headers: Headers }} answer */
export function sequenceOf(answer) {
  return Number(answer.headers.get("x-event-sequence"));
}

/**
 * The status that a WebSocket upgrade is answered with; 101 when it is accepted.
 *
 * @param {string} url
 * @param {Record<string, string>} headers
 */
export async function upgradeStatus(url, headers = {}) {
  const asked = request(url, {
    headers: {
      connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13",
      "sec-websocket-key": Buffer.alloc(16).toString("base64"), ...headers,
    },
  });
  asked.end();
  const answered = Promise.race([once(asked, "response"), once(asked, "upgrade")]);
  const [response] = await within("the upgrade is answered", answered);
  asked.destroy();
  return response.statusCode;
}
