/** The timeline as a view of the board: which rows and bars there are, and how they look and read. */

import { element } from "../dom.js";
import { localDate, timeOfDay, windowText } from "../time.js";
import { changeWords, isOpen, statusWord } from "../words.js";
import { Axis } from "./axis.js";
import { firstDate, isFiltered, jobFilter, VIEW_DAYS } from "./filters.js";
import { isRecent, RECENT_MS } from "./recent.js";
import { addLoads, barsOf, rowsOf } from "./schedule.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("./filters.js").View} View */
/** @typedef {import("./jobs.js").JobEvent} JobEvent */
/** @typedef {import("./schedule.js").Bar} Bar */
/** @typedef {import("./schedule.js").Row} Row */

/** Looks of bars that are no longer shown, at most; beside twice as many as are shown. */
const LOOKS_KEPT = 500;

/** How often the line of the present moves. */
const NOW_MS = 20000;

/**
 * What the timeline shows.
 *
 * @typedef {object} ScheduleState
 * @property {"loading" | "failed" | "ready"} state
 * @property {string} failure
 * @property {View} view
 * @property {string} zone
 * @property {Job[]} jobs as they are shown: what the user has just changed counts as done
 * @property {import("../api.js").Contractor[]} contractors
 * @property {object} people another object whenever the contractors are others
 * @property {(job: Job) => JobEvent | undefined} changeOf
 * @property {import("../words.js").Names} names
 * @property {(job: Job) => boolean} isPending
 * @property {boolean} canChange
 */

export class ScheduleView {
  /**
   * @param {HTMLElement} root
   * @param {object} on
   * @param {() => void} on.retry
   * @param {() => void} on.clearFilter
   * @param {() => void} on.fade when something stops standing out
   */
  constructor(root, on) {
    this.root = root;
    this.on = on;
    this.notice = /** @type {HTMLElement} */ (root.querySelector(".schedule-state"));
    this.frame = /** @type {HTMLElement} */ (root.querySelector(".timeline"));
    this.timeline = new Timeline(this.frame);
    /** @type {Axis | null} */
    this.axis = null;
    /** Jobs that are in the way of what is being moved. @type {ReadonlySet<string>} */
    this.inTheWay = new Set();
    /** How bars looked, and what that came from. @type {Map<string, { from: unknown[], look: import("./bar.js").BarLook }>} */
    this.looks = new Map();
    /** The job that is being moved. */
    this.moving = "";
    /** Why the timeline itself cannot be drawn. */
    this.broken = "";
    /** @type {Promise<void> | null} */
    this.preparing = null;
    this.ticking = setInterval(() => this.timeline.moveNow(), NOW_MS);
    /** @type {number | undefined} */
    this.fading = undefined;
    /** @type {ScheduleState | null} */
    this.last = null;
  }

  /** The days that a view shows. @param {View} view @param {string} zone */
  axisOf(view, zone) {
    const today = localDate(Date.now(), zone);
    const made = { date: firstDate(view, today), days: VIEW_DAYS[view.view] ?? 1 };
    if (this.axis?.zone !== zone || this.axis.dates[0] !== made.date || this.axis.dates.length !== made.days) {
      this.axis = new Axis(made.date, made.days, zone);
    }
    return this.axis;
  }

  /** Draws the last state again, with what the user is doing. */
  redraw() {
    if (this.last) this.render(this.last);
  }

  /** Marks the jobs that are in the way of what is being moved. @param {string[]} ids */
  setInTheWay(ids) {
    if (ids.length === this.inTheWay.size && ids.every((id) => this.inTheWay.has(id))) return;
    this.inTheWay = new Set(ids);
    this.redraw();
  }

  /** @param {ScheduleState} state */
  render(state) {
    this.last = state;
    this.root.dataset.state = state.state;
    if (!this.timeline.dayPilot) this.prepare();
    if (state.state === "failed" || this.broken) return this.say(this.broken || state.failure, "The page keeps trying by itself.", ["Try again", this.on.retry]);
    if (state.state === "loading" || !this.timeline.dayPilot) return this.skeleton();
    const axis = this.axisOf(state.view, state.zone);
    const rows = rowsOf(state.contractors, state.view);
    addLoads(rows, state.jobs, axis);
    const passes = jobFilter(state.view, state.names);
    const bars = barsOf(state.jobs.filter(passes), axis, new Set(rows.map((row) => row.id)));
    if (rows.length === 0) return this.nobody(state);
    if (this.looks.size > 2 * bars.length + LOOKS_KEPT) this.looks.clear();
    this.scheduleFading(bars, state);
    this.sayEmpty(bars, state);
    this.frame.hidden = false;
    this.timeline.show({ axis, rows, bars, look: (bar) => this.look(bar, state), load: (row) => loadWords(row) });
  }

  prepare() {
    this.preparing ??= this.timeline
      .prepare()
      .then(() => (this.broken = ""), (error) => (this.broken = `${error.message}.`))
      .then(() => {
        this.preparing = null;
        this.redraw();
      });
  }

