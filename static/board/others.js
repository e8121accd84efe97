/** Tells what others change, in one message: however much it is, it is told now and then. */

import { changeWords } from "../words.js";

/** @typedef {import("./jobs.js").JobEvent} JobEvent */

/** The time between two messages: nobody reads faster, least of all by ear. */
const TELL_EVERY_MS = 3000;

export class Others {
  /**
   * @param {object} desk
   * @param {import("./toasts.js").Toasts} desk.toasts
   * @param {import("../words.js").Names} desk.names
   * @param {(jobId: string) => void} desk.open
   */
  constructor({ toasts, names, open }) {
    this.toasts = toasts;
    this.names = names;
    this.open = open;
    /** What has not been told. */
    this.count = 0;
    /** @type {JobEvent | null} */
    this.last = null;
    this.toldAt = -Infinity;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** @param {JobEvent} event */
  take(event) {
    this.count += 1;
    this.last = event;
    this.timer ??= setTimeout(() => this.tell(), Math.max(0, this.toldAt + TELL_EVERY_MS - performance.now()));
  }

  tell() {
    this.timer = undefined;
    const { count, last } = this;
    if (!last) return;
    this.count = 0;
    this.toldAt = performance.now();
    const what = `“${last.title}”: ${changeWords(last, this.names)}`;
    this.toasts.show({
      kind: "others", key: "others",
      text: count === 1 ? `${what}.` : `${count} changes by others; the last: ${what}.`,
      actions: [{ text: "Open", name: "open-changed", run: () => this.open(last.jobId) }],
    });
  }

  dispose() {
    clearTimeout(this.timer);
  }
}
