/** A server under test whose leftovers are looked for: its own numbers, and what the kernel says of its process. */

import { readFile, readdir } from "node:fs/promises";

import { TestServer } from "../../conformance/test_server.mjs";
import { until } from "../../waiting.mjs";

/** How often an idle server is looked at to see what it has without connections. */
const LOOKS = 10;

/** @typedef {{ descriptors: number, threads: number }} Process */

export class WatchedServer {
  /** @param {Record<string, number>} flags */
  static async start(flags) {
    const server = new WatchedServer(await TestServer.start(flags));
    try {
      // The first answer says that every worker has started.
      await server.http.counts();
      server.idle = await server.#lowest();
    } catch (error) {
      await server.dispose();
      throw error;
    }
    return server;
  }

  /** @param {TestServer} http */
  constructor(http) {
    this.http = http;
    /** What the process has when nobody is connected. @type {Process} */
    this.idle = { descriptors: 0, threads: 0 };
  }

  get #directory() {
    return `/proc/${this.http.child.pid}`;
  }

  /** @returns {Promise<Process>} */
  async #process() {
    const [descriptors, threads] = await Promise.all(["fd", "task"].map((name) => readdir(`${this.#directory}/${name}`)));
    return { descriptors: descriptors.length, threads: threads.length };
  }

  /** The fewest descriptors of some looks: the one that asked first may still be about to go. */
  async #lowest() {
    let [looks, lowest] = [0, await this.#process()];
    await until("some looks at the process", async () => {
      const now = await this.#process();
      if (now.descriptors < lowest.descriptors) lowest = now;
      return ++looks === LOOKS;
    });
    return lowest;
  }

  /** Resident memory. */
  async residentMiB() {
    const status = await readFile(`${this.#directory}/status`, "utf8");
    return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)[1]) / 1024);
  }

  /** Waits until every connection is gone, apart from calls that run on. */
  async connectionsGone(limitMs) {
    await this.#seen("connections are left", () => this.http.counts(), ({ tasks, ...rest }) => Object.values(rest).every((count) => count === 0), limitMs);
  }

  /** Waits until nothing is left: by the server's own numbers, and by the kernel's. */
  async asBefore(limitMs) {
    const end = Date.now() + limitMs;
    await this.#seen("something is left", () => this.http.counts(), (counts) => Object.values(counts).every((count) => count === 0), limitMs);
    // Asking is a connection too, so here nobody asks.
    const { descriptors, threads } = this.idle;
    await this.#seen(
      `the idle process has ${JSON.stringify(this.idle)}, this one more`, () => this.#process(),
      (now) => now.descriptors <= descriptors && now.threads <= threads, Math.max(end - Date.now(), 2000),
    );
  }

  /** Looks until it is right; the failure says what was seen last. */
  async #seen(wrong, look, isRight, limitMs) {
    let last;
    await until(wrong, async () => isRight((last = await look())), limitMs).catch((error) => {
      throw new Error(`${wrong} after ${limitMs} ms: ${JSON.stringify(last ?? error.message)}`);
    });
  }

  /** Whether it has said that something in it broke. */
  get complaint() {
    return this.http.errors.includes("panicked") ? this.http.errors : undefined;
  }

  async dispose() {
    await this.http.dispose();
  }
}

/** Servers with the same flags, each lent to one borrower at a time. */
export class Pool {
  /** @param {Record<string, number>} flags @param {number} size */
  constructor(flags, size) {
    this.flags = flags;
    /** @type {Promise<WatchedServer>[]} */
    this.free = Array.from({ length: size }, () => WatchedServer.start(flags));
    /** @type {((server: Promise<WatchedServer>) => void)[]} */
    this.waiting = [];
    this.free.forEach((server) => server.catch(() => {}));
  }

  /** Lends a server; one that fails its borrower is not lent again. @template T @param {(server: WatchedServer) => Promise<T>} use */
  async lend(use) {
    const server = await (this.free.pop() ?? new Promise((resolve) => this.waiting.push(resolve)));
    let next = Promise.resolve(server);
    try {
      return await use(server);
    } catch (error) {
      await server.dispose();
      next = WatchedServer.start(this.flags);
      next.catch(() => {});
      throw error;
    } finally {
      const waiting = this.waiting.shift();
      if (waiting) waiting(next);
      else this.free.push(next);
    }
  }

  /** The servers that are here. */
  async all() {
    return Promise.all(this.free);
  }
}
