/** Jobs that nobody has, beside the timeline: to be dragged to a contractor, or assigned by a dialog. */

import { arrange, element } from "../dom.js";
import { durationText, knownZone, windowText } from "../time.js";
import { isRecent } from "./recent.js";

/** @typedef {import("../api.js").Job} Job */

/**
 * @typedef {object} UnassignedState
 * @property {boolean} isLoaded
 * @property {Job[]} jobs
 * @property {import("./axis.js").Axis} axis the days that the timeline shows
 * @property {string} zone the board's
 * @property {string | null} open the job that is open
 * @property {boolean} canChange
 * @property {boolean} isLive
 * @property {(job: Job) => import("./jobs.js").JobEvent | undefined} changeOf
 */

export class Unassigned {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} count
   * @param {object} on
   * @param {(job: Job) => void} on.open
   * @param {(job: Job) => void} on.assign
   */
  constructor(list, count, on) {
    this.list = list;
    this.count = count;
    this.on = on;
    /** @type {Map<string, { card: HTMLElement, drawn: string, job: Job }>} */
    this.cards = new Map();
    this.headings = ["On these days", "On other days"].map((text) => element("li", { class: "waiting-days" }, element("h3", {}, text)));
  }

  /** @param {UnassignedState} state */
  render(state) {
    this.count.textContent = state.isLoaded ? String(state.jobs.length) : "";
    const keep = new Set(state.jobs.map((job) => job.id));
    for (const id of [...this.cards.keys()]) if (!keep.has(id)) this.cards.delete(id);
    const focused = document.activeElement instanceof HTMLElement && this.list.contains(document.activeElement) ? document.activeElement.dataset : null;
    const [now, other] = [state.jobs.filter((job) => isOn(job, state.axis)), state.jobs.filter((job) => !isOn(job, state.axis))];
    const cards = [
      ...(now.length > 0 && other.length > 0 ? [this.headings[0]] : []),
      ...now.map((job) => this.card(job, state)),
      ...(other.length > 0 ? [this.headings[1]] : []),
      ...other.map((job) => this.card(job, state)),
    ];
    if (cards.length === 0) cards.push(element("li", { class: "empty" }, state.isLoaded ? "Every job of these filters has a contractor." : "Loading…"));
    arrange(this.list, cards);
    if (focused?.part && focused.job && !this.list.contains(document.activeElement)) {
      /** @type {HTMLElement | null} */ (this.list.querySelector(`[data-part="${focused.part}"][data-job="${CSS.escape(focused.job)}"]`))?.focus({ preventScroll: true });
    }
  }

  /** @param {Job} job @param {UnassignedState} state */
  card(job, state) {
    let entry = this.cards.get(job.id);
    if (!entry) {
      entry = { card: element("li", { class: "waiting", "data-testid": "waiting", "data-waiting": job.id }), drawn: "", job };
      this.cards.set(job.id, entry);
    }
    entry.job = job;
    const look = { zone: state.zone, isOpen: state.open === job.id, isRecent: isRecent(state.changeOf(job)), canChange: state.canChange, isLive: state.isLive };
    const drawn = JSON.stringify([job, look]);
    if (drawn !== entry.drawn) {
      entry.drawn = drawn;
      this.draw(entry.card, job, look);
    }
    return entry.card;
  }

  /** @param {HTMLElement} card @param {Job} job @param {{ zone: string, isOpen: boolean, isRecent: boolean, canChange: boolean, isLive: boolean }} look */
  draw(card, job, { zone, isOpen, isRecent, canChange, isLive }) {
    const [start, end] = [Date.parse(job.startUtc), Date.parse(job.endUtc)];
    card.toggleAttribute("data-recent", isRecent);
    card.toggleAttribute("data-open", isOpen);
    card.toggleAttribute("data-movable", canChange);
    const open = element("button", { type: "button", class: "waiting-open", "data-part": "open", "data-job": job.id, "data-testid": "waiting-open" }, job.title);
    open.addEventListener("click", () => this.on.open(job));
    const assign = element(
      "button",
      { type: "button", class: "button small", "data-part": "assign", "data-job": job.id, "data-testid": "assign", disabled: !isLive },
      "Assign…",
      element("span", { class: "visually-hidden" }, ` “${job.title}”`),
    );
    assign.addEventListener("click", () => this.on.assign(job));
    const site = knownZone(job.timezone);
    card.replaceChildren(
      element("p", {}, open),
      element("p", { class: "dim" }, job.customer),
      element("p", { class: "waiting-when" }, windowText(start, end, zone), element("span", { class: "dim" }, ` · ${durationText(end - start)}`)),
      ...(site === zone ? [] : [element("p", { class: "dim" }, `${windowText(start, end, site)} in ${site}`)]),
      ...(canChange ? [assign] : []),
    );
  }
}

/** @param {Job} job @param {import("./axis.js").Axis} axis */
function isOn(job, axis) {
  return axis.overlaps(Date.parse(job.startUtc), Date.parse(job.endUtc));
}
