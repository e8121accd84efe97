/**
 * One SignalR connection that never gives up. It knows the hub and its methods'
 * names, but not what they are about.
 *
 * The client's own automatic reconnect covers neither a failed first start nor a
 * server that sends the client away for good, so one loop here covers every case:
 * connect, prepare, be live, and after any end wait a little longer than last time.
 * After a sleep, or when the network is back, it does not wait: it tries at once, and
 * asks a connection that seems to be there whether it is.
 */

/** @type {typeof import("@microsoft/signalr")} */
const signalR = /** @type {any} */ (globalThis).signalR;

/**
 * `connecting` for the first time; `catching-up` while what was missed is loaded;
 * `live`; `reconnecting` after a loss; `offline` once several attempts have failed;
 * `refused` when the server will not have this user, `signed-out` when there is no token
 * any more; `closed` by the page itself.
 *
 * @typedef {"connecting" | "catching-up" | "live" | "reconnecting" | "offline" | "refused" | "signed-out" | "closed"} LiveState
 */

/**
 * @typedef {object} LiveStatus
 * @property {LiveState} state
 * @property {number} since when the page was last live, or began to try; in milliseconds
 * @property {unknown} error why the last attempt failed; null when none has
 */

/** @typedef {(method: string, ...args: any[]) => Promise<any>} Invoke */

const DELAY_MS_FIRST = 500;
const DELAY_MS_MAX = 15000;

/** After so many failed attempts, about three seconds, it is more than a hiccup. */
const ATTEMPTS_BEFORE_OFFLINE = 3;

/** How long a request of a connection that begins may take; a bad network loses some. */
const REQUEST_MS_MAX = 15000;

/** How often the clock is looked at, to notice that the machine has slept. */
const TICK_MS = 5000;

/** A timer that is so late was not only busy. A hidden page's timers are up to a minute late. */
const SLEEP_MS_MIN = 70000;

/** How long a connection that is asked whether it is alive may take. */
const PROBE_MS_MAX = 5000;

export class LiveConnection {
  /**
   * @param {object} options
   * @param {string} options.url
   * @param {() => Promise<string>} options.token asked for again at every attempt
   * @param {Record<string, (...args: any[]) => void>} options.handlers by hub method
   * @param {(invoke: Invoke) => Promise<void>} options.prepare
   *   runs after each connect, before the state is live; its failure is a failed attempt
   * @param {(invoke: Invoke) => Promise<unknown>} options.probe asks the server for as
   *   little as can be
   * @param {(error: unknown) => "refused" | "signed-out" | null} options.isFinal how it
   *   ends, if trying again makes no sense after this error
   * @param {(status: LiveStatus) => void} options.onStatus
   */
  constructor({ url, token, handlers, prepare, probe, isFinal, onStatus }) {
    this.prepare = prepare;
    this.probe = probe;
    this.isFinal = isFinal;
    this.onStatus = onStatus;
    /** @type {LiveStatus} */
    this.status = { state: "connecting", since: Date.now(), error: null };
    this.isClosed = false;
    this.wasLive = false;
    this.attempts = 0;
    this.isProbing = false;
    this.isRunning = false;
    /** Ends the wait before the next attempt. */
    this.hurry = () => {};
    this.hub = new signalR.HubConnectionBuilder()
      .withUrl(url, { accessTokenFactory: token, timeout: REQUEST_MS_MAX })
      // What goes wrong is told on the page.
      .configureLogging(signalR.LogLevel.None)
      .build();
    for (const [method, handler] of Object.entries(handlers)) this.hub.on(method, handler);
    /** @type {Invoke} */
    this.invoke = (method, ...args) => this.hub.invoke(method, ...args);
  }

  /** Runs until {@link close}, or until an error is final; then it may be run again. */
  async run() {
    if (this.isRunning || this.isClosed) return;
    this.isRunning = true;
    const watching = new AbortController();
    this.watch(watching.signal);
    try {
      while (!this.isClosed) {
        const ended = await this.once();
        if (this.isClosed) break;
        const end = ended ? this.isFinal(ended) : null;
        if (end) {
          this.isRunning = false;
          return this.report(end, ended);
        }
        await this.wait(ended);
      }
    } finally {
      this.isRunning = false;
      watching.abort();
    }
  }

