/**
 * Moments in UTC, and how they read in a time zone. A moment is milliseconds since
 * 1970; a local time is the text of a `datetime-local` field.
 */

const LANGUAGE = "en-GB";
const DAY_MS = 24 * 60 * 60 * 1000;

/** @type {Map<string, Intl.DateTimeFormat>} */
const formatters = new Map();

/**
 * @param {string} zone
 * @param {Intl.DateTimeFormatOptions} options
 */
function formatter(zone, options) {
  const key = zone + JSON.stringify(options);
  let made = formatters.get(key);
  if (!made) {
    made = new Intl.DateTimeFormat(LANGUAGE, { timeZone: zone, hourCycle: "h23", ...options });
    formatters.set(key, made);
  }
  return made;
}

/**
 * The zone if this browser knows it, UTC otherwise: a time with a foreign label is
 * better than none, and every time is shown with its label.
 *
 * @param {string} zone
 */
export function knownZone(zone) {
  try {
    formatter(zone, {});
    return zone;
  } catch {
    return "UTC";
  }
}

/** @param {number} moment @param {string} zone */
function localParts(moment, zone) {
  const parts = formatter(zone, {
    year: "numeric", month: "2-digit", day: "2-digit",
    hour: "2-digit", minute: "2-digit", second: "2-digit",
  }).formatToParts(moment);
  /** @param {string} type */
  const part = (type) => parts.find((one) => one.type === type)?.value ?? "00";
  return {
    year: part("year").padStart(4, "0"), month: part("month"), day: part("day"),
    hour: part("hour"), minute: part("minute"), second: part("second"),
  };
}

/**
 * The date in the zone, as `2026-03-01`: sorts as text.
 *
 * @param {number} moment
 * @param {string} zone
 */
export function localDate(moment, zone) {
  const { year, month, day } = localParts(moment, zone);
  return `${year}-${month}-${day}`;
}

/**
 * The local time as a `datetime-local` field has it.
 *
 * @param {number} moment
 * @param {string} zone
 */
export function toLocal(moment, zone) {
  const { hour, minute } = localParts(moment, zone);
  return `${localDate(moment, zone)}T${hour}:${minute}`;
}

/** @param {number} moment @param {string} zone */
function offsetAt(moment, zone) {
  const { year, month, day, hour, minute, second } = localParts(moment, zone);
  const asUtc = Date.UTC(+year, +month - 1, +day, +hour, +minute, +second);
  return asUtc - Math.floor(moment / 1000) * 1000;
}

/**
 * The moments at which clocks in the zone show the local time: one on most days,
 * none in the hour that is skipped when clocks go forward, two in the hour that
 * comes again when they go back. Earliest first; null when the text is no time.
 *
 * @param {string} local
 * @param {string} zone
 * @returns {number[] | null}
 */
export function fromLocal(local, zone) {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)/.exec(local);
  if (!match || +match[1] < 1970) return null;
  const [year, month, day, hour, minute] = match.slice(1).map(Number);
  const asUtc = Date.UTC(year, month - 1, day, hour, minute);
  // A zone's offset is below a day, and it changes at most once within two, so the
  // offset in force is the one of the day before or of the day after.
  const offsets = new Set([offsetAt(asUtc - DAY_MS, zone), offsetAt(asUtc + DAY_MS, zone)]);
  return [...offsets]
    .map((offset) => asUtc - offset)
    .filter((moment) => toLocal(moment, zone) === local.slice(0, 16))
    .sort((a, b) => a - b);
}

/** @param {number} moment @param {string} zone */
export function timeOfDay(moment, zone) {
  return formatter(zone, { hour: "2-digit", minute: "2-digit" }).format(moment);
}

/** @param {number} moment @param {string} zone */
export function shortDay(moment, zone) {
  return formatter(zone, { weekday: "short", day: "numeric", month: "short" }).format(moment);
}

/**
 * A day's heading: `Tuesday 24 November`, and the day's name where it has one, `Today`.
 *
 * @param {string} date as {@link localDate} writes it
 * @param {string} today
 */
export function dayHeading(date, today) {
  const noon = Date.parse(`${date}T12:00:00Z`);
  const day = formatter("UTC", { weekday: "long", day: "numeric", month: "long" }).format(noon);
  const away = Math.round((noon - Date.parse(`${today}T12:00:00Z`)) / DAY_MS);
  const name = { "-1": "Yesterday", 0: "Today", 1: "Tomorrow" }[away];
  const year = date.slice(0, 4) === today.slice(0, 4) ? "" : ` ${date.slice(0, 4)}`;
  return { name: name ?? null, day: day + year };
}

/**
 * A window: `Tue 24 Nov, 09:00–11:00`, with both days when it goes past midnight.
 *
 * @param {number} start
 * @param {number} end
 * @param {string} zone
 */
export function windowText(start, end, zone) {
  const first = `${shortDay(start, zone)}, ${timeOfDay(start, zone)}`;
  return localDate(start, zone) === localDate(end, zone)
    ? `${first}–${timeOfDay(end, zone)}`
    : `${first} – ${shortDay(end, zone)}, ${timeOfDay(end, zone)}`;
}

/** How long: `2 h 30 min`. @param {number} milliseconds */
export function durationText(milliseconds) {
  const minutes = Math.round(milliseconds / 60000);
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
  const parts = [days && `${days} d`, hours && `${hours} h`, rest && `${rest} min`].filter(Boolean);
  return parts.join(" ") || "0 min";
}

/**
 * How far a clock in one zone is ahead of another one's: `1 h behind`; empty when it is
 * not.
 *
 * @param {number} moment
 * @param {string} zone whose clock
 * @param {string} other what it is compared with
 */
export function zoneDifference(moment, zone, other) {
  const ahead = offsetAt(moment, other) - offsetAt(moment, zone);
  return ahead === 0 ? "" : `${durationText(Math.abs(ahead))} ${ahead > 0 ? "ahead" : "behind"}`;
}

/** This device's zone. */
export const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** The time of day on this device: `10:42`. @param {number} moment */
export function clock(moment) {
  return timeOfDay(moment, ownZone);
}

/** The same with seconds. @param {number} moment */
export function clockSeconds(moment) {
  return formatter(ownZone, { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(moment);
}
