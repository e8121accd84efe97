/**
 * The feed of events: newest first, filtered by job or by contractor, and back to the
 * beginning of the log on demand.
 */

import { element, showText } from "../dom.js";
import { clock, clockSeconds, localDate, ownZone, shortDay } from "../time.js";
import { actorName, beforeAndAfter, eventWord } from "../words.js";
import { eventsBefore, isOf, isUndo } from "./event-history.js";
import { givenReason } from "./jobs.js";

/** @typedef {import("./jobs.js").JobEvent} JobEvent */
/** @typedef {import("./event-history.js").EventFilter} EventFilter */

/** Lines that are asked for at a time. */
const LINES_PER_PAGE = 100;

/** Lines that the feed keeps; what falls off at its end can be asked for again. */
const LINES_MAX = 1000;

export class EventFeed {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} empty shown while there are no lines
   * @param {object} source
   * @param {import("../words.js").Names} source.names
   * @param {import("../api.js").Api} source.api
   * @param {() => Iterable<{ id: string, name: string }>} source.contractors to choose from
   */
  constructor(list, empty, { names, api, contractors }) {
    this.list = list;
    this.empty = empty;
    this.names = names;
    this.api = api;
    this.contractors = contractors;
    /** In sequence order. @type {{ event: JobEvent, line: HTMLElement }[]} */
    this.lines = [];
    /** @type {EventFilter} */
    this.filter = {};
    /** The title of the job that the feed is about. */
    this.jobTitle = "";
    /** All of the filter from here on is in the feed; 1 is the beginning of the log. */
    this.reached = 1;
    /** The newest event that is known to be. */
    this.last = 0;
    /** What is asked for; an answer to what is not is late. */
    this.asking = 0;
    this.contractor = element("select", { "data-testid": "feed-contractor", "aria-label": "Events of" });
    this.contractor.addEventListener("change", () => void this.choose({ ...this.filter, contractorId: this.select.value || undefined }));
    this.contractor.addEventListener("focus", () => this.offer());
    this.job = element("button", { type: "button", class: "button quiet feed-job", "data-testid": "feed-job" });
    this.job.addEventListener("click", () => {
      void this.choose({ ...this.filter, jobId: undefined });
      this.contractor.focus();
    });
    this.older = element("button", { type: "button", class: "button feed-older", "data-testid": "feed-older", "data-for-feed": true }, "Show older events");
    this.older.addEventListener("click", () => void this.showOlder());
    this.problem = element("p", { class: "hint", role: "status", "data-testid": "feed-problem", "data-for-feed": true });
    this.place();
    this.show();
  }

  /** Puts the controls around the list, in place of a former user's. */
  place() {
    this.list.parentElement?.querySelectorAll("[data-for-feed]").forEach((old) => old.remove());
    this.list.replaceChildren();
    this.list.before(element("div", { class: "feed-tools", role: "group", "aria-label": "Filter events", "data-for-feed": true }, this.contractor, this.job));
    this.empty.after(this.problem, this.older);
    this.offer();
  }

  get select() {
    return /** @type {HTMLSelectElement} */ (this.contractor);
  }

  /** The contractors that can be chosen. */
  offer() {
    const { select } = this;
    const known = [...this.contractors()].sort((a, b) => a.name.localeCompare(b.name));
    const options = known.map(({ id, name }) => element("option", { value: id }, name));
    if (select.options.length === options.length + 1) return;
    select.replaceChildren(element("option", { value: "" }, "All contractors"), ...options);
    select.value = this.filter.contractorId ?? "";
  }

  /**
   * Starts anew: what is past ends with this sequence, and what follows is added.
   *
   * @param {number} sequence
   */
  begin(sequence) {
    this.last = sequence;
    this.offer();
    return this.choose(this.filter);
  }

  /** Shows the events of a job alone. @param {{ id: string, title: string }} job */
  showJob({ id, title }) {
    this.jobTitle = title;
    return this.choose({ ...this.filter, jobId: id });
  }

  /** @param {EventFilter} filter */
  async choose(filter) {
    this.filter = filter;
    this.asking += 1;
    this.lines = [];
    this.list.replaceChildren();
    this.reached = this.last + 1;
    this.offer();
    await this.showOlder();
  }

  /** Brings a page of what is before the oldest line. */
  async showOlder() {
    if (this.reached <= 1) return this.show();
    const asking = ++this.asking;
    this.show("Loading events…");
    try {
      const { events, reached } = await eventsBefore(this.api, this.filter, this.reached, LINES_PER_PAGE);
      if (asking !== this.asking) return;
      const hadFocus = document.activeElement === this.older;
      const oldest = this.lines[0]?.line;
      this.reached = reached;
      for (const event of [...events].reverse()) this.insert(event);
      this.markUndone();
      this.show();
      // Whoever asked by keyboard reads on where the new lines begin.
      if (hadFocus && this.older.hidden) /** @type {HTMLElement | null} */ ((oldest ?? this.list).querySelector("button") ?? this.list)?.focus();
    } catch {
      // The feed is a view back; the page lives without it.
      if (asking === this.asking) this.show("Older events cannot be loaded just now.");
    }
  }

  /**
   * Adds an event at its place; one that is there already changes nothing.
   *
   * @param {JobEvent} event
   */
  add(event) {
    this.last = Math.max(this.last, event.sequence);
    if (!isOf(event, this.filter) || event.sequence < this.reached) return;
    this.insert(event);
    while (this.lines.length > LINES_MAX) {
      this.lines.shift()?.line.remove();
      this.reached = this.lines[0].event.sequence;
    }
    this.markUndone(event.jobId);
    this.show(this.problem.textContent ?? "");
  }

  /** @param {JobEvent} event */
  insert(event) {
    let place = this.lines.length;
    while (place > 0 && this.lines[place - 1].event.sequence > event.sequence) place -= 1;
    if (this.lines[place - 1]?.event.sequence === event.sequence) return;
    const line = this.line(event);
    this.list.insertBefore(line, this.lines[place - 1]?.line ?? null);
    this.lines.splice(place, 0, { event, line });
  }

  /** Says which events take back the one before them. @param {string} [jobId] of this job alone */
  markUndone(jobId) {
    /** @type {Map<string, JobEvent>} */
    const former = new Map();
    for (const { event, line } of this.lines) {
      if (jobId && event.jobId !== jobId) continue;
      line.toggleAttribute("data-undo", isUndo(event, former.get(event.jobId)));
      former.set(event.jobId, event);
    }
  }

  /** @param {string} problem */
  show(problem = "") {
    showText(this.problem, problem || null);
    this.older.hidden = this.reached <= 1;
    this.empty.hidden = this.lines.length > 0 || problem !== "";
    this.empty.textContent = this.filter.jobId || this.filter.contractorId ? "No events of this kind." : "No events yet. They appear here the moment they happen.";
    this.job.hidden = !this.filter.jobId;
    this.job.textContent = `Only “${this.jobTitle}” ✕`;
    this.job.setAttribute("aria-label", `Show the events of all jobs, not only of ${this.jobTitle}`);
  }

  /** @param {JobEvent} event */
  line(event) {
    const { before, after } = beforeAndAfter(event, this.names);
    const moment = Date.parse(event.occurredAt);
    const isToday = localDate(moment, ownZone) === localDate(Date.now(), ownZone);
    const reason = givenReason(event);
    const title = element("button", { type: "button", class: "feed-open", "data-testid": "feed-open", title: "Show the events of this job alone" }, event.title);
    title.addEventListener("click", () => void this.showJob({ id: event.jobId, title: event.title }).then(() => this.job.focus()));
    return element(
      "li",
      { "data-testid": "feed-line", "data-type": event.type, "data-sequence": event.sequence },
      element(
        "p",
        { class: "feed-top" },
        element("time", { datetime: event.occurredAt }, isToday ? clockSeconds(moment) : `${shortDay(moment, ownZone)}, ${clock(moment)}`),
        element("span", { class: "feed-type" }, eventWord(event.type)),
        element("span", { class: "feed-undo" }, "undo"),
        element("span", { class: "dim" }, `by ${actorName(event)}`),
      ),
      element("p", { class: "feed-title" }, title, element("span", { class: "dim zone" }, ` ${event.timezone}`)),
      element(
        "p",
        { class: "feed-change" },
        before && element("s", {}, before),
        before && " → ",
        element("span", {}, after),
      ),
      reason && element("p", { class: "feed-reason" }, element("q", {}, reason)),
    );
  }
}