  /**
   * Goes on with another token: on the connection that there is, or on another one if
   * the server cannot do that.
   *
   * @param {string} token
   */
  async renew(token) {
    if (this.status.state !== "live") return this.hurry();
    await this.invoke("RenewToken", token).catch(() => this.restart());
  }

  /** Ends the connection for good. */
  async close() {
    this.isClosed = true;
    this.status = { ...this.status, state: "closed" };
    this.hurry();
    await this.hub.stop();
  }

  /** Ends the connection, to begin anew at once. */
  async restart() {
    this.attempts = 0;
    this.hurry();
    await this.hub.stop().catch(() => {});
    this.hurry();
  }

  /**
   * Looks after what a page cannot be told: that the machine has slept, or that the
   * network is another one.
   *
   * @param {AbortSignal} signal
   */
  watch(signal) {
    let ticked = Date.now();
    const timer = setInterval(() => {
      const late = Date.now() - ticked - TICK_MS;
      ticked = Date.now();
      if (late > SLEEP_MS_MIN) this.wake();
    }, TICK_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    addEventListener("online", () => this.wake(), { signal });
    addEventListener("offline", () => this.wake(), { signal });
    addEventListener("pageshow", (event) => event.persisted && this.wake(), { signal });
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.wake(), { signal });
  }

  /** Tries at once, or finds out whether the connection that there is still works. */
  wake() {
    this.hurry();
    if (this.status.state !== "live" || this.isProbing) return;
    this.isProbing = true;
    const late = new Promise((_, reject) => setTimeout(reject, PROBE_MS_MAX));
    Promise.race([this.probe(this.invoke), late])
      .catch(() => (this.status.state === "live" ? this.restart() : undefined))
      .finally(() => (this.isProbing = false));
  }

  /**
   * One connection, from its start to its end.
   *
   * @returns {Promise<unknown>} why it could not be made; null when it was live and ended
   */
  async once() {
    /** @type {(value: null) => void} */
    let end = () => {};
    const ended = new Promise((resolve) => (end = resolve));
    // The client keeps every callback that it is given, so there is only one, which
    // ends whichever connection is the current one.
    if (!this.endCurrent) this.hub.onclose(() => this.endCurrent?.());
    this.endCurrent = () => end(null);
    try {
      await this.hub.start();
      if (this.isClosed) return null;
      this.report("catching-up", null);
      await this.prepare(this.invoke);
    } catch (error) {
      await this.hub.stop().catch(() => {});
      return error ?? new Error("the connection could not be made");
    }
    if (this.hub.state === signalR.HubConnectionState.Connected && !this.isClosed) {
      this.wasLive = true;
      this.attempts = 0;
      this.status.since = Date.now();
      this.report("live", null);
    }
    await ended;
    if (this.status.state === "live") this.status.since = Date.now();
    return null;
  }

  /** @param {unknown} error */
  async wait(error) {
    this.attempts += error ? 1 : 0;
    const isOffline = this.attempts >= ATTEMPTS_BEFORE_OFFLINE || !navigator.onLine;
    this.report(isOffline ? "offline" : this.wasLive ? "reconnecting" : "connecting", error);
    const delay = Math.min(DELAY_MS_FIRST * 2 ** this.attempts, DELAY_MS_MAX);
    // The jitter keeps a thousand pages from coming back in the same instant.
    const jittered = delay * (0.5 + Math.random() / 2);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, jittered);
      this.hurry = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
    this.hurry = () => {};
  }

  /** @param {LiveState} state @param {unknown} error */
  report(state, error) {
    if (this.isClosed) return;
    // While it tries again it stays what it was: only being live ends being offline.
    this.status = { state, since: this.status.since, error };
    this.onStatus(this.status);
  }
}
