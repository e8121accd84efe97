/** The job that is open: what is known of it, what became of it, and what can be done with it. */

import { element } from "../dom.js";
import { clock, durationText, knownZone, localDate, ownZone, shortDay, windowText } from "../time.js";
import { actorName, beforeAndAfter, eventWord, isOpen } from "../words.js";
import { statusBadge } from "./bar.js";
import { givenReason } from "./jobs.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("./jobs.js").JobEvent} JobEvent */

/**
 * @typedef {object} PanelState
 * @property {string | null} id the job that is to be open
 * @property {Job | undefined} job what is known of it
 * @property {boolean} isLoaded whether all jobs are known by now
 * @property {boolean} isMissing whether the server has no such job for this user
 * @property {string} zone the board's
 * @property {import("../words.js").Names} names
 * @property {boolean} canChange
 * @property {string | null} whyNot why nothing can be changed just now
 * @property {string[]} others who have it open as well
 */

export class JobPanel {
  /**
   * @param {HTMLElement} root
   * @param {object} on
   * @param {() => void} on.close
   * @param {(job: Job) => void} on.reschedule
   * @param {(job: Job) => void} on.assign
   * @param {(job: Job) => void} on.cancel
   * @param {(job: Job) => void} on.show brings the job into sight
   * @param {(id: string) => Promise<JobEvent[]>} on.history
   */
  constructor(root, on) {
    this.root = root;
    this.on = on;
    this.id = "";
    this.drawn = "";
    /** What became of the job, the newest last; null while it is loaded. @type {JobEvent[] | null} */
    this.events = null;
    this.hasFailed = false;
    /** @type {Job | undefined} */
    this.job = undefined;
    /** @type {PanelState | null} */
    this.last = null;
    root.addEventListener("click", (event) => this.act(event.target));
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.on.close();
    });
  }

  /** @param {EventTarget | null} target */
  act(target) {
    const action = target instanceof Element ? target.closest("[data-action]")?.getAttribute("data-action") : null;
    if (action === "close") this.on.close();
    else if (action === "history") this.learn();
    else if (this.job && (action === "reschedule" || action === "assign" || action === "cancel" || action === "show")) this.on[action](this.job);
  }

  /** @param {PanelState} state */
  render(state) {
    this.last = state;
    this.root.hidden = state.id === null;
    this.job = state.job;
    if (state.id === null) {
      this.id = this.drawn = "";
      return;
    }
    if (state.id !== this.id) {
      this.id = state.id;
      this.learn();
    }
    const drawn = JSON.stringify([state, state.names(state.job?.contractorIds ?? []), this.events, this.hasFailed]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const focused = document.activeElement;
    const action = focused && this.root.contains(focused) ? focused.getAttribute("data-action") : null;
    this.root.replaceChildren(...this.content(state));
    if (action) /** @type {HTMLElement | null} */ (this.root.querySelector(`[data-action="${action}"]`))?.focus({ preventScroll: true });
  }

  /** Takes the focus: the user has just opened it. */
  focus() {
    this.root.focus({ preventScroll: true });
  }

  /** An event has come that may be about this job. @param {JobEvent} event */
  take(event) {
    if (event.jobId !== this.id || !this.events) return;
    if (this.events.some((one) => one.sequence >= event.sequence)) return;
    this.events = [...this.events, event];
    if (this.last) this.render(this.last);
  }

  /** Loads what became of the job. */
  learn() {
    const { id } = this;
    this.events = null;
    this.hasFailed = false;
    this.on.history(id).then(
      (events) => this.id === id && (this.events = events),
      () => this.id === id && (this.hasFailed = true),
    ).then(() => this.last && this.id === id && this.render(this.last));
  }

  /** @param {PanelState} state */
  content(state) {
    const { job } = state;
    const close = element("button", { type: "button", class: "button small", "data-action": "close", "data-testid": "panel-close", "aria-label": "Close the job" }, "✕");
    const head = element("div", { class: "panel-head" }, element("h2", { id: "job-panel-title" }, job?.title ?? (state.isMissing ? "No such job" : "Loading the job…")), close);
    if (!job) return [head, element("p", { class: "hint" }, state.isMissing ? "It does not exist, or it is not yours to see." : "It is being looked up.")];
    return [
      head,
      element("p", { class: "panel-state" }, statusBadge(job.status), element("span", { class: "dim", "data-part": "version" }, `version ${job.version}`)),
      element("p", { class: "panel-people", "data-part": "people", role: "status", hidden: state.others.length === 0 }, othersText(state.others)),
      job.cancellationReason && element("p", { class: "panel-reason" }, "Cancelled: ", element("q", {}, job.cancellationReason)),
      facts(job, state),
      this.actions(job, state),
      element("h3", {}, "History"),
      this.history(state),
    ].filter((node) => node instanceof HTMLElement);
  }

  /** @param {Job} job @param {PanelState} state */
  actions(job, state) {
    /** @param {string} action @param {string} text */
    const button = (action, text) =>
      element("button", { type: "button", class: "button", "data-action": action, "data-testid": `panel-${action}`, disabled: action !== "show" && state.whyNot !== null, "aria-describedby": state.whyNot ? "panel-why-not" : null }, text);
    const canChange = state.canChange && isOpen(job);
    return element(
      "div",
      { class: "panel-actions" },
      canChange && button("reschedule", "Reschedule…"),
      canChange && button("assign", job.contractorIds.length > 0 ? "Move to another contractor…" : "Assign…"),
      canChange && button("cancel", "Cancel…"),
      button("show", "Show on the board"),
      canChange && state.whyNot && element("p", { class: "hint", id: "panel-why-not" }, state.whyNot),
    );
  }

  /** @param {PanelState} state */
  history({ names }) {
    if (this.hasFailed) {
      return element("p", { class: "hint" }, "The history could not be loaded. ", element("button", { type: "button", class: "button small", "data-action": "history" }, "Try again"));
    }
    if (!this.events) return element("p", { class: "hint" }, "Loading…");
    if (this.events.length === 0) return element("p", { class: "hint" }, "The event log does not reach back that far.");
    const lines = [...this.events].reverse().map((event) => historyLine(event, names));
    return element("ol", { class: "history", "data-testid": "history" }, ...lines);
  }
}

