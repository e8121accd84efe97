/** What a contractor's page shows, in which order: data alone. */

import { knownZone, localDate } from "../time.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("./jobs.js").JobEvent} JobEvent */

/** How long a job that was taken away is spoken of. */
const TAKEN_MS = 24 * 3600000;

/** Changes that are kept per job: what it was before them is of no use any more. */
export const CHANGES_MAX = 5;

/**
 * The jobs by days of their sites, from today on, and the one that comes next.
 *
 * @param {Job[]} jobs
 * @param {number} now
 * @returns {{ next: Job | null, days: { date: string, jobs: Job[] }[] }}
 */
export function planOf(jobs, now) {
  const coming = jobs.filter((job) => isComing(job, now)).sort(byStart);
  const next = coming.find((job) => isOpen(job) && Date.parse(job.endUtc) > now) ?? null;
  /** @type {Map<string, Job[]>} */
  const byDay = new Map();
  for (const job of coming) {
    const date = localDate(Date.parse(job.startUtc), knownZone(job.timezone));
    byDay.set(date, [...(byDay.get(date) ?? []), job]);
  }
  const days = [...byDay].sort(([a], [b]) => (a < b ? -1 : 1)).map(([date, of]) => ({ date, jobs: of }));
  return { next, days };
}

/** Whether the job ends today, at its site, or later. @param {Job} job @param {number} now */
function isComing(job, now) {
  const zone = knownZone(job.timezone);
  return localDate(Date.parse(job.endUtc), zone) >= localDate(now, zone);
}

/** @param {Job} job */
function isOpen(job) {
  return job.status === "scheduled" || job.status === "inProgress";
}

/** @param {Job} a @param {Job} b */
function byStart(a, b) {
  return Date.parse(a.startUtc) - Date.parse(b.startUtc) || (a.id < b.id ? -1 : 1);
}

/** The events of one contractor, and what follows from them. */
export class OwnEvents {
  /** @param {string} contractorId */
  constructor(contractorId) {
    this.contractorId = contractorId;
    /** By job, the oldest first. @type {Map<string, JobEvent[]>} */
    this.byJob = new Map();
  }

  clear() {
    this.byJob.clear();
  }

  /** @param {JobEvent} event */
  add(event) {
    const known = this.byJob.get(event.jobId) ?? [];
    if (known.some((one) => one.sequence === event.sequence)) return;
    const all = [...known, event].sort((a, b) => a.sequence - b.sequence);
    this.byJob.set(event.jobId, all.slice(-CHANGES_MAX));
  }

  /** What was changed of a job, the newest first. @param {string} jobId */
  changesOf(jobId) {
    return (this.byJob.get(jobId) ?? []).filter((event) => event.type !== "JobCreated").reverse();
  }

  /**
   * The jobs that were taken away lately, by the events that did it, the newest first.
   *
   * @param {number} now
   */
  takenAway(now) {
    const last = [...this.byJob.values()].flatMap((events) => events.slice(-1));
    return last
      .filter((event) => event.type === "JobAssigned" && !event.contractorIds.includes(this.contractorId))
      .filter((event) => now - Date.parse(event.occurredAt) < TAKEN_MS)
      .sort((a, b) => b.sequence - a.sequence);
  }
}
