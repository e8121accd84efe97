/**
 * Wires the page: who is signed in, the jobs, the connection, and the views.
 *
 * Below it, `session` knows users, `api` and `connection` the server, `jobs` what is
 * so; `job-list`, `event-feed`, `change-dialog` and `sign-in` show it. None of these
 * knows this file.
 */

import { Api, ApiError } from "./api.js";
import { CancelDialog, RescheduleDialog } from "./change-dialog.js";
import { LiveConnection } from "./connection.js";
import { byId, showText } from "./dom.js";
import { EventFeed, FEED_LINES_MAX } from "./event-feed.js";
import { JobList } from "./job-list.js";
import { Jobs } from "./jobs.js";
import { forget, remember, remembered, sessionOf, sessionOfToken, TokenSource } from "./session.js";
import { SignIn } from "./sign-in.js";
import { clock } from "./time.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./connection.js").LiveStatus} LiveStatus */
/** @typedef {import("./jobs.js").JobEvent} JobEvent */

const EVENT_TYPES = ["JobCreated", "JobAssigned", "JobRescheduled", "JobCancelled"];

/** Events of a busy moment are shown together: drawing each would take longer than reading it. */
const RENDER_DELAY_MS = 30;

/** Hours before now from which jobs are loaded: yesterday's midnight in every zone lies within. */
const COMING_FROM_HOURS = 48;

class Board {
  /** @param {Session} session @param {(why: string | null) => void} onEnd */
  constructor(session, onEnd) {
    this.session = session;
    this.onEnd = onEnd;
    this.failure = "";
    this.isLoaded = false;
    this.isLive = false;
    /** @type {number | undefined} */
    this.rendering = undefined;
    /** @type {Map<string, string>} */
    this.contractorNames = new Map();
    /** The load of the names that is under way. @type {Promise<void> | null} */
    this.learning = null;
    this.listening = new AbortController();
    this.tokens = new TokenSource(session, () => this.end("Your sign-in has expired. Please sign in again."));
    this.api = new Api(this.tokens);
    this.jobs = new Jobs({
      isMine: (job) => session.canDispatch || job.contractorIds.includes(session.contractorId ?? ""),
      fetchJob: (id) => this.fetchJob(id),
      onChange: () => this.changed(),
    });
    this.feed = new EventFeed(byId("feed"), byId("feed-empty"), this.names);
    const desk = { jobs: this.jobs, api: this.api, announce };
    this.reschedule = new RescheduleDialog(byId("reschedule"), desk);
    this.cancel = new CancelDialog(byId("cancel"), desk);
    this.list = new JobList(byId("jobs-list"), byId("jobs-count"), {
      reschedule: (job) => this.reschedule.open(job),
      cancel: (job) => this.cancel.open(job),
      clearFilter: () => {
        byId("filter").value = "";
        byId("filter").focus();
        this.render();
      },
      fade: () => this.changed(),
    });
    this.connection = new LiveConnection({
      url: "/hub/dispatch",
      token: () => this.tokens.get(),
      handlers: Object.fromEntries(EVENT_TYPES.map((type) => [type, (/** @type {JobEvent} */ event) => this.take(event)])),
      prepare: (invoke) => this.prepare(invoke),
      isFinal: (error) => this.isFinal(error),
      onStatus: (status) => this.showStatus(status),
    });
  }

  open() {
    const { signal } = this.listening;
    byId("filter").addEventListener("input", () => this.render(), { signal });
    byId("period").addEventListener("change", () => void this.changePeriod(), { signal });
    byId("account-name").textContent = this.session.name;
    byId("account-scope").textContent = scopeText(this.session);
    byId("account").hidden = false;
    byId("board").hidden = false;
    byId("connection").hidden = false;
    this.showStatus(this.connection.status);
    void this.connection.run();
  }

