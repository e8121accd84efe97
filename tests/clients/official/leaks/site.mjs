/** What a way of leaving gets to work with: a server, what connects to it, and what is kept until it has been looked at. */

import { Hub, json, messagepack } from "../../conformance/hub.mjs";
import { RawConnection, ask, upgrade } from "../../conformance/wire.mjs";
import { within } from "../../waiting.mjs";

/**
 * One way in which a connection can be left.
 *
 * @typedef {{
 *   name: string,
 *   leave: (site: Site, number: number) => Promise<unknown>,
 *   needs?: "timers" | "kernel",
 *   isUnread?: boolean,
 *   share?: number,
 *   isAlone?: boolean,
 * }} Way `needs` says what ends the connection if not the way itself: the server's
 *   timers, one of the HTTP library's, or the kernel's. `isUnread` is a connection that
 *   the server may keep as long as its call runs. `share` is the part of the usual
 *   number that is enough of a way that costs much, and the clients of one that is alone
 *   come one after the other, since each of them is sent as much as it can take.
 */

export class Site {
  /** @param {import("./watched_server.mjs").WatchedServer} server @param {string} gate */
  constructor(server, gate, token) {
    this.server = server.http;
    this.url = server.http.url;
    /** Calls that wait here wait until every client has left. */
    this.gate = gate;
    this.token = token;
    /** @type {import("node:net").Socket[]} */
    this.held = [];
  }

  /** Keeps a socket open, as a client that does nothing more; until the server has been looked at. */
  hold(socket) {
    socket.on("error", () => {});
    this.held.push(socket);
  }

  /** Ends what is still there of the clients. */
  dispose() {
    for (const socket of this.held.splice(0)) socket.destroy();
  }

  /** A hub connection; every other one speaks MessagePack where that is possible. */
  async hub(number, options = {}) {
    const isText = options.transport === "ServerSentEvents";
    return Hub.open(this.server, { protocol: isText || number % 2 === 0 ? json : messagepack, ...options });
  }

  /** The path of a connection that is reserved. */
  async reserve(hub = "/testhub", options = {}) {
    const { json: negotiated } = await this.server.negotiate(hub, options);
    return `${hub}?id=${negotiated.connectionToken ?? negotiated.connectionId}`;
  }

  /** A WebSocket that must not be refused. */
  async socket(path) {
    const { socket, status } = await upgrade(this.url + path);
    if (!socket) throw new Error(`the WebSocket was refused with ${status}`);
    return socket;
  }

  /** A TCP connection, with bytes sent on it. @param {...string} parts */
  async tcp(...parts) {
    const connection = await RawConnection.open(this.url);
    parts.forEach((part) => connection.send(part));
    return connection;
  }

  /** A request that must be answered like this. */
  async expect(status, path, options = {}) {
    const answer = await this.server.request(path, options);
    if (answer.status !== status) throw new Error(`${options.method ?? "GET"} ${path}: ${answer.status} ${answer.text}`);
    return answer;
  }

  /** A request that waits, or is abandoned. */
  ask(path, options = {}) {
    return ask(this.url + path, options);
  }
}

/** The text of a request. @param {Record<string, string | number>} [headers] */
export function requestText(method, path, headers = {}, body = "") {
  const lines = Object.entries({ Host: "localhost", ...headers }).map(([name, value]) => `${name}: ${value}`);
  return `${[`${method} ${path} HTTP/1.1`, ...lines].join("\r\n")}\r\n\r\n${body}`;
}

export const UPGRADE = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": 13, "Sec-WebSocket-Key": "AAECAwQFBgcICQoLDA0ODw==" };

/** How a TCP connection goes that nobody says goodbye on. */
export const LOSSES = {
  "is reset": (connection) => {
    connection.socket.resetAndDestroy();
    return connection.ended;
  },
  "is ended": (connection) => {
    connection.socket.end();
    // The server ends its half as well.
    return within("the server ends the connection", connection.ended);
  },
};
