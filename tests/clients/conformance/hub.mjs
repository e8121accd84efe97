/**
 * A hub connection as any client has one, over each transport and in each protocol.
 * What it receives is kept as it comes, so that the tests see everything.
 */

import { within } from "../waiting.mjs";
import { decode, encode, frame, unframe } from "./messagepack.mjs";
import { bearer } from "./test_server.mjs";
import { Inbox } from "./inbox.mjs";
import { EventStream, RECORD_END, ask, upgrade } from "./wire.mjs";

export const TRANSPORTS = ["WebSockets", "ServerSentEvents", "LongPolling"];

/** The types of hub messages. */
export const TYPE = {
  invocation: 1, streamItem: 2, completion: 3, streamInvocation: 4, cancelInvocation: 5,
  ping: 6, close: 7, ack: 8, sequence: 9,
};

/** A JSON record. */
export function record(message) {
  return JSON.stringify(message) + RECORD_END;
}

export const json = {
  name: "json",
  encode: record,
  /** The messages of a unit, all of which must be whole. @param {Buffer} unit */
  decode(unit) {
    const text = unit.toString();
    if (text === "") return [];
    if (!text.endsWith(RECORD_END)) throw new Error(`a unit that does not end with its last message: ${text.slice(-100)}`);
    return text.slice(0, -1).split(RECORD_END).map((one) => JSON.parse(one));
  },
};

/** MessagePack; its messages are shown with the property names that JSON has. */
export const messagepack = {
  name: "messagepack",
  encode: (message) => frame(encode(toArray(message))),
  /** @param {Buffer} unit */
  decode: (unit) => unframe(unit).map((body) => fromArray(decode(body))),
};

export const PROTOCOLS = [json, messagepack];

function toArray({ type, headers = {}, invocationId, target, arguments: args, streamIds = [], item, error, result, allowReconnect, sequenceId }) {
  switch (type) {
    case TYPE.invocation: case TYPE.streamInvocation: return [type, headers, invocationId, target, args, streamIds];
    case TYPE.streamItem: return [type, headers, invocationId, item];
    case TYPE.cancelInvocation: return [type, headers, invocationId];
    case TYPE.ping: return [type];
    case TYPE.close: return [type, error, allowReconnect ?? false];
    case TYPE.ack: case TYPE.sequence: return [type, sequenceId];
    default:
      if (error !== undefined) return [type, headers, invocationId, 1, error];
      return result === undefined ? [type, headers, invocationId, 2] : [type, headers, invocationId, 3, result];
  }
}

function fromArray(array) {
  const [type, second, third, fourth, fifth] = array;
  switch (type) {
    case TYPE.invocation: return { type, ...(third === null ? {} : { invocationId: third }), target: fourth, arguments: fifth };
    case TYPE.streamItem: return { type, invocationId: third, item: fourth };
    case TYPE.completion: return { type, invocationId: third, ...[undefined, { error: fifth }, {}, { result: fifth }][fourth] };
    case TYPE.ping: return { type };
    case TYPE.close: return { type, ...(second === null ? {} : { error: second }), ...(third ? { allowReconnect: true } : {}) };
    case TYPE.ack: case TYPE.sequence: return { type, sequenceId: second };
    default: throw new Error(`a message that no client expects: ${JSON.stringify(array)}`);
  }
}

/** The handshake request. */
export function handshake(protocol = json, version = 1) {
  return record({ protocol: protocol.name, version });
}

class WebSocketLink {
  static async open(url, headers) {
    const { socket, status, text } = await upgrade(url, headers);
    if (!socket) throw new Error(`the WebSocket was refused with ${status} ${text}`);
    return new WebSocketLink(socket);
  }

  /** @param {import("./wire.mjs").WebSocketWire} socket */
  constructor(socket) {
    this.socket = socket;
    /** The opcode of each message received. @type {number[]} */
    this.opcodes = [];
    this.ended = socket.closed.then((frame) => ({ code: frame?.code, reason: frame?.reason }));
  }

  async listen(onunit) {
    for (let message = await this.socket.messages.next(); message; message = await this.socket.messages.next()) {
      this.opcodes.push(message.opcode);
      onunit(message.payload);
    }
  }

