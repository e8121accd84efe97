/**
 * The dialogs that change a job. What they have in common stands in
 * {@link ChangeDialog}: they keep to the version that the user saw when they opened,
 * say so at once when somebody else changes the job meanwhile, and leave it to the
 * server to judge who was first.
 */

import { ApiError, freshKey } from "../api.js";
import { element, showText } from "../dom.js";
import { durationText, fromLocal, knownZone, timeOfDay, toLocal, windowText } from "../time.js";
import { actorName, eventWord, isOpen, jobWindow, problemWords, statusWord } from "../words.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("./jobs.js").Jobs} Jobs */

const MINUTE_MS = 60000;
const PAUSED = "Changes are paused until the page is live again.";

/**
 * What the dialogs need of the page.
 *
 * @typedef {object} Desk
 * @property {Jobs} jobs
 * @property {import("../api.js").Api} api
 * @property {(text: string) => void} announce
 */

class ChangeDialog {
  /** @param {HTMLDialogElement} dialog @param {Desk} desk */
  constructor(dialog, desk) {
    this.dialog = dialog;
    this.desk = desk;
    /** The job as the user saw it. @type {Job | null} */
    this.job = null;
    this.isLive = false;
    this.isSending = false;
    /** The last request's content, with its key: the same wish keeps its key. */
    this.wish = { content: "", key: "" };
    this.listening = new AbortController();
    const { signal } = this.listening;
    dialog.querySelector("form")?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.submit();
    }, { signal });
    this.part("close").addEventListener("click", () => dialog.close(), { signal });
    this.part("start-over").addEventListener("click", () => this.startOver(), { signal });
    dialog.addEventListener("close", () => (this.job = null), { signal });
  }

  /** @param {string} name @returns {any} */
  part(name) {
    return this.dialog.querySelector(`[data-part="${name}"]`);
  }

  /** @param {Job} job */
  open(job) {
    this.begin(job);
    /** @type {HTMLInputElement} */ (this.dialog.querySelector("input[type=text]")).value = "";
    this.dialog.showModal();
  }

  /** Starts from the job as it is now. */
  startOver() {
    const job = this.job && this.desk.jobs.byId.get(this.job.id);
    if (job) this.begin(job);
  }

  /** @param {Job} job */
  begin(job) {
    this.job = job;
    this.isSending = false;
    this.showProblem(null);
    this.fill(job);
    this.part("job").replaceChildren(
      element("strong", {}, job.title),
      element("span", { class: "dim" }, [job.customer, job.address].filter(Boolean).join(", ")),
      element("span", {}, `${jobWindow(job)} (${knownZone(job.timezone)})`),
    );
    this.update();
  }

  /** Puts the job's values into the fields. @param {Job} _job */
  fill(_job) {}

  /** Whether the fields hold something that can be sent. */
  isReady() {
    return true;
  }

  /** The page went live, or stopped being so. @param {boolean} isLive */
  setLive(isLive) {
    this.isLive = isLive;
    this.update();
  }

  /** Closes for good: another user takes over. */
  dispose() {
    this.listening.abort();
    this.dialog.close();
  }

  /** Shows what is so at this moment. */
  update() {
    if (!this.job) return;
    const now = this.desk.jobs.byId.get(this.job.id);
    const isStale = now !== undefined && now.version > this.job.version;
    const isOver = now === undefined || !isOpen(now);
    this.part("changed").hidden = !isStale && !isOver;
    showText(this.part("changed-text"), isStale || isOver ? this.changedText(now) : null);
    this.part("start-over").hidden = isOver;
    const submit = this.part("submit");
    submit.disabled = !this.isLive || this.isSending || isOver || !this.isReady();
    const isPaused = this.part("problem").hasAttribute("data-pause");
    if (!this.isLive && !isPaused) {
      this.showProblem({ text: PAUSED, details: [], isPause: true });
    } else if (this.isLive && isPaused) {
      this.showProblem(null);
    }
  }

  /** @param {Job | undefined} now */
  changedText(now) {
    if (!now) return "This job is no longer among yours.";
    const change = this.desk.jobs.changeOf(now);
    const who = change ? `${actorName(change)} ${eventWord(change.type).toLowerCase()} this job` : "Somebody changed this job";
    return `${who} meanwhile. It is now ${statusWord(now.status).toLowerCase()}: ${jobWindow(now)}.`;
  }

  /** @param {{ text: string, details: string[], isPause?: boolean } | null} problem */
  showProblem(problem) {
    const target = this.part("problem");
    target.hidden = problem === null;
    target.toggleAttribute("data-pause", problem?.isPause === true);
    if (!problem) return target.replaceChildren();
    const details = problem.details.map((text) => element("li", {}, text));
    target.replaceChildren(element("p", {}, problem.text), ...(details.length > 0 ? [element("ul", {}, ...details)] : []));
  }

  /** The user's reason, if there is one. */
  reason() {
    const input = /** @type {HTMLInputElement} */ (this.dialog.querySelector("input[type=text]"));
    return input.value.trim() || undefined;
  }

  /** The body to send. @returns {any} */
  content() {
    return { reason: this.reason() };
  }

  /** @param {Job} _job @param {any} _content @param {string} _key @returns {Promise<Job>} */
  async send(_job, _content, _key) {
    throw new Error("each dialog sends its own request");
  }

  /** What to say when it is done. @param {Job} _job */
  doneText(_job) {
    return "";
  }

  async submit() {
    const job = this.job;
    if (!job || this.part("submit").disabled) return;
    const content = this.content();
    const wish = JSON.stringify([job.id, job.version, content]);
    if (this.wish.content !== wish) this.wish = { content: wish, key: freshKey() };
    this.isSending = true;
    this.showProblem(null);
    this.update();
    try {
      const changed = await this.send(job, content, this.wish.key);
      this.desk.jobs.apply(changed);
      this.desk.announce(this.doneText(changed));
      this.dialog.close();
    } catch (error) {
      // By now the user may have closed the dialog, or opened it for another job.
      const isSame = this.job === job;
      if (isSame) this.isSending = false;
      if (error instanceof ApiError && error.problem.job) this.desk.jobs.apply(error.problem.job);
      if (isSame) this.showProblem(problemWords(error, (id) => this.desk.jobs.byId.get(id)));
      this.update();
    }
  }
}

