/**
 * What goes over the wire, below SignalR: HTTP requests, a WebSocket, an event stream
 * and polls. The WebSocket is written by hand, so that wrong frames can be sent as well.
 */

import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import net from "node:net";

import { within } from "../waiting.mjs";
import { Inbox } from "./inbox.mjs";

/** One TCP connection per request, so that requests do not wait for each other. */
const agent = new http.Agent({ keepAlive: false, maxSockets: Infinity });

/** The byte that ends a JSON record. */
export const RECORD_END = "\x1e";

/** @typedef {{ status: number, headers: http.IncomingHttpHeaders, body: Buffer, text: string }} Answer */

/**
 * An HTTP request that can be abandoned before it is answered.
 *
 * @param {string} url
 * @param {{ method?: string, headers?: Record<string, string>, body?: string | Buffer }} [options]
 * @returns {{ answer: Promise<Answer>, abort: () => void }}
 */
export function ask(url, { method = "GET", headers = {}, body } = {}) {
  const length = body === undefined && method === "GET" ? {} : { "content-length": `${Buffer.byteLength(body ?? "")}` };
  const request = http.request(url, { method, agent, headers: { ...length, ...headers } });
  const answer = new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks = [];
      response.on("error", reject);
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => {
        const bytes = Buffer.concat(chunks);
        resolve({ status: response.statusCode, headers: response.headers, body: bytes, text: bytes.toString() });
      });
    });
  });
  // Whoever abandons a request does not look at its answer.
  answer.catch(() => {});
  request.end(body);
  return { answer, abort: () => request.destroy() };
}

/** Bytes sent and received on a TCP connection as they are. */
export class RawConnection {
  /** @param {string} url */
  static async open(url) {
    const { hostname, port } = new URL(url);
    const socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
    const connection = new RawConnection(socket);
    await within("the TCP connection is open", new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    }));
    return connection;
  }

  /** @param {net.Socket} socket */
  constructor(socket) {
    this.socket = socket;
    this.received = Buffer.alloc(0);
    this.onbytes = () => {};
    this.ended = new Promise((resolve) => socket.once("close", () => resolve(undefined)));
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      this.received = Buffer.concat([this.received, bytes]);
      this.onbytes();
    });
    socket.on("close", () => this.onbytes());
  }

  /** @param {string | Buffer} bytes */
  send(bytes) {
    this.socket.write(bytes);
  }

  /** What has been received, once this is true of it or the connection has ended. */
  async receive(what, isThere) {
    await within(what, new Promise((resolve) => {
      this.onbytes = () => (isThere(this.received) || this.socket.destroyed) && resolve(undefined);
      this.onbytes();
    }));
    return this.received;
  }

  /** Removes so many bytes from the front of what has been received. */
  consume(length) {
    const bytes = this.received.subarray(0, length);
    this.received = this.received.subarray(length);
    return bytes;
  }

  /** Reads one HTTP answer with a known length; none at all is status 0. */
  async answer() {
    const head = await this.receive("the head of an answer", (bytes) => bytes.includes("\r\n\r\n"));
    if (!head.includes("\r\n\r\n")) return { status: 0, headers: {}, text: "" };
    const lines = this.consume(head.indexOf("\r\n\r\n") + 4).toString("latin1").trimEnd().split("\r\n");
    const headers = Object.fromEntries(lines.slice(1).map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }));
    const status = Number(lines[0].split(" ")[1]);
    const length = status === 101 ? 0 : Number(headers["content-length"] ?? 0);
    await this.receive("the body of an answer", (bytes) => bytes.length >= length);
    return { status, headers, text: this.consume(length).toString() };
  }
}

/** The kinds of WebSocket frames. */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/**
 * Asks for a WebSocket.
 *
 * @param {string} url
 * @param {Record<string, string>} [headers]
 * @returns {Promise<{ status: number, headers: Record<string, string>, text: string, socket?: WebSocketWire }>}
 */
export async function upgrade(url, headers = {}) {
  const { pathname, search, host } = new URL(url);
  const key = randomBytes(16).toString("base64");
  const lines = [`GET ${pathname}${search} HTTP/1.1`];
  const all = { Host: host, Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, ...headers };
  for (const [name, value] of Object.entries(all)) lines.push(`${name}: ${value}`);
  const connection = await RawConnection.open(url);
  connection.send(`${lines.join("\r\n")}\r\n\r\n`);
  const answer = await connection.answer();
  if (answer.status !== 101) {
    connection.socket.destroy();
    return answer;
  }
  const expected = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  if (answer.headers["sec-websocket-accept"] !== expected) throw new Error("the server did not prove that it read the key");
  return { ...answer, socket: new WebSocketWire(connection) };
}

/** @typedef {{ fin: boolean, opcode: number, payload: Buffer }} Frame */

/** The client's end of a WebSocket. */
export class WebSocketWire {
  /** @param {RawConnection} connection */
  constructor(connection) {
    this.connection = connection;
    this.ended = connection.ended;
    /** Whole messages: their opcode, and their payload. @type {Inbox<{ opcode: number, payload: Buffer }>} */
    this.messages = new Inbox();
    /** @type {Inbox<Frame>} */
    this.pongs = new Inbox();
    /** The code and reason of the close frame, or undefined if the connection ended without one. */
    this.closed = new Promise((resolve) => (this.onclosed = resolve));
    /** Whether a close frame of the server is answered. */
    this.answersClose = true;
    this.hasSentClose = false;
    this.fragments = [];
    connection.onbytes = () => this.#read();
    this.#read();
  }

