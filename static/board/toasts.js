/**
 * Short messages in a corner. There are few at once; those of one kind become one with a
 * count, and none takes the focus.
 */

import { element } from "../dom.js";

/** Messages at once; the oldest that is no problem goes for a new one. */
const SHOWN_MAX = 4;

/** How long a message stays that says no other time. */
const STAY_MS = 7000;

/**
 * @typedef {object} Toast
 * @property {string} text
 * @property {"done" | "others" | "problem"} kind a problem stays until it is closed
 * @property {string} [key] a message of the same key takes the place of the one before
 * @property {(count: number) => string} [merged] what to say instead once it came that often
 * @property {string[]} [details]
 * @property {{ text: string, name: string, run: () => void }[]} [actions]
 * @property {number} [stayMs]
 */

export class Toasts {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    root.replaceChildren();
    /** @type {{ toast: Toast, count: number, node: HTMLElement, timer: number | undefined, ends: number }[]} */
    this.shown = [];
    // Who reads or reaches for a button has the time that they need.
    for (const type of ["pointerenter", "focusin"]) root.addEventListener(type, () => this.pause());
    for (const type of ["pointerleave", "focusout"]) root.addEventListener(type, () => this.goOn());
  }

  /** @param {Toast} toast */
  show(toast) {
    const known = toast.key ? this.shown.find((one) => one.toast.key === toast.key) : undefined;
    const count = (known?.count ?? 0) + 1;
    if (known) this.remove(known);
    const text = count > 1 && toast.merged ? toast.merged(count) : toast.text;
    const node = this.draw(toast, text);
    const entry = { toast, count, node, timer: undefined, ends: Date.now() + (toast.stayMs ?? STAY_MS) };
    this.shown.push(entry);
    this.root.append(node);
    this.start(entry);
    while (this.shown.length > SHOWN_MAX) this.remove(this.shown.find((one) => one.toast.kind !== "problem") ?? this.shown[0]);
  }

  /** Takes the message of that key away. @param {string} key */
  close(key) {
    const known = this.shown.find((one) => one.toast.key === key);
    if (known) this.remove(known);
  }

  clear() {
    for (const entry of [...this.shown]) this.remove(entry);
  }

  /** @param {Toast} toast @param {string} text */
  draw({ kind, details = [], actions = [] }, text) {
    const close = element("button", { type: "button", class: "toast-close", "aria-label": "Close the message", "data-testid": "toast-close" }, "✕");
    const buttons = actions.map(({ text: label, name, run }) => {
      const button = element("button", { type: "button", class: "button small", "data-testid": `toast-${name}` }, label);
      button.addEventListener("click", () => {
        this.removeNode(node);
        run();
      });
      return button;
    });
    const node = element(
      "div",
      { class: "toast", "data-kind": kind, "data-testid": "toast" },
      element("i", { class: "toast-sign", "aria-hidden": true }, { done: "✓", others: "↻", problem: "⚠" }[kind]),
      element("div", { class: "toast-words" }, element("p", {}, text), details.length > 0 && element("ul", {}, ...details.map((one) => element("li", {}, one)))),
      ...buttons,
      close,
    );
    close.addEventListener("click", () => this.removeNode(node));
    return node;
  }

  /** @param {HTMLElement} node */
  removeNode(node) {
    const entry = this.shown.find((one) => one.node === node);
    if (entry) this.remove(entry);
  }

  /** @param {Toasts["shown"][number]} entry */
  remove(entry) {
    clearTimeout(entry.timer);
    this.shown = this.shown.filter((one) => one !== entry);
    entry.node.remove();
  }

  /** @param {Toasts["shown"][number]} entry */
  start(entry) {
    if (entry.toast.kind === "problem") return;
    entry.timer = setTimeout(() => this.remove(entry), Math.max(0, entry.ends - Date.now()));
  }

  pause() {
    for (const entry of this.shown) clearTimeout(entry.timer);
  }

  goOn() {
    for (const entry of this.shown) {
      clearTimeout(entry.timer);
      // An offer ends when it ends; anything else may be looked at a little longer.
      if (!entry.toast.stayMs) entry.ends = Math.max(entry.ends, Date.now() + STAY_MS / 2);
      this.start(entry);
    }
  }
}
