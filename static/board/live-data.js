/**
 * What the server has for this user, loaded and then kept up to date: the jobs, the
 * names of the contractors, the events. It knows when it is live, and shows nothing.
 *
 * It loads once, and follows from the load's last event on. After a loss it goes on
 * from the last event that it has; it loads anew only when the log does not reach back
 * that far, or when that is less work.
 */

import { Api, ApiError } from "../api.js";
import { LiveConnection } from "../connection.js";
import { remember } from "../session.js";
import { clock } from "../time.js";
import { TokenSource } from "../token-source.js";
import { Jobs } from "./jobs.js";
import { Presence } from "./presence.js";

/** @typedef {import("../api.js").Contractor} Contractor */
/** @typedef {import("../session.js").Session} Session */
/** @typedef {import("../connection.js").LiveStatus} LiveStatus */
/** @typedef {import("../connection.js").Invoke} Invoke */
/** @typedef {import("./jobs.js").JobEvent} JobEvent */

const EVENT_TYPES = ["JobCreated", "JobAssigned", "JobRescheduled", "JobCancelled"];

/** Events behind which a load is less work than to be told of each. */
const REPLAY_EVENTS_MAX = 2000;

/** Groups that one connection may be in. */
const GROUPS_MAX = 200;

/** How often who may see every region looks whether there is one more. */
const REGIONS_INTERVAL_MS = 15000;

/** Events, and pages of them, that are looked through for regions at a time. */
const LOOK_EVENTS = 500;
const LOOK_PAGES_MAX = 4;

/** How often the number of missed events that have come is told. */
const PROGRESS_INTERVAL_MS = 100;

/**
 * Where events go, one by one and in their order.
 *
 * @typedef {object} EventSink
 * @property {(event: JobEvent) => void} add
 * @property {(sequence: number) => unknown} begin what is there is void; all up to this
 *   sequence is past
 */

export class LiveData {
  /**
   * @param {Session} session
   * @param {object} on
   * @param {() => string | null} on.from from which moment on jobs are wanted; null for all
   * @param {() => void} on.change what is known has changed
   * @param {(event: JobEvent, isMissed: boolean) => void} on.event an event arrived, late if
   *   it was missed; what it says is known by now
   * @param {(status: LiveStatus) => void} on.status
   * @param {() => void} on.signedOut the token has ended, and there is no other
   * @param {(endsInMs: number | null) => void} on.signInEnding how long the sign-in lasts;
   *   null when it does not look as if it ended
   * @param {() => void} [on.presence] who looks at the same has changed
   */
  constructor(session, on) {
    this.session = session;
    this.on = on;
    /** What the user may see, by the token. */
    this.scope = scopeOf(session);
    /** Why the last load or connection failed, for people; empty when none has. */
    this.failure = "";
    this.isLoaded = false;
    /** Whether {@link sequence} says how far that is. */
    this.hasBegun = false;
    /** Up to here everything is known. */
    this.sequence = 0;
    /** Up to here it is known which regions there are. */
    this.lookedTo = 0;
    /** Missed events that have come since the connection was made. */
    this.caughtUp = 0;
    /** The next report of how many. @type {ReturnType<typeof setTimeout> | undefined} */
    this.progress = undefined;
    /** Whether the past of one more region is on its way, beside what is live. */
    this.isExtending = false;
    /** Events past {@link sequence} that are known, since they came meanwhile. @type {Set<number>} */
    this.known = new Set();
    /** The regions that are followed. @type {Set<string>} */
    this.regions = new Set();
    /** @type {Map<string, Contractor>} */
    this.contractors = new Map();
    /** The load of the contractors that is under way. @type {Promise<void> | null} */
    this.learning = null;
    this.tokens = new TokenSource(session, {
      renewed: () => this.renewed(),
      ended: () => this.signOut(),
      ending: on.signInEnding,
    });
    this.api = new Api(this.tokens);
    this.jobs = new Jobs({
      isMine: (job) => session.canDispatch || job.contractorIds.includes(session.contractorId ?? ""),
      fetchJob: (id) => this.fetchJob(id),
      onChange: on.change,
    });
    this.presence = new Presence(session, () => on.presence?.());
    /** @type {EventSink | null} */
    this.feed = null;
    this.connection = new LiveConnection({
      url: "/hub/dispatch",
      token: () => this.tokens.get(),
      handlers: {
        ...Object.fromEntries(EVENT_TYPES.map((type) => [type, (/** @type {JobEvent} */ event) => this.take(event)])),
        PresenceChanged: (presence) => this.presence.take(presence),
      },
      prepare: (invoke) => this.prepare(invoke),
      probe: (invoke) => invoke("Unsubscribe", { groups: [] }),
      isFinal: (error) => this.isFinal(error),
      onStatus: (status) => this.report(status),
    });
  }

