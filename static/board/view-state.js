/** What the user looks at, kept in the address: a link shows the same, and Back goes back. */

import { readView, writeView } from "./filters.js";

/** @typedef {import("./filters.js").View} View */

/** Changes of these are steps that Back takes back; the others only correct the address. */
const STEPS = ["view", "date", "job"];

export class ViewState {
  /** @param {() => void} onChange @param {AbortSignal} signal until when it listens */
  constructor(onChange, signal) {
    this.onChange = onChange;
    /** @type {View} */
    this.view = readView(location.search);
    addEventListener("popstate", () => {
      this.view = readView(location.search);
      onChange();
    }, { signal });
  }

  /** @param {Partial<View>} change */
  set(change) {
    const before = writeView(this.view, location.href);
    const isStep = Object.keys(change).some((name) => STEPS.includes(name));
    this.view = { ...this.view, ...change };
    const after = writeView(this.view, location.href);
    if (after !== before) history[isStep ? "pushState" : "replaceState"](null, "", after);
    this.onChange();
  }
}
