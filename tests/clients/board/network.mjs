/** A bad network between a page and its server: it can be slow, silent, or gone. */

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Network {
  /** @param {{ url: string }} server */
  static async before(server) {
    const network = new Network(Number(new URL(server.url).port));
    network.listener = createServer((near) => network.join(near));
    network.listener.listen(0, "127.0.0.1");
    await once(network.listener, "listening");
    network.url = `http://127.0.0.1:${network.listener.address().port}`;
    return network;
  }

  /** @param {number} port */
  constructor(port) {
    this.port = port;
    /** @type {Set<import("node:net").Socket>} */
    this.sockets = new Set();
    /** Those on which nothing arrives. @type {WeakSet<import("node:net").Socket>} */
    this.silent = new WeakSet();
    this.isGone = false;
    /** How long each piece of an answer takes. */
    this.delayMs = 0;
  }

  /** @param {import("node:net").Socket} near */
  join(near) {
    if (this.isGone) return near.destroy();
    const far = connect(this.port, "127.0.0.1");
    for (const socket of [near, far]) {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("error", () => {});
    }
    this.carry(near, far);
    this.carry(far, near);
  }

  carry(from, to) {
    from.on("data", (bytes) => {
      if (this.silent.has(from)) return;
      if (this.delayMs > 0) setTimeout(() => to.destroyed || to.write(bytes), this.delayMs);
      else to.write(bytes);
    });
    from.on("close", () => to.destroy());
  }

  /** On the connections that there are nothing arrives any more, and nobody is told: as
   *  after a sleep. */
  silence() {
    for (const socket of this.sockets) this.silent.add(socket);
  }

  /** Every connection is cut, and none is taken. */
  leave() {
    this.isGone = true;
    for (const socket of this.sockets) socket.destroy();
  }

  /** Connections are taken again. */
  comeBack() {
    this.isGone = false;
  }

  close() {
    this.leave();
    this.listener.close();
  }
}
