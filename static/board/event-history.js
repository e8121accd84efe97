/**
 * The event log backwards: the server answers oldest first after a sequence, so the
 * past is read in windows of sequences, each twice as wide as the one after it while
 * little of it is for this user.
 */

/** @typedef {import("./jobs.js").JobEvent} JobEvent */
/** @typedef {{ jobId?: string, contractorId?: string }} EventFilter */

/** Events of one answer. */
const PAGE_EVENTS = 500;

const WINDOW_FIRST = 500;
const WINDOW_MAX = 64000;

/** Answers that are waited for before the user is asked whether to look further. */
const PAGES_MAX = 12;

/**
 * Events before a sequence, oldest first: as many as are wanted, unless there are no more,
 * or they are too far apart to be found at once.
 *
 * @param {import("../api.js").Api} api
 * @param {EventFilter} filter
 * @param {number} before
 * @param {number} wanted
 * @returns {Promise<{ events: JobEvent[], reached: number }>} all of this filter from
 *   `reached` on; 1 is the beginning of the log
 */
export async function eventsBefore(api, filter, before, wanted) {
  const query = { jobId: filter.jobId, group: filter.contractorId && `contractor/${filter.contractorId}` };
  // Of one job there are few.
  let width = filter.jobId ? before : WINDOW_FIRST;
  /** @type {JobEvent[]} */
  let events = [];
  let reached = before;
  for (let pages = 0; pages < PAGES_MAX && events.length < wanted && reached > 1; ) {
    let after = Math.max(0, reached - 1 - width);
    const [start, end] = [after, reached];
    /** @type {JobEvent[]} */
    const found = [];
    for (let more = true; more; pages += 1) {
      const page = await api.events({ ...query, after, limit: PAGE_EVENTS });
      found.push(...page.filter((event) => event.sequence < end));
      after = page.at(-1)?.sequence ?? end;
      more = page.length === PAGE_EVENTS && after < end - 1;
    }
    events = [...found, ...events];
    reached = start + 1;
    width = Math.min(width * 2, WINDOW_MAX);
  }
  if (events.length <= wanted) return { events, reached };
  const latest = events.slice(-wanted);
  return { events: latest, reached: latest[0].sequence };
}

/** Whether the event is one of the filter's. @param {JobEvent} event @param {EventFilter} filter */
export function isOf(event, { jobId, contractorId }) {
  if (jobId && event.jobId !== jobId) return false;
  if (!contractorId || event.contractorIds.includes(contractorId)) return true;
  return event.type === "JobAssigned" && event.previousContractorIds.includes(contractorId);
}

/**
 * Whether the event takes back the job's event before it: the same person restored what
 * had been.
 *
 * @param {JobEvent} event
 * @param {JobEvent | undefined} former
 */
export function isUndo(event, former) {
  if (!former || former.actor.id !== event.actor.id || former.jobVersion !== event.jobVersion - 1) return false;
  if (event.type === "JobRescheduled" && former.type === "JobRescheduled") {
    return event.newStartUtc === former.previousStartUtc && event.newEndUtc === former.previousEndUtc;
  }
  if (event.type === "JobAssigned" && former.type === "JobAssigned") return sameIds(event.contractorIds, former.previousContractorIds);
  return false;
}

/** @param {string[]} a @param {string[]} b */
function sameIds(a, b) {
  return a.length === b.length && a.every((id) => b.includes(id));
}
