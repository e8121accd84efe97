/**
 * Who has what when: the rows of the timeline and the bars in them, and which jobs are
 * in each other's way. Pure functions of what is known.
 */

import { isOpen } from "../words.js";
import { spanOf } from "./jobs.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("../api.js").Contractor} Contractor */
/** @typedef {import("./axis.js").Axis} Axis */

/**
 * A row: a contractor, or the heading of a region.
 *
 * @typedef {object} Row
 * @property {string} id the contractor's, or `region:` and its name
 * @property {boolean} isHeading
 * @property {string} name
 * @property {string} region
 * @property {string} zone
 * @property {number} jobs live jobs of the days that are shown
 * @property {number} busyMs what they take of these days
 */

/**
 * A job in one row.
 *
 * @typedef {object} Bar
 * @property {string} id
 * @property {string} rowId
 * @property {Job} job
 * @property {number} start
 * @property {number} end
 */

/** @param {string} jobId @param {string} rowId */
export function barId(jobId, rowId) {
  return `${jobId}@${rowId}`;
}

/**
 * The jobs of the axis, one bar for each contractor who has them.
 *
 * @param {Iterable<Job>} jobs
 * @param {Axis} axis
 * @param {ReadonlySet<string>} rowIds
 * @returns {Bar[]}
 */
export function barsOf(jobs, axis, rowIds) {
  const bars = [];
  for (const job of jobs) {
    const { start, end } = spanOf(job);
    if (!axis.overlaps(start, end)) continue;
    for (const rowId of job.contractorIds) {
      if (rowIds.has(rowId)) bars.push({ id: barId(job.id, rowId), rowId, job, start, end });
    }
  }
  return bars;
}

/**
 * A row for each contractor whom the filters let through, under a heading for each
 * region where there are several.
 *
 * @param {Iterable<Contractor>} contractors
 * @param {{ region: string | null, contractor: string | null }} filter
 * @returns {Row[]}
 */
export function rowsOf(contractors, { region, contractor }) {
  const shown = [...contractors]
    .filter((one) => (region === null || one.region === region) && (contractor === null || one.id === contractor))
    .sort((a, b) => compare(a.region, b.region) || compare(a.name, b.name) || compare(a.id, b.id));
  const hasHeadings = new Set(shown.map((one) => one.region)).size > 1;
  /** @type {Row[]} */
  const rows = [];
  for (const one of shown) {
    const isFirst = hasHeadings && rows[rows.length - 1]?.region !== one.region;
    if (isFirst) rows.push(row(`region:${one.region}`, true, one.region, one));
    rows.push(row(one.id, false, one.name, one));
  }
  return rows;
}

/** @param {string} id @param {boolean} isHeading @param {string} name @param {Contractor} of @returns {Row} */
function row(id, isHeading, name, of) {
  return { id, isHeading, name, region: of.region, zone: of.timezone, jobs: 0, busyMs: 0 };
}

/**
 * Counts into the rows what their contractors have to do, whatever is filtered away.
 *
 * @param {Row[]} rows
 * @param {Iterable<Job>} jobs
 * @param {Axis} axis
 */
export function addLoads(rows, jobs, axis) {
  const byId = new Map(rows.map((one) => [one.id, one]));
  for (const job of jobs) {
    const { start, end } = spanOf(job);
    if (!isOpen(job) && job.status !== "completed") continue;
    if (!axis.overlaps(start, end)) continue;
    for (const id of job.contractorIds) {
      const found = byId.get(id);
      if (!found) continue;
      found.jobs += 1;
      found.busyMs += Math.min(end, axis.end) - Math.max(start, axis.start);
    }
  }
}

/**
 * The live jobs that keep these contractors busy at that time, except the job itself.
 *
 * @param {Iterable<Job>} jobs
 * @param {string} jobId
 * @param {readonly string[]} contractorIds
 * @param {number} start
 * @param {number} end
 * @returns {Job[]}
 */
export function conflictsOf(jobs, jobId, contractorIds, start, end) {
  if (contractorIds.length === 0) return [];
  const [from, to] = [new Date(start).toISOString(), new Date(end).toISOString()];
  const found = [];
  for (const job of jobs) {
    // The server writes all moments alike, so they compare as texts.
    if (job.id === jobId || job.startUtc >= to || job.endUtc <= from || !isOpen(job)) continue;
    if (job.contractorIds.some((id) => contractorIds.includes(id))) found.push(job);
  }
  return found.sort((a, b) => compare(a.startUtc, b.startUtc));
}

/** Live jobs that nobody has, the earliest first. @param {Iterable<Job>} jobs @returns {Job[]} */
export function unassignedOf(jobs) {
  return [...jobs]
    .filter((job) => job.contractorIds.length === 0 && isOpen(job))
    .sort((a, b) => compare(a.startUtc, b.startUtc) || compare(a.id, b.id));
}

/**
 * The zone that most of these are in.
 *
 * @param {Iterable<{ timezone: string }>} things
 * @returns {string | null}
 */
export function commonZone(things) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { timezone } of things) counts.set(timezone, (counts.get(timezone) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || compare(a[0], b[0]))[0]?.[0] ?? null;
}

/** @param {string} a @param {string} b */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