  /**
   * Sends one frame, right or wrong.
   *
   * @param {{ opcode?: number, payload?: string | Buffer, fin?: boolean, rsv?: number, masked?: boolean }} frame
   */
  sendFrame({ opcode = OPCODE.text, payload = "", fin = true, rsv = 0, masked = true }) {
    const bytes = Buffer.from(payload);
    const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
    const mask = masked ? randomBytes(4) : Buffer.alloc(0);
    const body = masked ? bytes.map((byte, index) => byte ^ mask[index % 4]) : bytes;
    this.connection.send(Buffer.concat([Buffer.from([first]), this.#length(bytes.length, masked), mask, body]));
  }

  #length(length, masked) {
    const flag = masked ? 0x80 : 0;
    if (length < 126) return Buffer.from([flag | length]);
    const head = Buffer.alloc(length < 0x10000 ? 3 : 9);
    head[0] = flag | (length < 0x10000 ? 126 : 127);
    if (length < 0x10000) head.writeUInt16BE(length, 1);
    else head.writeBigUInt64BE(BigInt(length), 1);
    return head;
  }

  /** Sends a message: text as a text frame, bytes as a binary one. @param {string | Buffer} data */
  send(data) {
    this.sendFrame({ opcode: typeof data === "string" ? OPCODE.text : OPCODE.binary, payload: data });
  }

  /** Sends a close frame; without a code its payload is empty. @param {number} [code] */
  close(code) {
    this.hasSentClose = true;
    this.sendFrame({ opcode: OPCODE.close, payload: code === undefined ? "" : Buffer.from([code >> 8, code & 0xff]) });
  }

  /** Ends the TCP connection without a close frame. */
  cut() {
    this.connection.socket.destroy();
  }

  #read() {
    for (let frame = this.#frame(); frame; frame = this.#frame()) this.#handle(frame);
    if (!this.connection.socket.destroyed) return;
    this.messages.end();
    this.pongs.end();
    this.onclosed(undefined);
  }

  /** The next frame, if it has arrived to its end. @returns {Frame | undefined} */
  #frame() {
    const bytes = this.connection.received;
    if (bytes.length < 2) return undefined;
    if (bytes[1] & 0x80) throw new Error("a frame of the server is masked");
    if (bytes[0] & 0x70) throw new Error("a frame of the server has a reserved bit");
    const short = bytes[1] & 0x7f;
    const head = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (bytes.length < head) return undefined;
    const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
    if (bytes.length < head + length) return undefined;
    const whole = this.connection.consume(head + length);
    return { fin: whole[0] >= 0x80, opcode: whole[0] & 15, payload: whole.subarray(head) };
  }

  /** @param {Frame} frame */
  #handle(frame) {
    if (frame.opcode === OPCODE.pong) return this.pongs.push(frame);
    if (frame.opcode === OPCODE.ping) return this.sendFrame({ opcode: OPCODE.pong, payload: frame.payload });
    if (frame.opcode !== OPCODE.close) {
      this.fragments.push(frame);
      if (!frame.fin) return undefined;
      const message = { opcode: this.fragments[0].opcode, payload: Buffer.concat(this.fragments.map(({ payload }) => payload)) };
      this.fragments = [];
      return this.messages.push(message);
    }
    // Nothing may follow a close frame.
    this.messages.end();
    const hasCode = frame.payload.length >= 2;
    this.onclosed({ code: hasCode ? frame.payload.readUInt16BE() : undefined, reason: frame.payload.subarray(2).toString() });
    if (!this.answersClose || this.hasSentClose) return undefined;
    this.hasSentClose = true;
    return this.sendFrame({ opcode: OPCODE.close, payload: frame.payload.subarray(0, 2) });
  }
}

/** The client's end of an event stream. */
export class EventStream {
  /**
   * Asks for an event stream; anything but status 200 is an answer without one.
   *
   * @param {string} url
   * @param {Record<string, string>} [headers]
   * @returns {Promise<{ status: number, headers: http.IncomingHttpHeaders, text: string, stream?: EventStream }>}
   */
  static async open(url, headers = {}) {
    const request = http.request(url, { agent, headers: { accept: "text/event-stream", ...headers } });
    const response = await within("the event stream is answered", new Promise((resolve, reject) => {
      request.once("error", reject);
      request.once("response", resolve);
      request.end();
    }));
    request.on("error", () => {});
    const { statusCode: status, headers: answered } = response;
    if (status === 200) return { status, headers: answered, text: "", stream: new EventStream(request, response) };
    const chunks = [];
    for await (const chunk of response) chunks.push(chunk);
    return { status, headers: answered, text: Buffer.concat(chunks).toString() };
  }

  /** @param {http.ClientRequest} request @param {http.IncomingMessage} response */
  constructor(request, response) {
    this.request = request;
    /** Everything that was received, as it was written. */
    this.text = "";
    this.parsed = 0;
    /** The data of each event. @type {Inbox<string>} */
    this.events = new Inbox();
    this.ended = new Promise((resolve) => response.once("close", () => resolve({ isWhole: response.complete })));
    response.on("error", () => {});
    response.setEncoding("utf8");
    response.on("data", (text) => {
      this.text += text;
      this.#parse();
    });
    response.once("close", () => this.events.end());
  }

  #parse() {
    for (let end = this.#endOfEvent(); end >= 0; end = this.#endOfEvent()) {
      const lines = this.text.slice(this.parsed, end).split("\r\n");
      this.parsed = end + 4;
      const data = lines.filter((line) => !line.startsWith(":"));
      const wrong = data.find((line) => !line.startsWith("data: "));
      if (wrong !== undefined) throw new Error(`a line of an event that is not data: ${wrong}`);
      if (data.length > 0) this.events.push(data.map((line) => line.slice("data: ".length)).join("\n"));
    }
  }

  #endOfEvent() {
    return this.text.indexOf("\r\n\r\n", this.parsed);
  }

  /** Drops the request. */
  cut() {
    this.request.destroy();
  }
}