export class CancelDialog extends ChangeDialog {
  /** @override @param {Job} job @param {any} content @param {string} key */
  async send(job, content, key) {
    return this.desk.api.cancel(job, content, key);
  }

  /** @override @param {Job} job */
  doneText(job) {
    return `“${job.title}” is cancelled.`;
  }
}

export class RescheduleDialog extends ChangeDialog {
  /** @param {HTMLDialogElement} dialog @param {Desk} desk */
  constructor(dialog, desk) {
    super(dialog, desk);
    this.zone = "UTC";
    /** The window to be, in moments; NaN where a field holds no time. */
    this.start = NaN;
    this.end = NaN;
    const { signal } = this.listening;
    this.startInput = /** @type {HTMLInputElement} */ (dialog.querySelector("#reschedule-start"));
    this.endInput = /** @type {HTMLInputElement} */ (dialog.querySelector("#reschedule-end"));
    this.startInput.addEventListener("input", () => this.read("start"), { signal });
    this.endInput.addEventListener("input", () => this.read("end"), { signal });
    for (const button of dialog.querySelectorAll("[data-shift-minutes]")) {
      const minutes = Number(button.getAttribute("data-shift-minutes"));
      button.addEventListener("click", () => this.shift(minutes * MINUTE_MS), { signal });
    }
  }

  /** @override @param {Job} job */
  fill(job) {
    this.zone = knownZone(job.timezone);
    this.set(Date.parse(job.startUtc), Date.parse(job.endUtc));
    showText(this.part("zone"), `Times are those of the site, ${this.zone}.`);
  }

  /** @param {number} start @param {number} end */
  set(start, end) {
    [this.start, this.end] = [start, end];
    this.startInput.value = Number.isNaN(start) ? "" : toLocal(start, this.zone);
    this.endInput.value = Number.isNaN(end) ? "" : toLocal(end, this.zone);
    showText(this.part("start-hint"), null);
    showText(this.part("end-hint"), null);
    this.summarise();
  }

  /** Moves the window by so much real time, also across a change of the clocks. @param {number} by */
  shift(by) {
    this.set(this.start + by, this.end + by);
    this.update();
  }

  /** Takes over what a field says. @param {"start" | "end"} which */
  read(which) {
    const input = which === "start" ? this.startInput : this.endInput;
    const moments = fromLocal(input.value, this.zone);
    this[which] = moments?.[0] ?? NaN;
    showText(this.part(`${which}-hint`), clockHint(moments, this.zone));
    input.setAttribute("aria-invalid", String(!moments?.length));
    this.summarise();
    this.update();
  }

  summarise() {
    const isWhole = !Number.isNaN(this.start) && !Number.isNaN(this.end);
    const summary = this.part("summary");
    summary.toggleAttribute("data-wrong", isWhole && this.end <= this.start);
    if (!isWhole) {
      showText(summary, "Enter a start and an end.");
    } else if (this.end <= this.start) {
      showText(summary, "The end has to be after the start.");
    } else {
      const isSame = this.job !== null && this.start === Date.parse(this.job.startUtc) && this.end === Date.parse(this.job.endUtc);
      const text = `${windowText(this.start, this.end, this.zone)} · ${durationText(this.end - this.start)}`;
      showText(summary, isSame ? `Not moved yet: ${text}` : `New window: ${text}`);
    }
  }

  /** @override */
  isReady() {
    return this.end > this.start;
  }

  /** @override */
  content() {
    return {
      startUtc: new Date(this.start).toISOString(),
      endUtc: new Date(this.end).toISOString(),
      reason: this.reason(),
    };
  }

  /** @override @param {Job} job @param {any} content @param {string} key */
  async send(job, content, key) {
    return this.desk.api.reschedule(job, content, key);
  }

  /** @override @param {Job} job */
  doneText(job) {
    return `“${job.title}” is now ${jobWindow(job)}.`;
  }
}

/** What is special about a local time. @param {number[] | null} moments @param {string} zone */
function clockHint(moments, zone) {
  if (moments === null) return null;
  if (moments.length === 0) return "Clocks go forward that day and skip this time.";
  if (moments.length === 1) return null;
  return `Clocks go back that day: ${timeOfDay(moments[0], zone)} comes twice. The first one is meant.`;
}
