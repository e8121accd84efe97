/**
 * The page of a contractor, made for a phone: the next job first, then today and the days
 * that follow, each change as before and after. It only looks; nothing of it is kept when
 * the tab is closed, since it names customers and addresses.
 */

import { ConnectionLine } from "../connection-line.js";
import { arrange, byId, element, showText } from "../dom.js";
import { SessionNotice } from "../session-notice.js";
import { dayHeading, knownZone, localDate, ownZone } from "../time.js";
import { jobCard, takenCard } from "./contractor-card.js";
import { OwnEvents, planOf } from "./contractor-plan.js";
import { eventsBefore } from "./event-history.js";
import { LiveData } from "./live-data.js";

/** @typedef {import("../session.js").Session} Session */
/** @typedef {import("../connection.js").LiveStatus} LiveStatus */
/** @typedef {import("../api.js").Job} Job */

/** Hours before now from which jobs are loaded: today's midnight in every zone lies within. */
const FROM_HOURS = 48;

/** Events that are looked through for what has changed. */
const EVENTS_MAX = 200;

/** Events of a busy moment are shown together. */
const RENDER_DELAY_MS = 30;

/** How often it is looked whether another job is the next, or another day is today. */
const CLOCK_INTERVAL_MS = 30000;

export class ContractorPage {
  /**
   * @param {Session} session
   * @param {object} on
   * @param {import("../session.js").SignInPages} on.pages
   * @param {(why: string | null) => void} on.end
   * @param {(session: Session) => void} on.switchTo somebody else has signed in
   */
  constructor(session, { pages, end, switchTo }) {
    this.session = session;
    this.onEnd = end;
    this.listening = new AbortController();
    this.root = byId("contractor-page");
    this.list = byId("visits");
    this.contractorId = session.contractorId ?? "";
    this.events = new OwnEvents(this.contractorId);
    /** What was drawn of each card. @type {Map<string, { drawn: string, card: HTMLElement }>} */
    this.cards = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.sections = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.rendering = undefined;
    this.line = new ConnectionLine("contractor-age");
    this.notice = new SessionNotice(pages, this.listening.signal);
    this.notice.onSession = (another) => {
      if (another.id === session.id) return this.data.resume({ ...another, renewalUrl: session.renewalUrl });
      this.onEnd = () => switchTo(another);
      this.end(null);
    };
    this.data = new LiveData(session, {
      from: () => new Date(Date.now() - FROM_HOURS * 3600000).toISOString(),
      change: () => this.changed(),
      event: (event) => this.announce(event),
      status: (status) => this.showStatus(status),
      signedOut: () => this.signedOut(),
      signInEnding: (endsInMs) => this.notice.ending(endsInMs),
    });
    this.data.feed = {
      add: (event) => this.events.add(event),
      begin: (sequence) => this.learnEvents(sequence),
    };
  }

  open() {
    byId("account-name").textContent = this.session.name;
    byId("account-scope").textContent = "Contractor";
    byId("account").hidden = false;
    this.root.hidden = false;
    this.ticking = setInterval(() => this.render(), CLOCK_INTERVAL_MS);
    this.showStatus(this.data.connection.status);
    void this.data.run();
  }

  /** The token has ended: what is there stays, but there may be nothing yet. */
  signedOut() {
    if (!this.data.isLoaded) return this.end("Your sign-in has expired. Please sign in again.");
    this.notice.ended();
    this.showStatus(this.data.connection.status);
  }

  /** @param {string | null} why */
  end(why) {
    if (this.listening.signal.aborted) return;
    this.listening.abort();
    clearTimeout(this.rendering);
    clearInterval(this.ticking);
    this.line.dispose();
    void this.data.close();
    this.list.replaceChildren();
    this.root.hidden = true;
    byId("account").hidden = true;
    this.onEnd(why);
  }

  /** What has changed before the page was opened. @param {number} sequence */
  async learnEvents(sequence) {
    this.events.clear();
    try {
      const { events } = await eventsBefore(this.data.api, { contractorId: this.contractorId }, sequence + 1, EVENTS_MAX);
      events.forEach((event) => this.events.add(event));
      this.changed();
    } catch {
      // What happens from here on comes all the same.
    }
  }

