/** Shows the connection's state in words, and how old what is shown is while it is away. */

import { ageWords, statusWords } from "./connection-words.js";
import { byId, showText } from "./dom.js";

/** @typedef {import("./connection.js").LiveStatus} LiveStatus */

/** How often the age is looked at: it is told in minutes. */
const AGE_INTERVAL_MS = 10000;

export class ConnectionLine {
  /** @param {string} ageId the element that says how old what is shown is */
  constructor(ageId) {
    this.state = byId("connection");
    this.age = byId(ageId);
    /** @type {LiveStatus | null} */
    this.status = null;
    this.consequence = "";
    this.isLoaded = false;
    this.timer = setInterval(() => this.showAge(), AGE_INTERVAL_MS);
    this.state.hidden = false;
  }

  /**
   * @param {LiveStatus} status
   * @param {object} more
   * @param {number} more.caughtUp missed events that have come
   * @param {string} more.why the user is refused
   * @param {boolean} more.isLoaded whether there is anything to be old
   * @param {string} more.consequence what the user cannot do meanwhile
   */
  show(status, { caughtUp, why, isLoaded, consequence }) {
    [this.status, this.isLoaded, this.consequence] = [status, isLoaded, consequence];
    this.state.dataset.state = status.state;
    showText(this.state, statusWords(status, caughtUp, why));
    this.showAge();
  }

  showAge() {
    const age = this.status && this.isLoaded ? ageWords(this.status) : null;
    showText(this.age, age && [age, this.consequence].filter(Boolean).join(" "));
  }

  dispose() {
    clearInterval(this.timer);
    this.state.hidden = true;
    showText(this.age, null);
  }
}
