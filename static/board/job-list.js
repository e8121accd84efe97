/** The list of jobs: by day, filtered, each card changed in place. */

import { arrange, element } from "../dom.js";
import { clock, dayHeading, knownZone, localDate, ownZone, shortDay, timeOfDay } from "../time.js";
import { actorName, beforeAndAfter, eventWord, isOpen } from "../words.js";
import { statusBadge } from "./bar.js";
import { isFiltered, jobFilter } from "./filters.js";
import { givenReason } from "./jobs.js";
import { isRecent, RECENT_MS } from "./recent.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("./jobs.js").JobEvent} JobEvent */

/**
 * What the list shows.
 *
 * @typedef {object} ListState
 * @property {"loading" | "failed" | "ready"} state
 * @property {string} failure why nothing could be loaded
 * @property {Job[]} jobs
 * @property {(job: Job) => JobEvent | undefined} changeOf
 * @property {import("../words.js").Names} names
 * @property {boolean} canChange whether this user may change jobs
 * @property {boolean} isLive whether changes are possible just now
 * @property {import("./filters.js").View} view
 */

export class JobList {
  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} count
   * @param {object} on
   * @param {(job: Job) => void} on.open
   * @param {(job: Job) => void} on.reschedule
   * @param {(job: Job) => void} on.cancel
   * @param {() => void} on.clearFilter
   * @param {() => void} on.fade when a card stops standing out and has to be drawn again
   */
  constructor(root, count, on) {
    this.root = root;
    this.count = count;
    this.on = on;
    /** @type {Map<string, { card: HTMLElement, drawn: string, job: Job }>} */
    this.cards = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.days = new Map();
    /** @type {number | undefined} */
    this.fading = undefined;
  }

  /** @param {ListState} state */
  render(state) {
    this.root.dataset.state = state.state;
    if (state.state !== "ready") {
      this.clear();
      this.count.textContent = "";
      this.root.replaceChildren(state.state === "loading" ? skeleton() : failed(state.failure));
      return;
    }
    const passes = jobFilter(state.view, state.names);
    const shown = state.jobs.filter((job) => isOfPeriod(job, state) && passes(job));
    this.count.textContent = countText(shown, state.jobs.length);
    if (shown.length === 0) {
      this.clear();
      this.root.dataset.state = "empty";
      this.root.replaceChildren(this.nothing(state));
      return;
    }
    const focused = focusedAction();
    arrange(this.root, this.sections(shown, state));
    restoreFocus(focused);
  }

  clear() {
    this.cards.clear();
    this.days.clear();
    clearTimeout(this.fading);
  }

  /** @param {Job[]} jobs @param {ListState} state */
  sections(jobs, state) {
    /** @type {Map<string, Job[]>} */
    const byDay = new Map();
    for (const job of jobs.sort(byStart)) {
      const day = dayOf(job);
      const sameDay = byDay.get(day);
      if (sameDay) sameDay.push(job);
      else byDay.set(day, [job]);
    }
    const days = [...byDay.keys()].sort();
    forgetOthers(this.days, new Set(days));
    forgetOthers(this.cards, new Set(jobs.map((job) => job.id)));
    this.scheduleFading(jobs, state);
    return days.map((day) => {
      const section = this.day(day);
      const list = /** @type {Element} */ (section.lastElementChild);
      arrange(list, (byDay.get(day) ?? []).map((job) => this.card(job, state)));
      return section;
    });
  }

  /** @param {string} day */
  day(day) {
    let section = this.days.get(day);
    if (!section) {
      section = element("section", { class: "day", "data-day": day }, element("h2"), element("ul"));
      this.days.set(day, section);
    }
    const { name, day: text } = dayHeading(day, localDate(Date.now(), ownZone));
    const heading = /** @type {Element} */ (section.firstElementChild);
    if (heading.textContent !== (name ?? "") + text) {
      heading.replaceChildren(...[name && element("strong", {}, name), element("span", {}, text)].filter((node) => node !== null));
    }
    return section;
  }

  /** @param {Job} job @param {ListState} state */
  card(job, state) {
    let entry = this.cards.get(job.id);
    if (!entry) {
      const card = element("li", { class: "job", "data-job-id": job.id, "data-testid": "job" });
      entry = { card, drawn: "", job };
      this.cards.set(job.id, entry);
    }
    entry.job = job;
    const change = state.changeOf(job);
    const names = state.names(job.contractorIds);
    const recent = isRecent(change);
    const drawn = JSON.stringify([job, change, names, state.canChange, state.isLive, recent]);
    if (drawn !== entry.drawn) {
      entry.drawn = drawn;
      this.draw(entry.card, job, change, names, state, recent);
    }
    return entry.card;
  }

  /**
   * @param {HTMLElement} card
   * @param {Job} job
   * @param {JobEvent | undefined} change
   * @param {string} names
   * @param {ListState} state
   * @param {boolean} recent
   */
  draw(card, job, change, names, state, recent) {
    card.dataset.state = job.status;
    card.dataset.version = String(job.version);
    card.toggleAttribute("data-recent", recent);
    card.replaceChildren(
      when(job),
      element(
        "div",
        { class: "job-what" },
        element("h3", { "data-part": "title" }, this.title(job, state)),
        element("p", { "data-part": "customer" }, job.customer),
        element("p", { class: "dim", "data-part": "address" }, job.address),
      ),
      element(
        "p",
        { class: "job-who", "data-part": "contractors" },
        element("span", { class: "visually-hidden" }, "Assigned: "),
        names,
      ),
      element(
        "p",
        { class: "job-state" },
        statusBadge(job.status),
        element("span", { class: "dim version", "data-part": "version" }, `version ${job.version}`),
      ),
      ...this.actions(job, state),
      ...notes(job, change, state),
    );
  }

  /** The title, which opens the job for one who can do something with it. @param {Job} job @param {ListState} state */
  title(job, state) {
    if (!state.canChange) return job.title;
    const open = element("button", { type: "button", class: "waiting-open", "data-action": "open", "data-part": "open", "data-job": job.id }, job.title);
    open.addEventListener("click", () => this.on.open(this.cards.get(job.id)?.job ?? job));
    return open;
  }

  /** @param {Job} job @param {ListState} state */
  actions(job, state) {
    if (!state.canChange || !isOpen(job)) return [];
    /** @param {string} action @param {string} text @param {(job: Job) => void} run */
    const button = (action, text, run) => {
      const made = element(
        "button",
        {
          type: "button", class: "button", "data-action": action, "data-testid": action,
          disabled: !state.isLive, "aria-describedby": state.isLive ? null : "paused",
        },
        text,
        element("span", { class: "visually-hidden" }, ` “${job.title}”`),
      );
      made.addEventListener("click", () => run(this.cards.get(job.id)?.job ?? job));
      return made;
    };
    return [
      element(
        "div",
        { class: "job-actions" },
        button("reschedule", "Reschedule", this.on.reschedule),
        button("cancel", "Cancel job", this.on.cancel),
      ),
    ];
  }

  /** @param {ListState} state */
  nothing(state) {
    if (isFiltered(state.view)) {
      const clear = element("button", { type: "button", class: "button" }, "Clear the filters");
      clear.addEventListener("click", this.on.clearFilter);
      const text = state.view.text.trim();
      return element("div", { class: "empty" }, element("p", {}, `No job matches ${text ? `“${text}”` : "the filters"}.`), clear);
    }
    const text = state.view.period === "coming" ? "No jobs today or later." : "No jobs yet.";
    const more = "They appear here by themselves as soon as there are any.";
    return element("div", { class: "empty" }, element("p", {}, text), element("p", { class: "hint" }, more));
  }

  /**
   * Asks to be drawn again when the first of the cards that stand out stops doing so.
   *
   * @param {Job[]} jobs
   * @param {ListState} state
   */
  scheduleFading(jobs, state) {
    clearTimeout(this.fading);
    const ends = jobs
      .map((job) => Date.parse(state.changeOf(job)?.occurredAt ?? "") + RECENT_MS)
      .filter((end) => end > Date.now());
    if (ends.length > 0) {
      const delay = Math.min(Math.min(...ends) - Date.now() + 50, RECENT_MS);
      this.fading = setTimeout(this.on.fade, delay);
    }
  }
}

