/**
 * The time axis of the board: some days of a zone, linear in real time. So a day on
 * which clocks change is 23 or 25 hours long, and no hour of it is stretched.
 */

import { fromLocal, localDate, shortDay, toLocal } from "../time.js";

/** What times are snapped to: every zone's offset is a multiple of it. */
export const SNAP_MS = 15 * 60000;

/**
 * A full hour of the zone.
 *
 * @typedef {object} Tick
 * @property {number} moment
 * @property {number} hour what clocks show
 * @property {boolean} isDay whether a day begins here
 */

export class Axis {
  /**
   * @param {string} date the first day, as `2026-03-01`
   * @param {number} days how many days
   * @param {string} zone
   */
  constructor(date, days, zone) {
    this.zone = zone;
    this.dates = Array.from({ length: days }, (_, index) => addDays(date, index));
    this.start = dayStart(date, zone);
    this.end = dayStart(addDays(date, days), zone);
    /** Where each day begins, and where the last one ends. */
    this.dayStarts = [...this.dates.map((one) => dayStart(one, zone)), this.end];
    this.ticks = ticksOf(this);
  }

  /** Tells two axes apart. */
  get key() {
    return `${this.dates[0]} ${this.dates.length} ${this.zone}`;
  }

  get hours() {
    return (this.end - this.start) / 3600000;
  }

  /** Where a moment lies: 0 at the start, 1 at the end. @param {number} moment */
  fraction(moment) {
    return (moment - this.start) / (this.end - this.start);
  }

  /** @param {number} fraction */
  momentAt(fraction) {
    return this.start + fraction * (this.end - this.start);
  }

  /** @param {number} start @param {number} end */
  overlaps(start, end) {
    return start < this.end && end > this.start;
  }

  /** What is special about a day, in words; null on most days. @param {number} day its place */
  clockChange(day) {
    const hours = (this.dayStarts[day + 1] - this.dayStarts[day]) / 3600000;
    if (hours === 24) return null;
    return `${hours} hours: clocks go ${hours < 24 ? "forward" : "back"}`;
  }

  /** The days, in words. */
  get title() {
    const [first, last] = [this.dates[0], this.dates[this.dates.length - 1]].map((date) => shortDay(Date.parse(`${date}T12:00Z`), "UTC"));
    const year = this.dates[this.dates.length - 1].slice(0, 4);
    return `${first === last ? first : `${first} – ${last}`} ${year}`;
  }
}

/** The nearest quarter of an hour. @param {number} moment */
export function snapped(moment) {
  return Math.round(moment / SNAP_MS) * SNAP_MS;
}

/** The next quarter of an hour before or after. @param {number} moment @param {-1 | 1} direction */
export function nextSnap(moment, direction) {
  return direction > 0 ? (Math.floor(moment / SNAP_MS) + 1) * SNAP_MS : (Math.ceil(moment / SNAP_MS) - 1) * SNAP_MS;
}

/** @param {string} date @param {number} days */
export function addDays(date, days) {
  return new Date(Date.parse(`${date}T00:00Z`) + days * 86400000).toISOString().slice(0, 10);
}

/** The Monday of that week. @param {string} date */
export function mondayOf(date) {
  return addDays(date, -((new Date(`${date}T00:00Z`).getUTCDay() + 6) % 7));
}

/** Whether it is a date, as `2026-03-01`. @param {string | null} text */
export function isDate(text) {
  return text !== null && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(`${text}T00:00Z`)) && addDays(text, 0) === text;
}

/** The first moment of a day. @param {string} date @param {string} zone */
export function dayStart(date, zone) {
  const midnight = fromLocal(`${date}T00:00`, zone)?.[0];
  if (midnight !== undefined) return midnight;
  // Clocks go forward at midnight: the day begins at one o'clock, or later.
  let moment = Date.parse(`${date}T00:00Z`) - 15 * 3600000;
  while (localDate(moment, zone) < date) moment += SNAP_MS;
  return moment;
}

/** @param {Axis} axis @returns {Tick[]} */
function ticksOf({ start, end, zone }) {
  const ticks = [];
  let day = "";
  for (let moment = start; moment < end; moment += SNAP_MS) {
    const local = toLocal(moment, zone);
    const isDay = local.slice(0, 10) !== day;
    day = local.slice(0, 10);
    if (isDay || local.endsWith(":00")) ticks.push({ moment, hour: Number(local.slice(11, 13)), isDay });
  }
  return ticks;
}
