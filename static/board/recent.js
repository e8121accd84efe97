/** What has just happened stands out for a while. */

/** @typedef {import("./jobs.js").JobEvent} JobEvent */

/** How long a job stands out after a change. What is said about the change stays. */
export const RECENT_MS = 60000;

/** @param {JobEvent | undefined} change */
export function isRecent(change) {
  return change !== undefined && Date.now() - Date.parse(change.occurredAt) < RECENT_MS;
}
