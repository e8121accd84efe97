/**
 * The board of one user: wires what the server has to the views, from signing in to
 * signing out.
 *
 * Below it, `live-data` knows the server and `jobs` what is so; `job-list`,
 * `event-feed` and `change-dialog` show it. None of these knows this file.
 */

import { byId, showText } from "../dom.js";
import { clock } from "../time.js";
import { CancelDialog, RescheduleDialog } from "./change-dialog.js";
import { EventFeed } from "./event-feed.js";
import { JobList } from "./job-list.js";
import { LiveData } from "./live-data.js";

/** @typedef {import("../session.js").Session} Session */
/** @typedef {import("../connection.js").LiveStatus} LiveStatus */

/** Events of a busy moment are shown together: drawing each would take longer than reading it. */
const RENDER_DELAY_MS = 30;

/** Hours before now from which jobs are loaded: yesterday's midnight in every zone lies within. */
const COMING_FROM_HOURS = 48;

export class Board {
  /** @param {Session} session @param {(why: string | null) => void} onEnd */
  constructor(session, onEnd) {
    this.session = session;
    this.onEnd = onEnd;
    /** @type {number | undefined} */
    this.rendering = undefined;
    this.listening = new AbortController();
    this.data = new LiveData(session, {
      from: () => (byId("period").value === "coming" ? new Date(Date.now() - COMING_FROM_HOURS * 3600000).toISOString() : null),
      change: () => this.changed(),
      event: () => {},
      status: (status) => this.showStatus(status),
      signedOut: () => this.end("Your sign-in has expired. Please sign in again."),
    });
    const { jobs, api, names } = this.data;
    this.data.feed = new EventFeed(byId("feed"), byId("feed-empty"), names);
    const desk = { jobs, api, announce };
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
    this.showStatus(this.data.connection.status);
    void this.data.connection.run();
  }

  /** @param {string | null} why */
  end(why) {
    if (this.listening.signal.aborted) return;
    this.listening.abort();
    clearTimeout(this.rendering);
    this.reschedule.dispose();
    this.cancel.dispose();
    this.list.clear();
    void this.data.connection.close();
    for (const id of ["account", "board", "connection"]) byId(id).hidden = true;
    this.onEnd(why);
  }

  async changePeriod() {
    this.data.isLoaded = false;
    this.render();
    await this.data.reload();
  }

  /** @param {LiveStatus} status */
  showStatus(status) {
    if (this.listening.signal.aborted) return;
    const target = byId("connection");
    target.dataset.state = status.state;
    showText(target, statusWords(status));
    showText(byId("paused"), this.pausedText(status));
    this.reschedule.setLive(this.data.isLive);
    this.cancel.setLive(this.data.isLive);
    this.render();
  }

  /** @param {LiveStatus} status */
  pausedText(status) {
    if (!this.data.isLoaded || status.state === "live" || status.state === "connecting") return null;
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
    const { data } = this;
    this.reschedule.update();
    this.cancel.update();
    this.list.render({
      state: data.isLoaded ? "ready" : data.failure ? "failed" : "loading",
      failure: data.failure,
      jobs: [...data.jobs.byId.values()],
      changeOf: (job) => data.jobs.changeOf(job),
      names: data.names,
      canChange: this.session.canDispatch,
      isLive: data.isLive,
      filter: byId("filter").value,
      period: byId("period").value,
    });
  }
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

/** Says it to those who cannot see it. @param {string} text */
function announce(text) {
  byId("announcer").textContent = text;
}
