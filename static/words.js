/** How statuses, events and failures read. */

import { knownZone, windowText } from "./time.js";
import { ApiError } from "./api.js";

/** @typedef {import("./api.js").Job} Job */
/** @typedef {import("./board/jobs.js").JobEvent} JobEvent */
/** @typedef {(ids: string[]) => string} Names */

/** @type {Record<string, string>} */
const STATUS_WORDS = {
  scheduled: "Scheduled",
  inProgress: "In progress",
  completed: "Completed",
  cancelled: "Cancelled",
};

/** @type {Record<string, string>} */
const STATUS_SIGNS = { scheduled: "○", inProgress: "◐", completed: "✓", cancelled: "✕" };

/** @type {Record<string, string>} */
const EVENT_WORDS = {
  JobCreated: "Created",
  JobAssigned: "Assigned",
  JobRescheduled: "Rescheduled",
  JobCancelled: "Cancelled",
};

/** @param {string} status */
export function statusWord(status) {
  return STATUS_WORDS[status] ?? status;
}

/** The sign that stands for a status beside its colour. @param {string} status */
export function statusSign(status) {
  return STATUS_SIGNS[status] ?? "○";
}

/** @param {string} type */
export function eventWord(type) {
  return EVENT_WORDS[type] ?? type;
}

/** Whether the job can still be changed. @param {Job} job */
export function isOpen(job) {
  return job.status === "scheduled" || job.status === "inProgress";
}

/** Who did it. @param {JobEvent} event */
export function actorName(event) {
  return event.actor.name || event.actor.id;
}

/** The job's window in the zone of its site. @param {Job} job */
export function jobWindow(job) {
  return windowText(Date.parse(job.startUtc), Date.parse(job.endUtc), knownZone(job.timezone));
}

/**
 * What the event changed, from what to what; without `before` when it made the job.
 *
 * @param {JobEvent} event
 * @param {Names} names
 * @returns {{ before: string | null, after: string }}
 */
export function beforeAndAfter(event, names) {
  const zone = knownZone(event.timezone);
  /** @param {string} [start] @param {string} [end] */
  const windowOf = (start, end) => windowText(Date.parse(start ?? ""), Date.parse(end ?? ""), zone);
  switch (event.type) {
    case "JobRescheduled": {
      const before = windowOf(event.previousStartUtc, event.previousEndUtc);
      const after = windowOf(event.newStartUtc, event.newEndUtc);
      // On the same day, only the times differ.
      const day = after.slice(0, after.indexOf(",") + 2);
      return { before, after: before.startsWith(day) ? after.slice(day.length) : after };
    }
    case "JobAssigned":
      return { before: names(event.previousContractorIds ?? []), after: names(event.contractorIds) };
    case "JobCancelled":
      return { before: windowOf(event.startUtc, event.endUtc), after: "cancelled" };
    default:
      return { before: null, after: windowOf(event.startUtc, event.endUtc) };
  }
}

/**
 * What went wrong, for the one who asked for it; `conflicts` are jobs in the way.
 *
 * @param {unknown} error
 * @param {(id: string) => Job | undefined} known
 * @returns {{ text: string, details: string[] }}
 */
export function problemWords(error, known) {
  if (!(error instanceof ApiError)) return { text: "Something went wrong on this page.", details: [String(error)] };
  const { problem } = error;
  switch (error.code) {
    case "unreachable":
      return {
        text: "No answer came, so it may or may not have been saved. Try again: it will not be done twice.",
        details: [],
      };
    case "schedule_conflict":
      return {
        text: "Not saved: an assigned contractor is busy at that time.",
        details: (problem.conflictingJobIds ?? []).map((/** @type {string} */ id) => {
          const job = known(id);
          return job ? `“${job.title}”, ${jobWindow(job)} (${job.timezone})` : `a job outside this list (${id})`;
        }),
      };
    case "version_mismatch":
      // The dialog shows the job as it is, and keeps that up to date.
      return { text: "Not saved: somebody was first.", details: [] };
    case "job_cancelled":
      return { text: "Not saved: the job has been cancelled.", details: [] };
    case "job_completed":
      return { text: "Not saved: the job is completed.", details: [] };
    case "not_found":
      return { text: "Not saved: the job does not exist any more, or is no longer yours.", details: [] };
    case "forbidden":
      return { text: "Not saved: you may not change this job.", details: [error.message] };
    case "store_unavailable":
      return { text: "Not saved: the server cannot store changes right now. Nothing was changed. Try again in a moment.", details: [] };
    case "rate_limited":
      return { text: "Not saved: too many requests. Try again in a moment.", details: [] };
    case "invalid_field":
    case "invalid_time_window":
      return {
        text: "Not saved: the server does not accept these values.",
        details: fieldErrors(problem) ?? [error.message],
      };
    default:
      return {
        text: "Not saved: the server could not do it.",
        details: problem.requestId ? [error.message, `Request ${problem.requestId}`] : [error.message],
      };
  }
}

/** @param {Record<string, any>} problem @returns {string[] | null} */
function fieldErrors(problem) {
  /** @type {Record<string, string>} */
  const labels = { startUtc: "Start", endUtc: "End", reason: "Reason" };
  const errors = Array.isArray(problem.errors) ? problem.errors : [];
  const texts = errors.map((one) => `${labels[one.field] ?? one.field} ${one.message}`);
  return texts.length > 0 ? texts : null;
}

/** A change in a few words: what, by whom, and how it was. @param {JobEvent} change @param {Names} names */
export function changeWords(change, names) {
  const { before } = beforeAndAfter(change, names);
  const was = change.type === "JobCancelled" || !before ? "" : `, was ${before}`;
  return `${eventWord(change.type)} by ${actorName(change)}${was}`;
}