  /** @param {string | null} why */
  end(why) {
    if (this.listening.signal.aborted) return;
    this.listening.abort();
    clearTimeout(this.rendering);
    this.reschedule.dispose();
    this.cancel.dispose();
    this.list.clear();
    void this.connection.close();
    for (const id of ["account", "board", "connection"]) byId(id).hidden = true;
    this.onEnd(why);
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
    const contractors = await this.learnNames();
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

  async learnNames() {
    const contractors = await this.api.contractors();
    this.contractorNames = new Map(contractors.map((one) => [one.id, one.name]));
    return contractors;
  }

  async load() {
    const { regions, canDispatch } = this.session;
    const from = new Date(Date.now() - COMING_FROM_HOURS * 3600000).toISOString();
    /** @type {Record<string, string>} */
    const time = byId("period").value === "coming" ? { from } : {};
    const filters = canDispatch && !regions.includes("*") ? regions.map((region) => ({ region, ...time })) : [time];
    const loads = await Promise.all(filters.map((filter) => this.api.jobs(filter)));
    const jobs = loads.flatMap((one) => one.jobs);
    const sequence = Math.min(...loads.map((one) => one.sequence));
    this.isLoaded = true;
    this.jobs.load(jobs, sequence);
    return { jobs, sequence };
  }

  /** Brings the feed up to date; after a loss, also what was missed meanwhile. @param {number} sequence */
  async fillFeed(sequence) {
    const after = Math.max(0, sequence - FEED_LINES_MAX);
    const last = this.feed.sequence;
    const events = await this.api.events(after, FEED_LINES_MAX).catch((error) => {
      // The feed is a view back; a server that has none still has live events.
      if (error instanceof ApiError && error.status === 404) return [];
      throw error;
    });
    // With a hole in between, the old lines would read as if nothing had happened.
    if (last > 0 && last < after) this.feed.clear();
    for (const event of events) {
      this.feed.add(event);
      // Live events come after those of the first load; what is newer than the last
      // line was missed while the page was away, and is marked like a live change.
      if (last > 0 && event.sequence > last) this.jobs.applyEvent(event);
    }
  }

  /** @param {JobEvent} event */
  take(event) {
    this.feed.add(event);
    this.jobs.applyEvent(event);
    // A dispatcher may see every name of the region, so one that is missing is new.
    if (this.session.canDispatch && event.contractorIds.some((id) => !this.contractorNames.has(id))) {
      this.learning ??= this.learnNames()
        .then(() => this.changed(), () => {})
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

  async changePeriod() {
    this.isLoaded = false;
    this.render();
    try {
      await this.load();
    } catch (error) {
      this.failure = failureWords(error);
      this.render();
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

  /** @param {LiveStatus} status */
  showStatus(status) {
    if (this.listening.signal.aborted) return;
    const target = byId("connection");
    target.dataset.state = status.state;
    showText(target, statusWords(status));
    this.isLive = status.state === "live";
    this.failure = status.error ? failureWords(status.error) : this.failure;
    showText(byId("paused"), this.pausedText(status));
    this.reschedule.setLive(this.isLive);
    this.cancel.setLive(this.isLive);
    this.render();
  }

  /** @param {LiveStatus} status */
  pausedText(status) {
    if (!this.isLoaded || status.state === "live" || status.state === "connecting") return null;
    const [since, noChanges] = [clock(status.since), this.session.canDispatch ? " Changes are paused until it is live again." : ""];
    if (status.state === "catching-up") return `Loading what was missed.${noChanges}`;
    return `What you see is as of ${since} and may be out of date.${noChanges}`;
  }

  changed() {
    clearTimeout(this.rendering);
    this.rendering = setTimeout(() => this.render(), RENDER_DELAY_MS);
  }

  render() {
    if (this.listening.signal.aborted) return;
    this.reschedule.update();
    this.cancel.update();
    this.list.render({
      state: this.isLoaded ? "ready" : this.failure ? "failed" : "loading",
      failure: this.failure,
      jobs: [...this.jobs.byId.values()],
      changeOf: (job) => this.jobs.changeOf(job),
      names: this.names,
      canChange: this.session.canDispatch,
      isLive: this.isLive,
      filter: byId("filter").value,
      period: byId("period").value,
    });
  }

  /** The contractors' names, for people. */
  names = (/** @type {string[]} */ ids) => {
    const named = ids.map((id) => this.contractorNames.get(id) ?? "another contractor");
    return named.join(", ") || "nobody assigned";
  };
}

/** @param {Session} session */
function scopeText(session) {
  if (!session.canDispatch) return "Contractor";
  return `Dispatcher · ${session.regions.includes("*") ? "all regions" : session.regions.join(", ") || "no region"}`;
}

/** @param {LiveStatus} status */
function statusWords({ state, since }) {
  switch (state) {
    case "connecting":
      return "Connecting…";
    case "catching-up":
      return "Catching up…";
    case "live":
      return "Live";
    case "reconnecting":
      return `Reconnecting since ${clock(since)}`;
    case "offline":
      return `Offline since ${clock(since)}`;
    case "refused":
      return "Refused";
    default:
      return "Closed";
  }
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

/** Says it to those who cannot see it. @param {string} text */
function announce(text) {
  byId("announcer").textContent = text;
}

/** @type {Board | null} */
let board = null;

const signIn = new SignIn(enter);

/** @param {Session} session */
function enter(session) {
  remember(session);
  const url = new URL(location.href);
  if (session.personaId) url.searchParams.set("persona", session.personaId);
  else url.searchParams.delete("persona");
  history.replaceState(null, "", url);
  signIn.hide();
  board = new Board(session, leave);
  board.open();
}

/** @param {string | null} why */
function leave(why) {
  board = null;
  forget();
  history.replaceState(null, "", location.pathname);
  void signIn.show(why);
}

/** Goes on as whoever used this tab, or asks. */
async function start() {
  const { personaId, token } = remembered();
  if (!personaId && token) {
    try {
      return enter(sessionOfToken(token));
    } catch {
      return signIn.show("Your sign-in has expired. Please sign in again.");
    }
  }
  const personas = await signIn.show(null);
  const persona = personas?.find((one) => one.id === personaId);
  if (persona) enter(sessionOf(persona));
}

/** On a phone, one of the two panels is shown at a time. @param {"jobs" | "feed"} panel */
function showPanel(panel) {
  byId("board").dataset.panel = panel;
  byId("show-jobs").setAttribute("aria-pressed", String(panel === "jobs"));
  byId("show-feed").setAttribute("aria-pressed", String(panel === "feed"));
}

byId("show-jobs").addEventListener("click", () => showPanel("jobs"));
byId("show-feed").addEventListener("click", () => showPanel("feed"));
byId("sign-out").addEventListener("click", () => board?.end(null));
void start();
