/** What the board shows of all that it knows, and how that stands in the address. */

import { statusWord } from "../words.js";
import { addDays, isDate, mondayOf } from "./axis.js";

/** @typedef {import("../api.js").Job} Job */

export const STATUSES = ["scheduled", "inProgress", "completed", "cancelled"];

/** Days that each view of the timeline shows. @type {Record<string, number>} */
export const VIEW_DAYS = { day: 1, "3days": 3, week: 7 };

/**
 * @typedef {object} View
 * @property {"day" | "3days" | "week" | "list"} view
 * @property {string | null} date the day that is looked at; null for today
 * @property {string | null} zone null for the region's own
 * @property {string | null} region null for all
 * @property {string | null} contractor null for all
 * @property {string[]} status the statuses that are shown
 * @property {string} text words that a job must have
 * @property {"coming" | "all"} period which days the list shows
 * @property {string | null} job the job that is open
 */

/** @returns {View} */
function everything() {
  return {
    view: "day", date: null, zone: null, region: null, contractor: null,
    status: STATUSES, text: "", period: "coming", job: null,
  };
}

/** What an address says; what it says wrong counts as not said. @param {string} search @returns {View} */
export function readView(search) {
  const query = new URLSearchParams(search);
  const shown = everything();
  const view = query.get("view");
  if (view === "list" || (view !== null && view in VIEW_DAYS)) shown.view = /** @type {View["view"]} */ (view);
  const date = query.get("date");
  if (isDate(date)) shown.date = date;
  const status = query.get("status")?.split(",").filter((one) => STATUSES.includes(one));
  if (status?.length) shown.status = STATUSES.filter((one) => status.includes(one));
  for (const name of /** @type {const} */ (["zone", "region", "contractor", "job"])) shown[name] = query.get(name) || null;
  shown.text = query.get("q") ?? "";
  if (query.get("period") === "all") shown.period = "all";
  return shown;
}

/** The address that says so; other things in it stay. @param {View} view @param {string} href */
export function writeView(view, href) {
  const url = new URL(href);
  /** @param {string} name @param {string | null} value */
  const put = (name, value) => (value ? url.searchParams.set(name, value) : url.searchParams.delete(name));
  put("view", view.view === "day" ? null : view.view);
  put("status", view.status.length === STATUSES.length ? null : view.status.join(","));
  put("q", view.text.trim());
  put("period", view.period === "coming" ? null : view.period);
  for (const name of /** @type {const} */ (["date", "zone", "region", "contractor", "job"])) put(name, view[name]);
  // Two that are often written by hand are more easily read so.
  return url.href.replaceAll("%2C", ",").replaceAll("%2F", "/");
}

/** The address without what the board keeps in it. @param {string} href */
export function withoutView(href) {
  return new URL(writeView(everything(), href));
}

/** The first day of what the timeline shows. @param {View} view @param {string} today */
export function firstDate({ view, date }, today) {
  return view === "week" ? mondayOf(date ?? today) : (date ?? today);
}

/** The date that many pages on. @param {View} view @param {string} today @param {-1 | 1} direction */
export function pagedDate(view, today, direction) {
  return addDays(firstDate(view, today), direction * (VIEW_DAYS[view.view] ?? 1));
}

/** Whether anything is left out that could be shown. @param {View} view */
export function isFiltered({ region, contractor, status, text }) {
  return region !== null || contractor !== null || text.trim() !== "" || status.length < STATUSES.length;
}

/**
 * A test for jobs: whether they pass all filters but those for time.
 *
 * @param {View} view
 * @param {import("../words.js").Names} names
 * @returns {(job: Job) => boolean}
 */
export function jobFilter({ region, contractor, status, text }, names) {
  const words = text.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  return (job) =>
    (region === null || job.region === region) &&
    (contractor === null || job.contractorIds.includes(contractor)) &&
    (status.includes(job.status) || !STATUSES.includes(job.status)) &&
    (words.length === 0 || hasWords(job, words, names));
}

/** @param {Job} job @param {string[]} words @param {import("../words.js").Names} names */
function hasWords(job, words, names) {
  const text = [job.title, job.customer, job.address, statusWord(job.status), names(job.contractorIds), job.id]
    .join("\n")
    .toLocaleLowerCase();
  return words.every((word) => text.includes(word));
}
