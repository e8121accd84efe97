/** Moves a job to another time, in the time of its site. */

import { showText } from "../dom.js";
import { durationText, fromLocal, knownZone, timeOfDay, toLocal, windowText } from "../time.js";
import { jobWindow } from "../words.js";
import { ChangeDialog } from "./change-dialog.js";
import { conflictsOf } from "./schedule.js";

/** @typedef {import("../api.js").Job} Job */

const MINUTE_MS = 60000;

export class RescheduleDialog extends ChangeDialog {
  /** @param {HTMLDialogElement} dialog @param {import("./change-dialog.js").Desk} desk */
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
  update() {
    super.update();
    if (!this.job) return;
    const conflicts = this.end > this.start ? conflictsOf(this.desk.jobs.byId.values(), this.job.id, this.job.contractorIds, this.start, this.end) : [];
    const names = conflicts.map((job) => `“${job.title}”, ${jobWindow(job)}`);
    showText(this.part("conflicts"), names.length > 0 ? `⚠ An assigned contractor is busy then: ${names.join("; ")}.` : null);
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
