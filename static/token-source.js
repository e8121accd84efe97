/**
 * The token of a session: renewed before it ends, where it can be, and kept for as long
 * as it is good where it cannot.
 */

import { fetchPersonas, readClaims, sessionOf, sessionOfToken } from "./session.js";

/** @typedef {import("./session.js").Session} Session */

/** A token that ends so soon is treated as ended: it would not outlive the request. */
const EXPIRY_MARGIN_MS = 2000;

/** How long before its end a token is renewed: a tenth of its life, within these. */
const RENEWAL_MARGIN_MS_MIN = 5000;
const RENEWAL_MARGIN_MS_MAX = 120000;

/** The first pause after a renewal that failed, and the longest. */
const RETRY_MS_MIN = 2000;
const RETRY_MS_MAX = 30000;

/** How often it is looked at how long the token lasts: a timer would not count in a sleep. */
const TICK_MS = 1000;

const REQUEST_MS_MAX = 15000;

export class TokenSource {
  /**
   * @param {Session} session
   * @param {object} on
   * @param {() => void} on.renewed there is another token
   * @param {() => void} on.ended there is no token to be had any more; again after
   *   {@link resume}
   * @param {(endsInMs: number | null) => void} on.ending how long the token lasts, when it
   *   does not look as if there were another; null when it does again
   */
  constructor(session, on) {
    this.session = session;
    this.on = on;
    this.isEnded = false;
    /** Whether the server has refused the token before its time. */
    this.isRefused = false;
    /** @type {Promise<boolean> | null} */
    this.renewal = null;
    this.hasFailed = false;
    this.pauseMs = RETRY_MS_MIN;
    this.nextAt = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
    this.plan();
  }

  /** Whether there is somebody to ask for another token. */
  get isRenewable() {
    return this.session.personaId !== null || this.session.renewalUrl !== null;
  }

  /** Begins to look after the token. */
  start() {
    this.timer ??= setInterval(() => this.tick(), TICK_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** A token that should be good. @returns {Promise<string>} */
  async get() {
    const isOver = this.isRefused || Date.now() > this.session.expiresAt - EXPIRY_MARGIN_MS;
    if (this.isEnded || (isOver && !(await this.renew()))) throw new Error("the session has ended");
    return this.session.token;
  }

  /**
   * Gets another token for the same user; callers at the same time share one request.
   * False when there is none to be had: then the session is over. Fails when it cannot
   * be asked for.
   */
  renew() {
    this.renewal ??= this.fetchToken().finally(() => (this.renewal = null));
    return this.renewal;
  }

  /** Ends the session. */
  end() {
    if (this.isEnded) return;
    this.isEnded = true;
    this.stop();
    this.on.ended();
  }

  /** Goes on with another token of the same user. @param {Session} session */
  resume(session) {
    Object.assign(this.session, session);
    [this.isEnded, this.isRefused, this.hasFailed] = [false, false, false];
    this.plan();
    this.start();
    this.on.ending(null);
    this.on.renewed();
  }

  /** When to renew the token. */
  plan() {
    const { expiresAt } = this.session;
    const margin = Math.min(Math.max((expiresAt - Date.now()) / 10, RENEWAL_MARGIN_MS_MIN), RENEWAL_MARGIN_MS_MAX);
    // So that the pages that were opened together do not come together.
    this.nextAt = expiresAt - margin * (1 + Math.random() / 4);
    this.pauseMs = RETRY_MS_MIN;
  }

  tick() {
    const now = Date.now();
    const { expiresAt } = this.session;
    if (now > expiresAt && (!this.isRenewable || this.hasFailed)) return this.end();
    if (this.isRenewable && now > this.nextAt && !this.renewal) {
      this.nextAt = now + this.pauseMs;
      this.pauseMs = Math.min(this.pauseMs * 2, RETRY_MS_MAX);
      this.renew().catch(() => {});
    }
    this.on.ending(!this.isRenewable || this.hasFailed ? expiresAt - now : null);
  }

  async fetchToken() {
    if (this.isEnded) return false;
    try {
      const fresh = await this.ask();
      if (fresh) {
        Object.assign(this.session, fresh);
        [this.isRefused, this.hasFailed] = [false, false];
        this.plan();
        this.on.renewed();
        return true;
      }
    } catch (error) {
      this.hasFailed = true;
      throw error;
    }
    // As long as the token is good it is used.
    this.hasFailed = true;
    if (this.isRefused || Date.now() > this.session.expiresAt - EXPIRY_MARGIN_MS) this.end();
    return false;
  }

  /** @returns {Promise<Session | null>} null when there is no token for this user */
  async ask() {
    const { id, personaId, renewalUrl } = this.session;
    if (personaId) {
      const persona = (await fetchPersonas())?.find((one) => one.id === personaId);
      return persona ? sessionOf(persona) : null;
    }
    if (!renewalUrl) return null;
    const response = await fetch(renewalUrl, {
      method: "POST",
      // Whom it knows by a cookie of its own.
      credentials: "include",
      redirect: "error",
      headers: { Accept: "application/json" },
      signal: AbortSignal.timeout(REQUEST_MS_MAX),
    });
    if (response.status === 401 || response.status === 403) return null;
    if (!response.ok) throw new Error(`the renewal answered ${response.status}`);
    const { accessToken } = await response.json();
    // Nobody becomes somebody else without being asked.
    if (String(readClaims(String(accessToken)).sub) !== id) return null;
    return { ...sessionOfToken(String(accessToken)), renewalUrl };
  }
}
