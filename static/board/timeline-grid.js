/** What the timeline draws of its axis: the header with days and hours, and the ground behind the bars. */

import { element } from "../dom.js";
import { shortDay } from "../time.js";

/** @typedef {import("./axis.js").Axis} Axis */

/** Hours of the day during which most work is done; the others are shaded. */
const DAY_HOURS = { first: 7, last: 18 };

/** The label of an hour needs so much room. */
const HOUR_LABEL_PX = 46;

/** Hours between two labels. */
const STEPS = [1, 2, 3, 6, 12];

/** @param {Axis} axis @param {number} width */
function stepOf(axis, width) {
  return STEPS.find((step) => (width / axis.hours) * step >= HOUR_LABEL_PX) ?? 12;
}

/**
 * The header: each day's name stays in sight while any of the day is.
 *
 * @param {Axis} axis
 * @param {number} width in pixels
 */
export function headerOf(axis, width) {
  const step = stepOf(axis, width);
  const days = axis.dates.map((date, index) => {
    const change = axis.clockChange(index);
    const day = element(
      "div",
      { class: "axis-day", "data-date": date },
      element("span", {}, shortDay(Date.parse(`${date}T12:00Z`), "UTC"), change && element("em", { "data-testid": "clock-change" }, ` · ${change}`)),
    );
    place(day, axis, axis.dayStarts[index], axis.dayStarts[index + 1]);
    return day;
  });
  const hours = axis.ticks
    .filter((tick) => tick.hour % step === 0)
    .map((tick) => {
      const hour = element("div", { class: "axis-hour", "data-moment": tick.moment }, `${String(tick.hour).padStart(2, "0")}:00`);
      place(hour, axis, tick.moment, tick.moment + step * 3600000);
      return hour;
    });
  const header = element("div", { class: "axis", "data-testid": "axis" }, ...days, ...hours, element("i", { class: "now-mark" }));
  return header;
}

/** @param {HTMLElement} node @param {Axis} axis @param {number} start @param {number} end */
function place(node, axis, start, end) {
  node.style.left = `${axis.fraction(start) * 100}%`;
  node.style.width = `${axis.fraction(Math.min(end, axis.end)) * 100 - axis.fraction(start) * 100}%`;
}

/**
 * The ground of every row, as a CSS image: lines at hours and days, and shaded nights.
 * One image for all rows costs less than elements in each.
 *
 * @param {Axis} axis
 * @param {number} width in pixels
 */
export function gridOf(axis, width) {
  const step = stepOf(axis, width);
  /** @param {number} moment */
  const at = (moment) => Math.round(axis.fraction(moment) * width);
  const lines = axis.ticks
    .filter((tick) => tick.isDay || tick.hour % step === 0)
    .map((tick) => ({ from: at(tick.moment), to: at(tick.moment) + (tick.isDay ? 2 : 1), colour: tick.isDay ? "--day-line" : "--hour-line" }));
  const nights = axis.ticks
    .map((tick, index) => ({ tick, end: axis.ticks[index + 1]?.moment ?? axis.end }))
    .filter(({ tick }) => tick.hour < DAY_HOURS.first || tick.hour >= DAY_HOURS.last)
    .map(({ tick, end }) => ({ from: at(tick.moment), to: at(end), colour: "--night" }));
  return `${bands(lines)}, ${bands(nights)}`;
}

/** @param {{ from: number, to: number, colour: string }[]} all in their order */
function bands(all) {
  let end = 0;
  const stops = [];
  for (const { from, to, colour } of all) {
    if (from > end) stops.push(`transparent ${end}px ${from}px`);
    stops.push(`var(${colour}) ${Math.max(from, end)}px ${to}px`);
    end = to;
  }
  stops.push(`transparent ${end}px`);
  return `linear-gradient(90deg, ${stops.join(", ")})`;
}
