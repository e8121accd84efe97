/** The server under test as a child process, its controls, and what it is asked outside of SignalR. */

import { Program } from "../program.mjs";
import { until, within } from "../waiting.mjs";
import { ask } from "./wire.mjs";

export class TestServer extends Program {
  /**
   * Starts the server and waits until it is ready.
   *
   * @param {Record<string, number | true>} [flags] by name without the dashes; `true` for one without a value
   * @param {{ log?: string }} [options]
   */
  static async start(flags = {}, { log = "warn" } = {}) {
    const args = Object.entries(flags).flatMap(([name, value]) => (value === true ? [`--${name}`] : [`--${name}`, `${value}`]));
    const server = new TestServer("SIGNALR_TEST_SERVER");
    await server.launch(["--listen", "127.0.0.1:0", ...args], { ...process.env, RUST_LOG: log });
    return server;
  }

  /** An HTTP request to a path of this server. @param {string} path */
  async request(path, options = {}) {
    return within(`${options.method ?? "GET"} ${path} is answered`, ask(this.url + path, options).answer);
  }

  /** A test control that must succeed. @param {string} path */
  async control(method, path, body = undefined) {
    const answer = await this.request(path, { method, body });
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer;
  }

  /** The live numbers of the server. */
  async counts() {
    return JSON.parse((await this.control("GET", "/counts")).text);
  }

  /** Which hooks of a connection have run. @param {string} connectionId */
  async hooks(connectionId) {
    return JSON.parse((await this.control("GET", `/hooks/${connectionId}`)).text);
  }

  /** The hooks of a connection, once its disconnected hook has run. @param {string} connectionId */
  async disconnected(connectionId) {
    return until(`the disconnected hook of ${connectionId} has run`, async () => {
      const hooks = await this.hooks(connectionId);
      return hooks.disconnected ? hooks : undefined;
    });
  }

  /** Lets the calls that wait at this gate go on. @param {string} gate */
  async release(gate) {
    await this.control("POST", `/release/${gate}`);
  }

  /** Sends `Send(text)` to a connection, from outside of any call. */
  async send(connectionId, text) {
    await this.control("POST", `/send/${connectionId}`, text);
  }

  /** Sends `Number(i)` to a connection for each number. */
  async numbers(connectionId, from, to) {
    await this.control("POST", `/numbers/${connectionId}?from=${from}&to=${to}`);
  }

  /** A token of this user. @param {string} user */
  async token(user = "testuser", seconds = 600) {
    return (await this.control("GET", `/generateJwtToken?user=${user}&seconds=${seconds}`)).text;
  }

  /**
   * What a negotiation is answered with.
   *
   * @param {string} hub
   * @param {{ version?: string | number | null, query?: string, token?: string }} [options] a version of null sends none
   */
  async negotiate(hub = "/testhub", { version = 1, query = "", token } = {}) {
    const parameters = [version === null ? "" : `negotiateVersion=${version}`, query].filter(Boolean).join("&");
    const path = `${hub}/negotiate${parameters && `?${parameters}`}`;
    const answer = await this.request(path, { method: "POST", headers: bearer(token) });
    return { ...answer, json: answer.text.startsWith("{") ? JSON.parse(answer.text) : undefined };
  }
}

/** The header that carries a token, or none. @param {string} [token] */
export function bearer(token) {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}
