/**
 * What the server has for this user, loaded and then kept up to date: the jobs, the
 * names of the contractors, the events. It knows when it is live, and shows nothing.
 */

import { Api, ApiError } from "../api.js";
import { LiveConnection } from "../connection.js";
import { TokenSource } from "../session.js";
import { Jobs } from "./jobs.js";

/** @typedef {import("../api.js").Contractor} Contractor */
/** @typedef {import("../session.js").Session} Session */
/** @typedef {import("../connection.js").LiveStatus} LiveStatus */
/** @typedef {import("./jobs.js").JobEvent} JobEvent */

const EVENT_TYPES = ["JobCreated", "JobAssigned", "JobRescheduled", "JobCancelled"];

/**
 * Where events go, one by one and in their order.
 *
 * @typedef {object} EventSink
 * @property {number} sequence the newest event's; 0 without any
 * @property {number} linesMax how many it keeps
 * @property {(event: JobEvent) => void} add
 * @property {() => void} clear what follows does not continue what is there
 */

export class LiveData {
  /**
   * @param {Session} session
   * @param {object} on
   * @param {() => string | null} on.from from which moment on jobs are wanted; null for all
   * @param {() => void} on.change what is known has changed
   * @param {(event: JobEvent) => void} on.event an event arrived; what it says is known by now
   * @param {(status: LiveStatus) => void} on.status
   * @param {() => void} on.signedOut the token has ended, and there is no other
   */
  constructor(session, on) {
    this.session = session;
    this.on = on;
    /** Why the last load or connection failed, for people; empty when none has. */
    this.failure = "";
    this.isLoaded = false;
    /** @type {Map<string, Contractor>} */
    this.contractors = new Map();
    /** The load of the contractors that is under way. @type {Promise<void> | null} */
    this.learning = null;
    this.tokens = new TokenSource(session, on.signedOut);
    this.api = new Api(this.tokens);
    this.jobs = new Jobs({
      isMine: (job) => session.canDispatch || job.contractorIds.includes(session.contractorId ?? ""),
      fetchJob: (id) => this.fetchJob(id),
      onChange: on.change,
    });
    /** @type {EventSink | null} */
    this.feed = null;
    this.connection = new LiveConnection({
      url: "/hub/dispatch",
      token: () => this.tokens.get(),
      handlers: Object.fromEntries(EVENT_TYPES.map((type) => [type, (/** @type {JobEvent} */ event) => this.take(event)])),
      prepare: (invoke) => this.prepare(invoke),
      isFinal: (error) => this.isFinal(error),
      onStatus: (status) => {
        if (status.error) this.failure = failureWords(status.error);
        on.status(status);
      },
    });
  }

  /** Whether changes can be made just now. */
  get isLive() {
    return this.connection.status.state === "live";
  }

  /**
   * Joins first and loads then: what happens in between arrives as an event, and the
   * versions tell which of the two is newer.
   *
   * @param {(method: string, ...args: any[]) => Promise<any>} invoke
   */
  async prepare(invoke) {
    const { contractorId } = this.session;
    if (contractorId) await invoke("JoinContractorGroup", contractorId);
    const contractors = await this.learnContractors();
    const all = this.session.regions.includes("*");
    const joined = new Set(all ? contractors.map((one) => one.region) : this.session.regions);
    for (const region of joined) await invoke("JoinDispatchGroup", region);
    let { jobs, sequence } = await this.load();
    if (all) {
      // Who sees every region learns their names from what there is.
      const more = new Set(jobs.map((job) => job.region).filter((region) => !joined.has(region)));
      for (const region of more) await invoke("JoinDispatchGroup", region);
      if (more.size > 0) ({ sequence } = await this.load());
    }
    await this.fillFeed(sequence);
    this.tokens.isRefused = false;
  }

  async learnContractors() {
    const contractors = await this.api.contractors();
    this.contractors = new Map(contractors.map((one) => [one.id, one]));
    return contractors;
  }

  async load() {
    const { regions, canDispatch } = this.session;
    const from = this.on.from();
    /** @type {Record<string, string>} */
    const time = from ? { from } : {};
    const filters = canDispatch && !regions.includes("*") ? regions.map((region) => ({ region, ...time })) : [time];
    const loads = await Promise.all(filters.map((filter) => this.api.jobs(filter)));
    const jobs = loads.flatMap((one) => one.jobs);
    const sequence = Math.min(...loads.map((one) => one.sequence));
    this.isLoaded = true;
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

  /** Brings the feed up to date; after a loss, also what was missed meanwhile. @param {number} sequence */
  async fillFeed(sequence) {
    const { feed } = this;
    if (!feed) return;
    const after = Math.max(0, sequence - feed.linesMax);
    const last = feed.sequence;
    const events = await this.api.events(after, feed.linesMax).catch((error) => {
      // The feed is a view back; a server that has none still has live events.
      if (error instanceof ApiError && error.status === 404) return [];
      throw error;
    });
    // With a hole in between, the old lines would read as if nothing had happened.
    if (last > 0 && last < after) feed.clear();
    for (const event of events) {
      feed.add(event);
      // Live events come after those of the first load; what is newer than the last
      // line was missed while the page was away, and is marked like a live change.
      if (last > 0 && event.sequence > last) this.jobs.applyEvent(event);
    }
  }

  /** @param {JobEvent} event */
  take(event) {
    this.feed?.add(event);
    this.jobs.applyEvent(event);
    this.on.event(event);
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

  /** Whether to stop trying to connect after this error. @param {unknown} error */
  isFinal(error) {
    if (this.tokens.isEnded) return true;
    if (isUnauthenticated(error)) {
      // The first time the token may only have aged; a fresh one that is refused as
      // well is the end.
      if (this.tokens.isRefused) this.tokens.end();
      this.tokens.isRefused = true;
      return this.tokens.isEnded;
    }
    return isForbidden(error);
  }

  /** The contractors' names, for people. */
  names = (/** @type {string[]} */ ids) => {
    const named = ids.map((id) => this.contractors.get(id)?.name ?? "another contractor");
    return named.join(", ") || "nobody assigned";
  };
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
