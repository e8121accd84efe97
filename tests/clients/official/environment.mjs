/**
 * What a feature gets to work with, in Node and in a page alike: connections of one
 * transport and protocol to one server, and the server's test controls.
 */

import { equal } from "./checks.mjs";
import { deferred, handled, within } from "../waiting.mjs";

/** Every transport with every protocol that it can carry. */
export const PAIRS = [
  { transport: "WebSockets", protocol: "json" },
  { transport: "WebSockets", protocol: "messagepack" },
  { transport: "ServerSentEvents", protocol: "json" },
  { transport: "LongPolling", protocol: "json" },
  { transport: "LongPolling", protocol: "messagepack" },
];

/** @param {{ transport: string, protocol: string }} pair */
export function nameOf({ transport, protocol }) {
  return `${protocol} over ${transport}`;
}

export class Environment {
  /**
   * @param {{
   *   signalR: any,
   *   msgpack: any,
   *   url: string,
   *   pair: { transport: string, protocol: string },
   *   isBrowser?: boolean,
   *   restart?: () => Promise<void>,
   * }} parts `restart` has the server stop in good order and come back on its port
   */
  constructor({ signalR, msgpack, url, pair, isBrowser = false, restart }) {
    this.signalR = signalR;
    this.msgpack = msgpack;
    this.url = url;
    this.transport = pair.transport;
    this.protocol = pair.protocol;
    this.isBrowser = isBrowser;
    this.restart = restart;
    this.opened = [];
  }

  /**
   * A connection that is not started; it is stopped after the test.
   *
   * @param {{
   *   hub?: string, protocol?: string, transport?: string | null, options?: object,
   *   token?: string | (() => string | Promise<string>), reconnect?: boolean,
   *   stateful?: boolean | object, on?: Record<string, (...args: any[]) => any>,
   * }} [settings] `transport: null` leaves the choice to client and server
   */
  connection(settings = {}) {
    const { hub = "/testhub", protocol = this.protocol, transport = this.transport, token, on = {} } = settings;
    const options = { ...settings.options };
    if (transport) options.transport = this.signalR.HttpTransportType[transport];
    if (token) options.accessTokenFactory = typeof token === "string" ? () => token : token;
    const builder = new this.signalR.HubConnectionBuilder()
      .withUrl(new URL(hub, this.url).href, options)
      .configureLogging(this.signalR.LogLevel.None)
      .withHubProtocol(protocol === "json" ? new this.signalR.JsonHubProtocol() : new this.msgpack.MessagePackHubProtocol());
    if (settings.reconnect) builder.withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => 100 });
    if (settings.stateful) builder.withStatefulReconnect(settings.stateful === true ? undefined : settings.stateful);
    const connection = builder.build();
    for (const [name, handler] of Object.entries(on)) connection.on(name, handler);
    this.opened.push(connection);
    return connection;
  }

  /** A started connection; it is stopped after the test. */
  async connect(settings) {
    const connection = this.connection(settings);
    await within("the connection starts", connection.start());
    return connection;
  }

  /** Stops every connection that the test has made. */
  async close() {
    const opened = this.opened.splice(0);
    await within("the connections stop", Promise.all(opened.map((connection) => connection.stop())));
  }

  /** Asks one of the server's test controls; answers its text. */
  async ask(method, path, body) {
    const response = await fetch(this.url + path, { method, body });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text;
  }

  async counts() {
    return JSON.parse(await this.ask("GET", "/counts"));
  }

  /** How often the hooks of a connection ran, and the failure that ended it. */
  async hooks(id) {
    return JSON.parse(await this.ask("GET", `/hooks/${id}`));
  }

  /** A token of this user, good for so many seconds. */
  token(user = "testuser", seconds = 600) {
    return this.ask("GET", `/generateJwtToken?user=${user}&seconds=${seconds}`);
  }

  release(gate) {
    return this.ask("POST", `/release/${gate}`);
  }
}

/** A name that no other test uses. */
export function unique(word) {
  return `${word}-${crypto.randomUUID()}`;
}

/** Every call of one client method, in order, as lists of arguments. */
export class Inbox {
  constructor(connection, method) {
    /** @type {any[][]} */
    this.calls = [];
    this.look = () => {};
    connection.on(method, (...args) => {
      this.calls.push(args);
      this.look();
    });
  }

  /** All calls, once there are so many. */
  async atLeast(count) {
    return this.when(`${count} calls arrive`, () => this.calls.length >= count);
  }

  /** All calls, once these hold what is waited for. */
  async when(what, condition) {
    if (condition()) return this.calls;
    const found = deferred();
    this.look = () => condition() && found.resolve();
    await within(what, found.promise);
    return this.calls;
  }
}

/** The items of a stream up to its end. */
export function itemsOf(stream) {
  const items = [];
  const ended = new Promise((resolve, reject) => {
    stream.subscribe({ next: (item) => items.push(item), complete: () => resolve(items), error: reject });
  });
  return handled(within("the stream ends", ended));
}

/** Resolves when the connection is closed for good, with the error or nothing. */
export function closing(connection) {
  const closed = new Promise((resolve) => connection.onclose((error) => resolve(error)));
  return handled(within("the connection is closed", closed));
}

/** Fails unless the connection still does its work. */
export async function stillWorks(connection) {
  equal(await within("an echo comes back", connection.invoke("Echo", "still here")), "still here");
}