  /** Begins, and goes on until {@link close}. */
  run() {
    this.tokens.start();
    this.regionsTimer = setInterval(() => void this.lookForRegions(), REGIONS_INTERVAL_MS);
    return this.connection.run();
  }

  close() {
    this.tokens.stop();
    clearInterval(this.regionsTimer);
    clearTimeout(this.progress);
    return this.connection.close();
  }

  /** Whether changes can be made just now. */
  get isLive() {
    return this.connection.status.state === "live" && !this.tokens.isEnded;
  }

  /** Goes on with another token of the same user. @param {Session} session */
  resume(session) {
    this.tokens.resume(session);
    void this.connection.run();
  }

  /** There is another token, which may say something else of the same user. */
  renewed() {
    remember(this.session);
    const scope = scopeOf(this.session);
    const isSame = scope === this.scope;
    this.scope = scope;
    if (isSame) return void this.connection.renew(this.session.token);
    this.hasBegun = false;
    void this.connection.restart();
  }

  /** What is known stays; the next attempt to connect is the last. */
  signOut() {
    void this.connection.restart();
    this.on.signedOut();
  }

  /** Why nothing can be changed just now, for people; null when it can. */
  get whyNot() {
    if (!this.session.canDispatch) return "Only dispatchers change jobs.";
    if (this.tokens.isEnded) return "Your sign-in has ended. Sign in again to make changes.";
    if (this.isLive) return null;
    const { state, since } = this.connection.status;
    if (state === "refused") return `The server refuses this. ${this.failure}`.trim();
    if (state === "catching-up") return "Changes are paused while what was missed is loaded.";
    if (state === "connecting") return "Changes are paused until the server is reached.";
    return `Changes are paused: there has been no connection since ${clock(since)}. They can be made as soon as it is live again.`;
  }

  /** @param {LiveStatus} status */
  report(status) {
    if (status.error) this.failure = failureWords(status.error);
    if (status.state !== "catching-up") this.caughtUp = 0;
    this.presence.setInvoke(status.state === "live" ? this.connection.invoke : null);
    this.on.status(status);
  }

  /**
   * Brings a connection from where the page stands to what happens next.
   *
   * @param {Invoke} invoke
   */
  async prepare(invoke) {
    if (!this.hasBegun || (await this.isFarBehind()) || !(await this.follow(invoke))) await this.begin(invoke);
    this.tokens.isRefused = false;
  }

  /** Whether so much was missed that a load is better. */
  async isFarBehind() {
    return (await this.api.lastSequence()) - this.sequence > REPLAY_EVENTS_MAX;
  }

  /** The groups that are followed. */
  get groups() {
    const { contractorId } = this.session;
    const own = contractorId ? [`contractor/${contractorId}`] : [];
    return [...own, ...[...this.regions].map((region) => `dispatch/${region}`)].slice(0, GROUPS_MAX);
  }

  /**
   * Goes on from the last event that is known. What is missing comes before the answer.
   *
   * @param {Invoke} invoke
   * @returns {Promise<boolean>} false when there is more missing than can be told
   */
  async follow(invoke) {
    const { groups } = this;
    if (groups.length === 0) return true;
    const { sequence, complete } = await invoke("Subscribe", { groups, after: this.sequence });
    if (!complete) {
      await invoke("Unsubscribe", { groups });
      return false;
    }
    this.sequence = Math.max(this.sequence, sequence);
    return true;
  }

  /** Loads everything, and follows from there. @param {Invoke} invoke */
  async begin(invoke) {
    const contractors = await this.learnContractors();
    const { jobs, sequence } = await this.load({ isFresh: true });
    const all = this.session.regions.includes("*");
    this.regions = new Set(all ? [...contractors, ...jobs].map((one) => one.region) : this.session.regions);
    [this.sequence, this.lookedTo, this.hasBegun] = [sequence, sequence, true];
    this.known.clear();
    this.caughtUp = 0;
    void this.feed?.begin(sequence);
    if (!(await this.follow(invoke))) throw new Error("the log is cut faster than it can be followed");
  }

  async learnContractors() {
    const contractors = await this.api.contractors();
    this.contractors = new Map(contractors.map((one) => [one.id, one]));
    return contractors;
  }

  /** @param {{ isFresh?: boolean }} [how] whether what was known is void: it may be of a
   *   database that is no more */
  async load({ isFresh = false } = {}) {
    const { regions, canDispatch } = this.session;
    const from = this.on.from();
    /** @type {Record<string, string>} */
    const time = from ? { from } : {};
    const filters = canDispatch && !regions.includes("*") ? regions.map((region) => ({ region, ...time })) : [time];
    const loads = await Promise.all(filters.map((filter) => this.api.jobs(filter)));
    const jobs = loads.flatMap((one) => one.jobs);
    const sequence = loads.length > 0 ? Math.min(...loads.map((one) => one.sequence)) : await this.api.lastSequence();
    this.isLoaded = true;
    this.failure = "";
    if (isFresh) this.jobs.clear();
    this.jobs.load(jobs, sequence);
    return { jobs, sequence };
  }