  /**
   * How a bar looks. Its words cost more than all else of a drawing, so they are found
   * anew only when what they say has changed.
   *
   * @param {Bar} bar
   * @param {ScheduleState} state
   * @returns {import("./bar.js").BarLook}
   */
  look(bar, state) {
    const { job } = bar;
    const change = state.changeOf(job);
    const made = this.looks.get(bar.id);
    const from = [
      job, change, state.zone, state.people, state.canChange, isRecent(change), state.isPending(job),
      state.view.job === job.id, this.moving === job.id, this.inTheWay.has(job.id),
    ];
    if (made && from.every((value, index) => value === made.from[index])) return made.look;
    const look = this.lookOf(bar, state, change);
    this.looks.set(bar.id, { from, look });
    return look;
  }

  /** @param {Bar} bar @param {ScheduleState} state @param {JobEvent | undefined} change @returns {import("./bar.js").BarLook} */
  lookOf(bar, state, change) {
    const { job } = bar;
    const others = job.contractorIds.filter((id) => id !== bar.rowId);
    const canMove = state.canChange && isOpen(job);
    return {
      title: job.title,
      status: job.status,
      time: timesIn(bar.start, bar.end, state.zone),
      others: others.length > 0 ? `with ${state.names(others)}` : "",
      change: change ? changeWords(change, state.names) : null,
      isRecent: isRecent(change),
      isPending: state.isPending(job),
      isOpen: state.view.job === job.id,
      isMoving: this.moving === job.id,
      isInTheWay: this.inTheWay.has(job.id),
      canMove,
      label: [
        `${job.title}, ${job.customer}`,
        `${statusWord(job.status)}${state.isPending(job) ? ", being saved" : ""}${this.inTheWay.has(job.id) ? ", in the way" : ""}`,
        `${windowText(bar.start, bar.end, state.zone)} (${state.zone})`,
        state.names(job.contractorIds),
        change && changeWords(change, state.names),
      ].filter(Boolean).join(". "),
    };
  }

  skeleton() {
    this.frame.hidden = true;
    this.notice.hidden = false;
    if (this.notice.dataset.kind === "loading") return;
    this.notice.dataset.kind = "loading";
    const lines = Array.from({ length: 8 }, () => element("div", { class: "ghost-row", "aria-hidden": true }, element("i"), element("b")));
    this.notice.replaceChildren(element("p", { class: "visually-hidden" }, "Loading jobs"), ...lines);
  }

  /** @param {string} text @param {string} hint @param {[string, () => void]} [action] */
  say(text, hint, action) {
    this.frame.hidden = true;
    this.note("said", text, hint, action);
  }

  /** @param {string} kind @param {string} text @param {string} hint @param {[string, () => void]} [action] */
  note(kind, text, hint, action) {
    this.notice.hidden = false;
    const key = JSON.stringify([kind, text, hint]);
    if (this.notice.dataset.kind === key) return;
    this.notice.dataset.kind = key;
    const button = action ? element("button", { type: "button", class: "button" }, action[0]) : null;
    if (button && action) button.addEventListener("click", action[1]);
    this.notice.replaceChildren(element("div", { class: "empty" }, element("p", {}, text), element("p", { class: "hint" }, hint), button));
  }

  /** @param {ScheduleState} state */
  nobody(state) {
    this.root.dataset.state = "empty";
    if (state.contractors.length === 0) return this.say("There are no contractors yet.", "They appear here with their first job.");
    this.say("No contractor matches the filters.", "The filters stand above.", ["Clear filters", this.on.clearFilter]);
  }

  /** @param {Bar[]} bars @param {ScheduleState} state */
  sayEmpty(bars, state) {
    this.root.dataset.state = bars.length === 0 ? "empty" : "ready";
    if (bars.length > 0) {
      this.notice.hidden = true;
      this.notice.dataset.kind = "";
    } else if (isFiltered(state.view)) {
      this.note("none", "No job of these days matches the filters.", "The rows below are still there to plan in.", ["Clear filters", this.on.clearFilter]);
    } else {
      this.note("none", "No jobs on these days.", "They appear here by themselves as soon as there are any.");
    }
  }

  /** @param {Bar[]} bars @param {ScheduleState} state */
  scheduleFading(bars, state) {
    clearTimeout(this.fading);
    let first = Infinity;
    for (const { job } of bars) {
      const end = Date.parse(state.changeOf(job)?.occurredAt ?? "") + RECENT_MS;
      if (end > Date.now() && end < first) first = end;
    }
    if (first < Infinity) this.fading = setTimeout(this.on.fade, Math.min(first - Date.now() + 50, RECENT_MS));
  }

  dispose() {
    clearInterval(this.ticking);
    clearTimeout(this.fading);
    this.timeline.dispose();
    this.notice.dataset.kind = "";
  }
}

/** Times of day alone where they say enough. @param {number} start @param {number} end @param {string} zone */
function timesIn(start, end, zone) {
  const isOneDay = localDate(start, zone) === localDate(end, zone);
  return isOneDay ? `${timeOfDay(start, zone)}–${timeOfDay(end, zone)}` : windowText(start, end, zone);
}

/** @param {Row} row */
function loadWords({ jobs, busyMs }) {
  return jobs === 0 ? "free" : `${jobs} ${jobs === 1 ? "job" : "jobs"}, ${Math.round(busyMs / 360000) / 10} h`;
}
