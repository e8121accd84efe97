/** The feed of events: newest first, bounded. */

import { element } from "../dom.js";
import { clock, clockSeconds, localDate, ownZone, shortDay } from "../time.js";
import { actorName, beforeAndAfter, eventWord } from "../words.js";
import { givenReason } from "./jobs.js";

/** @typedef {import("./jobs.js").JobEvent} JobEvent */

/** Lines that the feed keeps, and events that it asks for at the start. */
const FEED_LINES_MAX = 200;

export class EventFeed {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} empty shown while there are no lines
   * @param {import("../words.js").Names} names
   */
  constructor(list, empty, names) {
    this.list = list;
    this.empty = empty;
    this.names = names;
    this.linesMax = FEED_LINES_MAX;
    /** In sequence order. @type {{ sequence: number, line: HTMLElement }[]} */
    this.lines = [];
    list.replaceChildren();
    this.empty.hidden = false;
  }

  /** The newest event's sequence; 0 without any. */
  get sequence() {
    return this.lines.at(-1)?.sequence ?? 0;
  }

  /**
   * Adds an event at its place; one that is there already, or is older than what the
   * full feed keeps, changes nothing.
   *
   * @param {JobEvent} event
   */
  add(event) {
    let place = this.lines.length;
    while (place > 0 && this.lines[place - 1].sequence > event.sequence) place -= 1;
    if (this.lines[place - 1]?.sequence === event.sequence) return;
    if (place === 0 && this.lines.length >= FEED_LINES_MAX) return;
    const line = this.line(event);
    this.list.insertBefore(line, this.lines[place - 1]?.line ?? null);
    this.lines.splice(place, 0, { sequence: event.sequence, line });
    if (this.lines.length > FEED_LINES_MAX) this.lines.shift()?.line.remove();
    this.empty.hidden = true;
  }

  /** Empties the feed: what follows does not continue what is there. */
  clear() {
    this.lines = [];
    this.list.replaceChildren();
    this.empty.hidden = false;
  }

  /** @param {JobEvent} event */
  line(event) {
    const { before, after } = beforeAndAfter(event, this.names);
    const moment = Date.parse(event.occurredAt);
    const isToday = localDate(moment, ownZone) === localDate(Date.now(), ownZone);
    const reason = givenReason(event);
    return element(
      "li",
      { "data-testid": "feed-line", "data-type": event.type, "data-sequence": event.sequence },
      element(
        "p",
        { class: "feed-top" },
        element("time", { datetime: event.occurredAt }, isToday ? clockSeconds(moment) : `${shortDay(moment, ownZone)}, ${clock(moment)}`),
        element("span", { class: "feed-type" }, eventWord(event.type)),
        element("span", { class: "dim" }, `by ${actorName(event)}`),
      ),
      element("p", { class: "feed-title" }, event.title, element("span", { class: "dim zone" }, ` ${event.timezone}`)),
      element(
        "p",
        { class: "feed-change" },
        before && element("s", {}, before),
        before && " → ",
        element("span", {}, after),
      ),
      reason && element("p", { class: "feed-reason" }, element("q", {}, reason)),
    );
  }
}