  async send(data) {
    this.socket.send(data);
  }

  cut() {
    this.socket.cut();
  }
}

/** The sending half that event streams and polls share. */
class Posts {
  constructor(url, headers) {
    this.url = url;
    this.headers = headers;
    this.sent = Promise.resolve(0);
  }

  /** Posts once everything before it has been answered; gives the status, or 0 for no answer. */
  async send(data) {
    this.sent = this.sent.then(() => ask(this.url, { method: "POST", headers: this.headers, body: data }).answer.then(({ status }) => status, () => 0));
    return this.sent;
  }
}

class EventsLink extends Posts {
  static async open(url, headers) {
    const { stream, status, text } = await EventStream.open(url, headers);
    if (!stream) throw new Error(`the event stream was refused with ${status} ${text}`);
    return new EventsLink(url, headers, stream);
  }

  /** @param {EventStream} stream */
  constructor(url, headers, stream) {
    super(url, headers);
    this.stream = stream;
    this.ended = stream.ended;
  }

  async listen(onunit) {
    for (let data = await this.stream.events.next(); data !== undefined; data = await this.stream.events.next()) {
      onunit(Buffer.from(data));
    }
  }

  cut() {
    this.stream.cut();
  }
}

class PollsLink extends Posts {
  static async open(url, headers) {
    const { status, text } = await within("the first poll is answered", ask(url, { headers }).answer);
    if (status !== 200) throw new Error(`the first poll was refused with ${status} ${text}`);
    return new PollsLink(url, headers);
  }

  constructor(url, headers) {
    super(url, headers);
    this.hasStopped = false;
    this.ended = new Promise((resolve) => (this.onended = resolve));
  }

  async listen(onunit) {
    let status = 200;
    while (status === 200 && !this.hasStopped) {
      this.poll = ask(this.url, { headers: this.headers });
      const answer = await this.poll.answer.catch(() => ({ status: 0, body: Buffer.alloc(0) }));
      status = answer.status;
      if (status === 200) onunit(answer.body);
    }
    this.onended({ status });
  }

  cut() {
    this.hasStopped = true;
    this.poll?.abort();
  }
}

const LINKS = { WebSockets: WebSocketLink, ServerSentEvents: EventsLink, LongPolling: PollsLink };

export class Hub {
  /**
   * Negotiates, opens the transport, and shakes hands. Without negotiation the id of the
   * connection is not known.
   *
   * @param {import("./test_server.mjs").TestServer} server
   * @param {{ path?: string, transport?: string, protocol?: typeof json, version?: number, query?: string,
   *   token?: string, headers?: Record<string, string>, isNegotiated?: boolean, hasHandshake?: boolean, isStateful?: boolean }} [options]
   */
  static async open(server, {
    path = "/testhub", transport = "WebSockets", protocol = json, version = 1, query = "",
    token, headers = {}, isNegotiated = true, hasHandshake = true, isStateful = false,
  } = {}) {
    const asked = [query, isStateful ? "useStatefulReconnect=true" : ""].filter(Boolean).join("&");
    const negotiated = isNegotiated ? (await server.negotiate(path, { query: asked, token })).json : {};
    const parameters = [query, isNegotiated ? `id=${negotiated.connectionToken}` : ""].filter(Boolean).join("&");
    const url = `${server.url}${path}${parameters && `?${parameters}`}`;
    const link = await LINKS[transport].open(url, { ...headers, ...bearer(token) });
    const hub = new Hub(server, link, protocol, negotiated.connectionId, url);
    if (hasHandshake) await hub.shakeHands(version);
    return hub;
  }