/** @param {string[]} names */
function othersText(names) {
  const last = names.at(-1) ?? "";
  const all = names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${last} have` : `${last} has`;
  return `${all} this job open as well.`;
}

/** @param {Job} job @param {PanelState} state */
function facts(job, { zone, names }) {
  const site = knownZone(job.timezone);
  const [start, end] = [Date.parse(job.startUtc), Date.parse(job.endUtc)];
  /** @param {string} name @param {string} part @param {...string} values */
  const fact = (name, part, ...values) => [element("dt", {}, name), element("dd", { "data-part": part }, ...values.map((value) => element("span", {}, value)))];
  return element(
    "dl",
    { class: "facts" },
    ...fact("Customer", "customer", job.customer),
    ...fact("Address", "address", job.address),
    ...fact("At the site", "site-window", windowText(start, end, site), `${site} · ${durationText(end - start)}`),
    ...(site === zone ? [] : fact("On the board", "board-window", windowText(start, end, zone), zone)),
    ...fact("Contractors", "contractors", names(job.contractorIds)),
    ...fact("Region", "region", job.region),
  );
}

/** @param {JobEvent} event @param {import("../words.js").Names} names */
function historyLine(event, names) {
  const { before, after } = beforeAndAfter(event, names);
  const moment = Date.parse(event.occurredAt);
  const isToday = localDate(moment, ownZone) === localDate(Date.now(), ownZone);
  const reason = givenReason(event);
  return element(
    "li",
    { "data-sequence": event.sequence },
    element("p", {}, element("strong", {}, eventWord(event.type)), ` by ${actorName(event)}, `, element("time", { datetime: event.occurredAt, class: "dim" }, isToday ? clock(moment) : `${shortDay(moment, ownZone)}, ${clock(moment)}`)),
    element("p", {}, before && element("s", {}, before), before && element("span", { "aria-hidden": true }, " → "), before && element("span", { class: "visually-hidden" }, " changed to "), after),
    reason && element("p", {}, element("q", {}, reason)),
  );
}
