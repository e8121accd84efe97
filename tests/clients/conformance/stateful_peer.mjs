/** A client that keeps its connection over the loss of its socket, with every duty and every step of its own. */

import { within } from "../waiting.mjs";
import { TYPE, handshake, json, record } from "./hub.mjs";
import { bearer } from "./test_server.mjs";
import { Inbox } from "./inbox.mjs";
import { upgrade } from "./wire.mjs";

export class StatefulPeer {
  /**
   * @param {import("./test_server.mjs").TestServer} server
   * @param {{ path?: string, version?: number, token?: string }} [options]
   */
  static async open(server, { path = "/testhub", version = 2, token } = {}) {
    const { json: negotiated } = await server.negotiate(path, { query: "useStatefulReconnect=true", token });
    const peer = new StatefulPeer(server, negotiated.connectionId, `${path}?id=${negotiated.connectionToken}`, token);
    await peer.attach();
    peer.write(handshake(json, version));
    await within("the handshake is answered", peer.hasShakenHands);
    return peer;
  }

  constructor(server, id, path, token) {
    this.server = server;
    this.id = id;
    this.path = path;
    /** Of every socket's request. @type {Record<string, string>} */
    this.headers = bearer(token);
    /** What was sent and not acknowledged: its number, and its record. @type {{ number: number, text: string }[]} */
    this.copies = [];
    this.sent = 0;
    this.next = 1;
    this.latest = 0;
    /** Every message that counts and was no replay, and every Close. @type {any[]} */
    this.log = [];
    this.inbox = new Inbox();
    /** The Acks of the server, and when they came. @type {{ sequenceId: number, at: number }[]} */
    this.acks = [];
    /** Whether what is received is acknowledged at once. */
    this.acknowledges = false;
    this.lastId = 0;
    this.isOpen = true;
    this.hasShakenHands = new Promise((resolve) => (this.onhandshake = resolve));
  }

  /** Opens a socket; answers the status. */
  async attach(headers = this.headers) {
    const { status, socket } = await upgrade(this.server.url + this.path, headers);
    if (!socket) return status;
    this.socket = socket;
    /** What has come on this socket, replays included. @type {any[]} */
    this.arrivals = [];
    this.#listen(socket);
    return status;
  }

  /** Opens a socket in place of the one that is lost, and does what is due; answers the status. */
  async reopen({ sequenceId = this.copies[0]?.number ?? this.sent + 1 } = {}) {
    const status = await this.attach();
    if (status !== 101) return status;
    this.write(record({ type: TYPE.sequence, sequenceId }));
    for (const { text } of this.copies) this.write(text);
    return status;
  }

  async #listen(socket) {
    for (let message = await socket.messages.next(); message; message = await socket.messages.next()) {
      let unit = message.payload;
      if (this.onhandshake) {
        unit = unit.subarray(unit.indexOf("\x1e") + 1);
        this.onhandshake();
        this.onhandshake = undefined;
      }
      for (const one of json.decode(unit)) if (socket === this.socket) this.#handle(one);
    }
  }

  #handle(message) {
    this.arrivals.push(message);
    switch (message.type) {
      case TYPE.ping: return;
      case TYPE.ack:
        this.acks.push({ sequenceId: message.sequenceId, at: Date.now() });
        this.copies = this.copies.filter(({ number }) => number > message.sequenceId);
        return;
      case TYPE.sequence:
        if (message.sequenceId > this.next) throw new Error(`the server skips from ${this.next} to ${message.sequenceId}`);
        this.next = message.sequenceId;
        return;
      case TYPE.close: break;
      default: {
        const number = this.next++;
        if (number <= this.latest) return;
        this.latest = number;
        if (this.acknowledges) this.acknowledge();
      }
    }
    this.log.push(message);
    this.inbox.push(message);
  }

  /** Sends text on the socket as it is. @param {string} text */
  write(text) {
    this.socket.send(text);
  }

  /** Sends a message and keeps a copy of it if it counts. */
  send(message) {
    const text = record(message);
    if (message.type <= TYPE.cancelInvocation) this.copies.push({ number: ++this.sent, text });
    this.write(text);
  }

  acknowledge(sequenceId = this.latest) {
    this.write(record({ type: TYPE.ack, sequenceId }));
  }

  call(target, args = [], extra = {}) {
    const invocationId = `${++this.lastId}`;
    this.send({ type: TYPE.invocation, invocationId, target, arguments: args, ...extra });
    return invocationId;
  }

  notify(target, ...args) {
    this.send({ type: TYPE.invocation, target, arguments: args });
  }

  async completion(invocationId) {
    return this.inbox.take(`the Completion of ${invocationId}`, (message) => message.type === TYPE.completion && message.invocationId === invocationId);
  }

  async result(target, ...args) {
    const { result, error } = await this.completion(this.call(target, args));
    if (error !== undefined) throw new Error(`${target}: ${error}`);
    return result;
  }

  async take(what, matches, limitMs = undefined) {
    return this.inbox.take(what, matches, limitMs);
  }

  /** Loses the socket without a close frame. */
  cut() {
    this.socket.cut();
  }
}
