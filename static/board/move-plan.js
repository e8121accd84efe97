/**
 * Which commands bring a job to another time or other contractors, in an order in which
 * none of them makes a conflict that the end has not. Pure.
 */

/** @typedef {import("../api.js").Job} Job */

/**
 * How a job is to be.
 *
 * @typedef {object} Target
 * @property {string} startUtc
 * @property {string} endUtc
 * @property {string[]} contractorIds
 */

/**
 * A command, with the key that lets the server recognise it when it is sent again.
 *
 * @typedef {{ kind: "assign", contractorIds: string[] } | { kind: "reschedule", startUtc: string, endUtc: string }} Step
 */

/**
 * @param {Target} from how the job is
 * @param {Target} to
 * @param {(contractorIds: string[], startUtc: string, endUtc: string) => boolean} areFree
 *   whether nothing else keeps these contractors busy at that time
 * @returns {Step[]} none when the job is like that already
 */
export function planMove(from, to, areFree) {
  const isElsewhen = from.startUtc !== to.startUtc || from.endUtc !== to.endUtc;
  const isOthers = !sameIds(from.contractorIds, to.contractorIds);
  /** @type {Step} */
  const reschedule = { kind: "reschedule", startUtc: to.startUtc, endUtc: to.endUtc };
  /** @param {string[]} contractorIds @returns {Step} */
  const assign = (contractorIds) => ({ kind: "assign", contractorIds });
  if (!isElsewhen) return isOthers ? [assign(to.contractorIds)] : [];
  if (!isOthers) return [reschedule];
  if (areFree(to.contractorIds, from.startUtc, from.endUtc)) return [assign(to.contractorIds), reschedule];
  if (areFree(from.contractorIds, to.startUtc, to.endUtc)) return [reschedule, assign(to.contractorIds)];
  // Each is busy at the other's time: in between, the job is with those alone who keep it.
  const staying = from.contractorIds.filter((id) => to.contractorIds.includes(id));
  return [assign(staying), reschedule, assign(to.contractorIds)];
}

/** The command that takes a step back. @param {Step} step @param {Target} before @returns {Step} */
export function inverse(step, before) {
  return step.kind === "assign"
    ? { kind: "assign", contractorIds: before.contractorIds }
    : { kind: "reschedule", startUtc: before.startUtc, endUtc: before.endUtc };
}

/** Whether they are the same, in any order. @param {string[]} a @param {string[]} b */
export function sameIds(a, b) {
  return a.length === b.length && a.every((id) => b.includes(id));
}