/** @param {Job} job */
function when(job) {
  const zone = knownZone(job.timezone);
  const [start, end] = [Date.parse(job.startUtc), Date.parse(job.endUtc)];
  const isOneDay = localDate(start, zone) === localDate(end, zone);
  return element(
    "div",
    { class: "job-when" },
    element(
      "p",
      { class: "window", "data-part": "window" },
      element("time", { datetime: job.startUtc }, timeOfDay(start, zone)),
      "–",
      element("time", { datetime: job.endUtc }, timeOfDay(end, zone)),
    ),
    !isOneDay && element("p", { class: "until" }, `until ${shortDay(end, zone)}`),
    element("p", { class: "dim zone", "data-part": "zone" }, zone),
  );
}

/** @param {Job} job @param {JobEvent | undefined} change @param {ListState} state */
function notes(job, change, state) {
  const lines = [];
  if (job.status === "cancelled" && job.cancellationReason && !change) {
    lines.push(element("p", { class: "job-note" }, `Cancelled: ${job.cancellationReason}`));
  }
  if (change) {
    const { before, after } = beforeAndAfter(change, state.names);
    const reason = givenReason(change);
    lines.push(
      element(
        "p",
        { class: "job-change", "data-testid": "change" },
        element("span", { class: "change-what" }, isRecent(change) ? `Just ${eventWord(change.type).toLowerCase()}` : eventWord(change.type)),
        ` by ${actorName(change)} at ${clock(Date.parse(change.occurredAt))}: `,
        before && element("s", {}, before),
        before && element("span", { "aria-hidden": true }, " → "),
        before && element("span", { class: "visually-hidden" }, " changed to "),
        element("strong", {}, after),
        reason && element("q", {}, reason),
      ),
    );
  }
  return lines;
}

