/** The SignalR test server as a child process: an example of this project with nothing but hubs. */

import { Program } from "../program.mjs";

export class TestServer extends Program {
  /**
   * Starts the server that SIGNALR_TEST_SERVER names, and waits until it is ready.
   *
   * @param {...string} flags
   */
  static async start(...flags) {
    const server = new TestServer(flags);
    await server.#listen(0);
    return server;
  }

  /** @param {string[]} flags */
  constructor(flags) {
    super("SIGNALR_TEST_SERVER");
    this.flags = flags;
  }

  /** @param {number} port */
  async #listen(port) {
    await this.launch(["--listen", `127.0.0.1:${port}`, ...this.flags], { RUST_LOG: "warn", ...process.env });
  }

  /** Brings a server that has ended back, on the port that it had. */
  async revive() {
    await this.#listen(this.port);
  }
}