  /** Loads anew, for another time. */
  async reload() {
    try {
      await this.load();
    } catch (error) {
      this.failure = failureWords(error);
      this.on.change();
    }
  }

  /**
   * Follows regions that have come into being, for one who may see all of them: nobody
   * is told of the first event of a region that nobody follows.
   */
  async lookForRegions() {
    if (!this.isLive || this.isExtending || !this.session.regions.includes("*")) return;
    try {
      const regions = new Set((await this.learnContractors()).map((one) => one.region));
      for (let page = 0; page < LOOK_PAGES_MAX; page += 1) {
        const events = await this.api.events({ after: this.lookedTo, limit: LOOK_EVENTS });
        for (const event of events) regions.add(event.region);
        this.lookedTo = events.at(-1)?.sequence ?? this.lookedTo;
        if (events.length < LOOK_EVENTS) break;
      }
      for (const region of regions) {
        if (!this.regions.has(region)) await this.extend(region);
      }
    } catch {
      // The connection's state tells what is wrong; the next look comes.
    }
  }

  /**
   * Follows one more region. Its past comes beside what is live: until it is there, the
   * last event that came does not say that all before it have.
   *
   * @param {string} region
   */
  async extend(region) {
    const { jobs, sequence } = await this.api.jobs({ region });
    for (const job of jobs) this.jobs.apply(job);
    this.isExtending = true;
    try {
      await this.connection.invoke("Subscribe", { groups: [`dispatch/${region}`], after: sequence });
      this.regions.add(region);
      this.sequence = Math.max(this.sequence, ...this.known);
      this.known.clear();
      this.on.change();
    } finally {
      this.isExtending = false;
    }
  }

  /** @param {JobEvent} event */
  take(event) {
    if (this.isExtending) {
      this.known.add(event.sequence);
    } else {
      if (event.sequence <= this.sequence) return;
      this.sequence = event.sequence;
      if (this.known.delete(event.sequence)) return;
    }
    const isMissed = this.connection.status.state === "catching-up";
    if (isMissed) {
      this.caughtUp += 1;
      this.progress ??= setTimeout(() => {
        this.progress = undefined;
        this.on.status(this.connection.status);
      }, PROGRESS_INTERVAL_MS);
    }
    this.feed?.add(event);
    this.jobs.applyEvent(event);
    this.on.event(event, isMissed);
    // A dispatcher may see every name of the region, so one that is missing is new.
    if (this.session.canDispatch && event.contractorIds.some((id) => !this.contractors.has(id))) {
      this.learning ??= this.learnContractors()
        .then(this.on.change, () => {})
        .finally(() => (this.learning = null));
    }
  }

  /** @param {string} id */
  async fetchJob(id) {
    try {
      return await this.api.job(id);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null;
      throw error;
    }
  }

  /** How it ends, if trying to connect again makes no sense. @param {unknown} error */
  isFinal(error) {
    if (this.tokens.isEnded) return "signed-out";
    if (isUnauthenticated(error)) {
      // The first time the token may only have aged; a fresh one that is refused as
      // well is the end.
      if (this.tokens.isRefused) this.tokens.end();
      this.tokens.isRefused = true;
      return this.tokens.isEnded ? "signed-out" : null;
    }
    return isForbidden(error) ? "refused" : null;
  }

  /** The contractors' names, for people. */
  names = (/** @type {string[]} */ ids) => {
    const named = ids.map((id) => this.contractors.get(id)?.name ?? "another contractor");
    return named.join(", ") || "nobody assigned";
  };
}

/** @param {Session} session */
function scopeOf({ regions, contractorId }) {
  return JSON.stringify([[...regions].sort(), contractorId]);
}

/** Why nothing could be loaded, for people. @param {unknown} error */
function failureWords(error) {
  if (isForbidden(error)) return "The server refuses to show you these jobs.";
  if (error instanceof ApiError && error.code === "store_unavailable") return "The server cannot read its jobs right now.";
  if (error instanceof ApiError && error.status > 0) return `The server could not answer: ${error.message}.`;
  return "The server cannot be reached.";
}

/** The SignalR client tells a refused token by its text alone. @param {unknown} error */
function isUnauthenticated(error) {
  return error instanceof ApiError ? error.status === 401 : /Status code '401'/.test(String(error));
}

/** @param {unknown} error */
function isForbidden(error) {
  return error instanceof ApiError ? error.status === 403 : error instanceof Error && error.message.startsWith("forbidden:");
}
