/** The SignalR test server as a child process: an example of this project with nothing but hubs. */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { within } from "../waiting.mjs";

export class TestServer {
  /**
   * Starts the server that SIGNALR_TEST_SERVER names, and waits until it is ready.
   *
   * @param {...string} flags
   */
  static async start(...flags) {
    const server = new TestServer(flags);
    await server.#launch(0);
    return server;
  }

  /** @param {string[]} flags */
  constructor(flags) {
    this.flags = flags;
    this.url = "";
    this.errors = "";
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  async #launch(port) {
    const program = process.env.SIGNALR_TEST_SERVER;
    if (!program) throw new Error("set SIGNALR_TEST_SERVER to the test server's program");
    const child = spawn(program, ["--listen", `127.0.0.1:${port}`, ...this.flags], {
      env: { RUST_LOG: "warn", ...process.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    this.exited = new Promise((resolve, reject) => {
      child.on("exit", (code, signal) => resolve({ code, signal }));
      child.on("error", reject);
    });
    child.stderr.on("data", (bytes) => (this.errors += bytes));
    const ready = new Promise((resolve) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const match = /^signalr_test_server ready on (http:\/\/\S+)$/.exec(line);
        if (match) resolve(match[1]);
      });
    });
    const ended = this.exited.then(({ code }) => {
      throw new Error(`the test server ended with ${code}: ${this.errors}`);
    });
    this.url = await within("the test server is ready", Promise.race([ready, ended]));
  }

  get isRunning() {
    return this.child?.exitCode === null && this.child?.signalCode === null;
  }

  /** Asks the server to stop; answers how it ended. */
  async stop() {
    this.child.kill("SIGTERM");
    return within("the test server has stopped", this.exited);
  }

  /** Ends the server as a crash does. */
  async kill() {
    this.child.kill("SIGKILL");
    return within("the test server is gone", this.exited);
  }

  /** Brings a server that has ended back, on the port that it had. */
  async revive() {
    await this.#launch(this.port);
  }

  /** Ends the server if it runs. */
  async dispose() {
    if (this.isRunning) await this.kill();
  }
}