  constructor(server, link, protocol, id, url) {
    this.server = server;
    this.link = link;
    this.protocol = protocol;
    this.id = id;
    this.url = url;
    /** Every message but pings, in order; those that a test has taken too. @type {any[]} */
    this.log = [];
    /** When each ping arrived. @type {number[]} */
    this.pings = [];
    /** The units as they came. @type {Buffer[]} */
    this.units = [];
    /** @type {Inbox<any>} */
    this.inbox = new Inbox();
    this.lastId = 0;
    this.handshakeAnswer = new Promise((resolve) => (this.onhandshake = resolve));
    this.ended = Promise.all([link.ended, link.listen((unit) => this.#receive(unit))]).then(([how]) => {
      this.onhandshake?.(undefined);
      this.inbox.end();
      return how;
    });
  }

  #receive(unit) {
    this.units.push(unit);
    let rest = unit;
    if (this.onhandshake) {
      const end = unit.indexOf(RECORD_END);
      this.onhandshake(unit.subarray(0, end + 1).toString());
      this.onhandshake = undefined;
      rest = unit.subarray(end + 1);
    }
    for (const message of this.protocol.decode(rest)) {
      if (message.type === TYPE.ping) {
        this.pings.push(Date.now());
        continue;
      }
      this.log.push(message);
      this.inbox.push(message);
    }
  }

  /** Sends the handshake request, and takes its answer, which must be a success. */
  async shakeHands(version = 1) {
    await this.raw(handshake(this.protocol, version));
    const answer = await this.handshakeAnswered();
    if (answer !== `{}${RECORD_END}`) throw new Error(`the handshake was answered with ${answer}`);
  }

  /** The answer to the handshake as it came; undefined if the connection ended without one. */
  async handshakeAnswered() {
    return within("the handshake is answered", this.handshakeAnswer);
  }

  /** Sends bytes as they are. @param {string | Buffer} data */
  async raw(data) {
    return this.link.send(data);
  }

  /** Sends hub messages, all in one piece. */
  async write(...messages) {
    const encoded = messages.map((message) => this.protocol.encode(message));
    return this.raw(this.protocol === json ? encoded.join("") : Buffer.concat(encoded));
  }

  /** Calls a method without waiting for it; answers the invocation's id. */
  async call(target, args = [], extra = {}) {
    const invocationId = `${++this.lastId}`;
    await this.write({ type: TYPE.invocation, invocationId, target, arguments: args, ...extra });
    return extra.invocationId ?? invocationId;
  }

  /** Calls a streaming method; answers the invocation's id. */
  async stream(target, args = [], extra = {}) {
    return this.call(target, args, { type: TYPE.streamInvocation, ...extra });
  }

  /** Calls a method that is not answered. */
  async notify(target, ...args) {
    return this.write({ type: TYPE.invocation, target, arguments: args });
  }

  /** Calls a method and takes its Completion. */
  async invoke(target, ...args) {
    return this.completion(await this.call(target, args));
  }

  /** Calls a method that must succeed, and answers its result. */
  async result(target, ...args) {
    const completion = await this.invoke(target, ...args);
    if ("error" in completion) throw new Error(`${target}: ${completion.error}`);
    return completion.result;
  }

  /** Takes the first message that matches. */
  async take(what, matches, limitMs = undefined) {
    return this.inbox.take(what, matches, limitMs);
  }

  /** Takes the Completion of this invocation. @param {string} invocationId */
  async completion(invocationId) {
    return this.take(`the Completion of ${invocationId}`, (message) => message.type === TYPE.completion && message.invocationId === invocationId);
  }

  /** Takes a stream item of this invocation. @param {string} invocationId */
  async item(invocationId) {
    const message = await this.take(`an item of ${invocationId}`, (one) => one.type === TYPE.streamItem && one.invocationId === invocationId);
    return message.item;
  }

  /** Takes a call of this client method. @param {string} target */
  async called(target) {
    return this.take(`a call of ${target}`, (message) => message.type === TYPE.invocation && message.target === target);
  }

  /** Everything that has arrived when this text, sent from outside, has arrived too. @param {string} text */
  async mark(text) {
    await this.server.send(this.id, text);
    await this.take(`the mark ${text}`, (message) => message.target === "Send" && message.arguments[0] === text);
    return this.log;
  }

  /** How the connection ends: the Close message if there was one, and what the transport says of it. */
  async end(limitMs = undefined) {
    const how = await within("the connection ends", this.ended, limitMs);
    return { ...how, close: this.log.find(({ type }) => type === TYPE.close) };
  }

  /** Ends the transport as a client does that is gone. */
  cut() {
    this.link.cut();
  }
}
