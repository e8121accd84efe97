/** A TCP proxy that cuts WebSockets as a network does: without a close frame, anywhere in a frame. */

import { once } from "node:events";
import { connect, createServer } from "node:net";

import { deferred, within } from "../waiting.mjs";

const HEAD_END = Buffer.from("\r\n\r\n");

/** @typedef {{ bytes: number, ms: number, reset: boolean, half: boolean }} Fate when and how a socket ends */

export class CuttingProxy {
  /** @param {string} url where the server listens */
  static async start(url) {
    const proxy = new CuttingProxy(url);
    proxy.listener.listen(0, "127.0.0.1");
    await once(proxy.listener, "listening");
    return proxy;
  }

  constructor(url) {
    this.target = Number(new URL(url).port);
    /** Says when the next WebSocket ends; nothing for never. @type {() => Fate | undefined} */
    this.fate = () => undefined;
    this.isOpen = true;
    /** Whether what the server says on WebSockets is lost. */
    this.isDeaf = false;
    this.swallowed = 0;
    this.cuts = 0;
    this.webSockets = 0;
    this.bytes = { up: 0, down: 0 };
    this.midway = 0;
    /** @type {Set<Link>} */
    this.links = new Set();
    this.change = deferred();
    this.listener = createServer((client) => {
      if (this.isOpen) this.links.add(new Link(this, client));
      else client.destroy();
    });
  }

  get url() {
    return `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (this.listener.address()).port}`;
  }

  /** Cuts every WebSocket that there is. */
  cutAll() {
    for (const link of this.links) if (link.isWebSocket) link.cut({ reset: false, half: false });
  }

  /** Refuses new connections from here on, or takes them again. */
  open(isOpen) {
    this.isOpen = isOpen;
  }

  /** Resolves at the next cut, or when the next WebSocket has carried something. */
  next() {
    return within("the proxy cuts or connects", this.change.promise);
  }

  /** Resolves when so many WebSockets have carried something of the client's. */
  async whenWebSockets(count) {
    while (this.webSockets < count) await this.next();
  }

  announce() {
    const { resolve } = this.change;
    this.change = deferred();
    resolve();
  }

  dispose() {
    this.listener.close();
    for (const link of this.links) link.end();
  }
}

/** One client's connection and the one to the server that goes with it. */
class Link {
  /** @param {CuttingProxy} proxy @param {import("node:net").Socket} client */
  constructor(proxy, client) {
    this.proxy = proxy;
    this.client = client;
    this.server = connect(proxy.target, "127.0.0.1");
    this.isWebSocket = false;
    this.isCut = false;
    this.head = Buffer.alloc(0);
    this.answer = Buffer.alloc(0);
    /** @type {Fate | undefined} */
    this.fate = undefined;
    for (const [from, to, way] of /** @type {const} */ ([[client, this.server, "up"], [this.server, client, "down"]])) {
      from.setNoDelay(true);
      from.on("error", () => {});
      from.on("data", (chunk) => this.carry(chunk, to, way));
      from.on("end", () => to.end());
      from.on("close", () => this.closed());
    }
  }

  /** Passes a chunk on, or as much of it as the socket has left to live. */
  carry(chunk, to, way) {
    if (this.isCut) return;
    this.watch(chunk, way);
    if (this.proxy.isDeaf && way === "down" && this.isUsed) {
      this.proxy.swallowed += chunk.length;
      return;
    }
    this.proxy.bytes[way] += chunk.length;
    if (!this.fate || this.fate.bytes >= chunk.length) {
      if (this.fate) this.fate.bytes -= chunk.length;
      to.write(chunk);
      return;
    }
    this.proxy.midway += 1;
    const { reset, half } = this.fate;
    to.write(chunk.subarray(0, this.fate.bytes), () => this.cut({ reset, half }));
    this.isCut = true;
  }

  /**
   * Finds out whether this is a WebSocket, and gives it its fate once the client has
   * used it. Before that a client takes a cut for a refusal, and gives up.
   */
  watch(chunk, way) {
    if (way === "up" && !this.isWebSocket) {
      this.head = Buffer.concat([this.head, chunk]);
      this.isWebSocket = this.head.includes(HEAD_END) && /\r\nupgrade: websocket\r\n/i.test(this.head.toString("latin1"));
    } else if (way === "down" && this.isWebSocket && !this.isUpgraded) {
      this.answer = Buffer.concat([this.answer, chunk]);
      this.isUpgraded = this.answer.includes(HEAD_END);
    } else if (way === "up" && this.isUpgraded && !this.isUsed) {
      this.isUsed = true;
      this.proxy.webSockets += 1;
      this.proxy.announce();
      this.fate = this.proxy.fate();
      if (this.fate) this.timer = setTimeout(() => this.cut(this.fate), this.fate.ms);
    }
  }

  /** Ends the client's side, and the server's side now or, when only half is cut, at the next cut. */
  cut({ reset, half }) {
    if (this.isGone) return;
    this.isGone = this.isCut = true;
    clearTimeout(this.timer);
    for (const link of this.proxy.links) if (link.isGone && link !== this) link.server.destroy();
    if (reset) this.client.resetAndDestroy();
    else this.client.destroy();
    if (!half) this.server.destroy();
    this.proxy.cuts += 1;
    this.proxy.announce();
  }

  closed() {
    clearTimeout(this.timer);
    if (this.client.destroyed && this.server.destroyed) this.proxy.links.delete(this);
  }

  end() {
    clearTimeout(this.timer);
    this.client.destroy();
    this.server.destroy();
  }
}
