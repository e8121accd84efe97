/** Things that arrive, and those who wait for them. */

import { within } from "../waiting.mjs";

/** Things that arrive one after another, and those who wait for them. @template T */
export class Inbox {
  constructor() {
    /** What has arrived and nobody has taken. @type {T[]} */
    this.items = [];
    /** @type {(() => boolean)[]} */
    this.waiting = [];
    this.hasEnded = false;
  }

  /** @param {T} item */
  push(item) {
    this.items.push(item);
    this.#wake();
  }

  /** Nothing more will arrive: whoever waits for something else than what is here waits in vain. */
  end() {
    this.hasEnded = true;
    this.#wake();
  }

  /**
   * Takes the first item that matches, as soon as there is one.
   *
   * @param {string} what
   * @param {(item: T) => boolean} [matches]
   * @returns {Promise<T>}
   */
  async take(what, matches = () => true, limitMs = undefined) {
    const taken = new Promise((resolve, reject) => {
      const look = () => {
        const at = this.items.findIndex(matches);
        if (at >= 0) resolve(this.items.splice(at, 1)[0]);
        else if (this.hasEnded) reject(new Error(`the connection ended before: ${what}; it had ${JSON.stringify(this.items)}`));
        return at >= 0 || this.hasEnded;
      };
      if (!look()) this.waiting.push(look);
    });
    return within(what, taken, limitMs);
  }

  /** The next item, however long that takes; undefined if nothing more arrives. @returns {Promise<T | undefined>} */
  async next() {
    return new Promise((resolve) => {
      const look = () => {
        if (this.items.length === 0 && !this.hasEnded) return false;
        resolve(this.items.shift());
        return true;
      };
      if (!look()) this.waiting.push(look);
    });
  }

  #wake() {
    this.waiting = this.waiting.filter((look) => !look());
  }
}