  /** @param {LiveStatus} status */
  showStatus(status) {
    if (this.listening.signal.aborted) return;
    const { caughtUp, failure, isLoaded } = this.data;
    this.line.show(status, { caughtUp, why: failure, isLoaded, consequence: "" });
    this.render();
  }

  /** Says a change to those who do not see it. @param {import("./jobs.js").JobEvent} event */
  announce(event) {
    byId("announcer").textContent = `${event.title}: ${{ JobCreated: "new job", JobAssigned: "assigned anew", JobRescheduled: "rescheduled", JobCancelled: "cancelled" }[event.type]}`;
    this.changed();
  }

  changed() {
    this.rendering ??= setTimeout(() => this.render(), RENDER_DELAY_MS);
  }

  render() {
    clearTimeout(this.rendering);
    this.rendering = undefined;
    if (this.listening.signal.aborted) return;
    const now = Date.now();
    const { isLoaded, failure } = this.data;
    const { next, days } = planOf([...this.data.jobs.byId.values()], now);
    const taken = this.events.takenAway(now).filter((event) => !this.data.jobs.byId.has(event.jobId));
    this.root.dataset.state = isLoaded ? "ready" : failure ? "failed" : "loading";
    const text = isLoaded ? (days.length > 0 ? null : "No jobs today or later. They appear here as soon as you get one.") : failure ? `${failure} It is tried again by itself.` : "Loading your jobs…";
    showText(byId("contractor-empty"), text);
    const drawn = new Set();
    const cards = (/** @type {Job[]} */ jobs) => jobs.map((job) => this.card(job, drawn));
    const sections = [];
    if (next) sections.push(this.section("next", "Next", dayOf(next, now), cards([next])));
    if (taken.length > 0) sections.push(this.section("taken", "Taken from you", null, taken.map(takenCard)));
    for (const { date, jobs } of days) {
      const rest = jobs.filter((job) => job !== next);
      const { name, day } = dayHeading(date, localDate(now, knownZone(jobs[0].timezone)));
      if (rest.length > 0) sections.push(this.section(date, name ?? day, name ? day : null, cards(rest)));
    }
    arrange(this.list, sections);
    for (const id of this.cards.keys()) if (!drawn.has(id)) this.cards.delete(id);
  }

  /** @param {string} key @param {string} title @param {string | null} more @param {HTMLElement[]} cards */
  section(key, title, more, cards) {
    let section = this.sections.get(key);
    if (!section) {
      section = element("section", { "data-day": key }, element("h2", {}, element("strong"), " ", element("span", { class: "dim" })), element("ul", { class: "visits" }));
      this.sections.set(key, section);
    }
    showText(/** @type {HTMLElement} */ (section.querySelector("h2 strong")), title);
    showText(/** @type {HTMLElement} */ (section.querySelector("h2 span")), more);
    arrange(/** @type {Element} */ (section.lastElementChild), cards);
    return section;
  }

  /** The card of a job: drawn anew only when it is not what it was. @param {Job} job @param {Set<string>} drawn */
  card(job, drawn) {
    drawn.add(job.id);
    const changes = this.events.changesOf(job.id);
    const text = JSON.stringify([job, changes.map((event) => event.sequence), localDate(Date.now(), ownZone)]);
    const known = this.cards.get(job.id);
    if (known?.drawn === text) return known.card;
    const card = jobCard(job, changes, { contractorId: this.contractorId, copy });
    if (known) card.dataset.recent = "";
    this.cards.set(job.id, { drawn: text, card });
    return card;
  }
}

/** The day of a job at its site: `Today, Tuesday 24 November`. @param {Job} job @param {number} now */
function dayOf(job, now) {
  const zone = knownZone(job.timezone);
  const { name, day } = dayHeading(localDate(Date.parse(job.startUtc), zone), localDate(now, zone));
  return name ? `${name}, ${day}` : day;
}

/** Whether the text could be copied: a browser may refuse. @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
