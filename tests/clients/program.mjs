/** A program under test as a child process. */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { handled, within } from "./waiting.mjs";

/** Every program that runs; none of them may outlive these tests. @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

export class Program {
  /** @param {string} variable the environment variable that names the program */
  constructor(variable) {
    this.variable = variable;
    this.url = "";
    /** What it wrote to its standard error, from all its lives. */
    this.errors = "";
  }

  /**
   * Starts the program, and waits until it says that it is ready.
   *
   * @param {string[]} args
   * @param {NodeJS.ProcessEnv} env
   */
  async launch(args, env) {
    const program = process.env[this.variable];
    if (!program) throw new Error(`set ${this.variable} to the program under test`);
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    running.add(child);
    child.stderr.on("data", (bytes) => (this.errors += bytes));
    const exited = new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => resolve({ code, signal }));
    });
    this.exited = handled(exited.finally(() => running.delete(child)));
    const ended = this.exited.then(({ code }) => {
      throw new Error(`the program ended with ${code}: ${this.errors}`);
    });
    const ready = new Promise((resolve) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const match = /^\w+ ready on (https?:\/\/\S+)$/.exec(line);
        if (match) resolve(match[1]);
      });
    });
    try {
      this.url = await within("the program is ready", Promise.race([ready, ended]));
    } catch (error) {
      await this.dispose();
      throw error;
    }
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  /** Asks the program to stop; answers how it ended. */
  async stop() {
    this.child.kill("SIGTERM");
    return within("the program has stopped", this.exited);
  }

  /** Ends the program as a crash does. */
  async kill() {
    this.child.kill("SIGKILL");
    return within("the program is gone", this.exited);
  }

  /** Ends the program if it runs. */
  async dispose() {
    if (running.has(this.child)) await this.kill();
  }
}
