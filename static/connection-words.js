/** How the connection's state reads, and how old what is shown is. */

import { clock, localDate, ownZone, shortDay } from "./time.js";

/** @typedef {import("./connection.js").LiveStatus} LiveStatus */

/**
 * The state in a few words. `events` is how many of those that were missed have come.
 *
 * @param {LiveStatus} status
 * @param {number} events
 * @param {string} why the user is refused
 */
export function statusWords({ state, since }, events, why) {
  switch (state) {
    case "connecting":
      return "Connecting…";
    case "catching-up":
      return events > 0 ? `Catching up (${count(events, "event")})…` : "Catching up…";
    case "live":
      return "Live";
    case "reconnecting":
      return `Reconnecting since ${moment(since)}…`;
    case "offline":
      return `Offline since ${moment(since)}`;
    case "signed-out":
      return "Signed out";
    case "refused":
      return why ? `Refused: ${why}` : "Refused";
    default:
      return "Closed";
  }
}

/**
 * How old what is shown is: null while it is what the server has.
 *
 * @param {LiveStatus} status
 */
export function ageWords({ state, since }) {
  if (state === "live" || state === "connecting") return null;
  if (state === "catching-up") return "Loading what was missed.";
  const minutes = Math.floor((Date.now() - since) / 60000);
  const age = minutes < 1 ? "less than a minute" : minutes < 90 ? count(minutes, "minute") : count(Math.round(minutes / 60), "hour");
  return `What you see is ${age} old, as of ${moment(since)}, and may be out of date.`;
}

/** @param {number} number @param {string} thing */
export function count(number, thing) {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

/** The time of day, with the day when it is not today. @param {number} at */
function moment(at) {
  const isToday = localDate(at, ownZone) === localDate(Date.now(), ownZone);
  return isToday ? clock(at) : `${shortDay(at, ownZone)}, ${clock(at)}`;
}