/** @param {Job} job */
function dayOf(job) {
  return localDate(Date.parse(job.startUtc), knownZone(job.timezone));
}

/** @param {Job} a @param {Job} b */
function byStart(a, b) {
  return Date.parse(a.startUtc) - Date.parse(b.startUtc) || (a.id < b.id ? -1 : 1);
}

/** @param {Job} job @param {ListState} state */
function isOfPeriod(job, state) {
  const zone = knownZone(job.timezone);
  return state.view.period === "all" || localDate(Date.parse(job.endUtc), zone) >= localDate(Date.now(), zone);
}

/** @param {Job[]} shown @param {number} known */
function countText(shown, known) {
  const cancelled = shown.filter((job) => job.status === "cancelled").length;
  const all = shown.length === known ? `${known}` : `${shown.length} of ${known}`;
  const parts = [all, cancelled > 0 && `${cancelled} cancelled`];
  return parts.filter(Boolean).join(" · ");
}

function skeleton() {
  const lines = Array.from({ length: 5 }, () => element("li", { class: "job ghost", "aria-hidden": true }));
  return element("div", {}, element("p", { class: "visually-hidden" }, "Loading jobs"), element("ul", { class: "ghosts" }, ...lines));
}

/** @param {string} failure */
function failed(failure) {
  return element(
    "div",
    { class: "empty", "data-testid": "load-failed" },
    element("p", {}, failure),
    element("p", { class: "hint" }, "The page keeps trying by itself."),
  );
}

/** @param {Map<string, any>} map @param {Set<string>} keep */
function forgetOthers(map, keep) {
  for (const key of [...map.keys()]) if (!keep.has(key)) map.delete(key);
}

/** Which button of which card has the focus, since drawing a card again replaces it. */
function focusedAction() {
  const action = document.activeElement?.getAttribute("data-action");
  const id = document.activeElement?.closest("[data-job-id]")?.getAttribute("data-job-id");
  return action && id ? `[data-job-id="${CSS.escape(id)}"] [data-action="${CSS.escape(action)}"]` : null;
}

/** @param {string | null} selector */
function restoreFocus(selector) {
  const target = selector ? document.querySelector(selector) : null;
  if (target instanceof HTMLElement && target !== document.activeElement) target.focus({ preventScroll: true });
}
