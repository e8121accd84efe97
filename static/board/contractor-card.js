/** A job as a contractor sees it: when, where, and what has changed. */

import { element } from "../dom.js";
import { clock, durationText, knownZone, localDate, ownZone, shortDay, timeOfDay, windowText, zoneDifference } from "../time.js";
import { actorName, beforeAndAfter, eventWord } from "../words.js";
import { statusBadge } from "./bar.js";
import { givenReason } from "./jobs.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("./jobs.js").JobEvent} JobEvent */

/** Where an address is looked up: a link, which the page itself never follows. */
const MAPS = "https://www.openstreetmap.org/search?query=";

/**
 * @param {Job} job
 * @param {JobEvent[]} changes the newest first
 * @param {object} about
 * @param {string} about.contractorId whose page it is
 * @param {(text: string) => Promise<boolean>} about.copy
 */
export function jobCard(job, changes, { contractorId, copy }) {
  const zone = knownZone(job.timezone);
  const [start, end] = [Date.parse(job.startUtc), Date.parse(job.endUtc)];
  const isCancelled = job.status === "cancelled";
  const others = job.contractorIds.length - 1;
  return element(
    "li",
    { class: "visit", "data-job-id": job.id, "data-testid": "job", "data-state": job.status },
    element(
      "div",
      { class: "visit-when" },
      element("p", { class: "visit-window", "data-part": "window" }, isCancelled ? element("s", {}, hours(start, end, zone)) : hours(start, end, zone)),
      element("p", { class: "dim", "data-part": "zone" }, zoneText(start, zone, end)),
    ),
    element("p", {}, statusBadge(job.status)),
    element("h3", { "data-part": "title" }, job.title),
    isCancelled && job.cancellationReason && element("p", { class: "visit-reason", "data-part": "reason" }, "Cancelled: ", element("q", {}, job.cancellationReason)),
    changes.length > 0 && element("ul", { class: "visit-changes", "aria-label": "What has changed" }, ...changes.map((event) => changeLine(event, contractorId))),
    element("p", { "data-part": "customer" }, job.customer),
    element("p", { class: "visit-address", "data-part": "address" }, job.address),
    others > 0 && element("p", { class: "dim" }, others === 1 ? "One more contractor comes along." : `${others} more contractors come along.`),
    element(
      "div",
      { class: "visit-actions" },
      element("a", { class: "button", href: MAPS + encodeURIComponent(job.address), target: "_blank", rel: "noopener noreferrer", "data-testid": "map" }, "Map", element("span", { class: "visually-hidden" }, ` of ${job.address}, in a new tab`)),
      copyButton(job.address, copy),
    ),
  );
}

/** @param {number} start @param {number} end @param {string} zone */
function hours(start, end, zone) {
  const isSameDay = localDate(start, zone) === localDate(end, zone);
  return `${timeOfDay(start, zone)}–${isSameDay ? "" : `${shortDay(end, zone)}, `}${timeOfDay(end, zone)}`;
}

/** The site's zone, how long it takes, and what a clock on this device differs by. @param {number} start @param {string} zone @param {number} end */
function zoneText(start, zone, end) {
  const difference = zoneDifference(start, zone, ownZone);
  return [zone, durationText(end - start), difference && `this device: ${timeOfDay(start, ownZone)} (${difference})`].filter(Boolean).join(" · ");
}

/** @param {string} address @param {(text: string) => Promise<boolean>} copy */
function copyButton(address, copy) {
  const button = element("button", { type: "button", class: "button", "data-testid": "copy" }, "Copy address");
  button.addEventListener("click", async () => {
    button.textContent = (await copy(address)) ? "Copied" : "Could not be copied";
  });
  return button;
}

/** @param {JobEvent} event @param {string} contractorId */
function changeLine(event, contractorId) {
  const names = (/** @type {string[]} */ ids) => people(ids, contractorId);
  const { before, after } = beforeAndAfter(event, names);
  // Why a job was cancelled stands above.
  const reason = event.type === "JobCancelled" ? null : givenReason(event);
  return element(
    "li",
    { "data-testid": "change" },
    element("strong", {}, eventWord(event.type).toLowerCase()),
    ": ",
    before && element("s", {}, before),
    before && element("span", { "aria-hidden": true }, " → "),
    before && element("span", { class: "visually-hidden" }, " is now "),
    element("span", { class: "visit-now" }, after),
    reason && " — ",
    reason && element("q", {}, reason),
    element("span", { class: "dim" }, ` ${actorName(event)}, ${moment(event)}`),
  );
}

/** A job that is no longer this contractor's. @param {JobEvent} event */
export function takenCard(event) {
  const window = event.type === "JobAssigned" ? windowText(Date.parse(event.startUtc), Date.parse(event.endUtc), knownZone(event.timezone)) : "";
  return element(
    "li",
    { class: "visit taken", "data-testid": "taken", "data-taken": event.jobId },
    element("p", { class: "visit-window" }, element("s", {}, window)),
    element("h3", {}, event.title),
    element("p", {}, `No longer yours: ${actorName(event)} gave it to ${event.contractorIds.length > 0 ? "somebody else" : "nobody yet"}, ${moment(event)}.`),
  );
}

/** A contractor learns of itself, and not who the others are. @param {string[]} ids @param {string} own */
function people(ids, own) {
  const others = ids.filter((id) => id !== own).length;
  const counted = others === 1 ? "another contractor" : `${others} other contractors`;
  return [ids.includes(own) && "you", others > 0 && counted].filter(Boolean).join(" and ") || "nobody";
}

/** @param {JobEvent} event */
function moment(event) {
  const at = Date.parse(event.occurredAt);
  const isToday = localDate(at, ownZone) === localDate(Date.now(), ownZone);
  return isToday ? clock(at) : `${shortDay(at, ownZone)}, ${clock(at)}`;
}
