/**
 * Says in time that a sign-in ends, and lets the user sign in again without leaving what
 * is on the page.
 */

import { element, showText, byId } from "./dom.js";
import { signInAddress } from "./hand-over.js";
import { sessionOfToken } from "./session.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./session.js").SignInPages} SignInPages */

/** How long before its end a sign-in that will not be renewed is spoken of. */
const NOTICE_MS = 5 * 60000;

export class SessionNotice {
  /**
   * @param {SignInPages} pages
   * @param {AbortSignal} signal until when it is shown
   */
  constructor(pages, signal) {
    this.pages = pages;
    this.root = byId("session-notice");
    this.text = element("p", { role: "status", "data-testid": "session-notice" });
    this.again = pages.signInUrl
      ? element("a", { class: "button", href: "#", "data-testid": "sign-in-again" }, "Sign in again")
      : element("button", { type: "button", class: "button", "data-testid": "sign-in-again" }, "Sign in again");
    this.again.addEventListener("click", () => this.ask());
    this.isOver = false;
    /** @type {(session: Session) => void} */
    this.onSession = () => {};
    this.dialog = this.makeDialog();
    this.root.replaceChildren(this.text, this.again);
    this.root.hidden = true;
    signal.addEventListener("abort", () => {
      this.root.hidden = true;
      this.root.replaceChildren();
      this.dialog.remove();
    });
  }

  /** How long the sign-in lasts; null when its end is not in sight. @param {number | null} endsInMs */
  ending(endsInMs) {
    if (endsInMs === null) this.isOver = false;
    if (this.isOver) return;
    const isSoon = endsInMs !== null && endsInMs <= NOTICE_MS;
    this.root.hidden = !isSoon;
    if (!isSoon) return;
    const minutes = Math.ceil(endsInMs / 60000);
    showText(this.text, `Your sign-in ends in ${minutes <= 1 ? "less than a minute" : `${minutes} minutes`}, and could not be renewed.`);
  }

  ended() {
    this.isOver = true;
    this.root.hidden = false;
    showText(this.text, "Your sign-in has ended. What you see stays, but it is not kept up to date, and nothing can be changed.");
  }

  /** Leads to the sign-in page, or asks for a token. */
  ask() {
    const { signInUrl } = this.pages;
    // The address says what is looked at by now.
    if (signInUrl) this.again.setAttribute("href", signInAddress(signInUrl));
    else /** @type {HTMLDialogElement} */ (this.dialog).showModal();
  }

  makeDialog() {
    const token = /** @type {HTMLTextAreaElement} */ (element("textarea", { id: "token-again", rows: 5, autocomplete: "off", spellcheck: "false", "data-testid": "token-again", "aria-describedby": "token-again-problem" }));
    const problem = element("p", { class: "problem", id: "token-again-problem", role: "alert", hidden: true });
    const back = element("button", { type: "button", class: "button" }, "Back");
    const form = element(
      "form",
      { novalidate: true },
      element("h2", { id: "sign-in-again-title" }, "Sign in again"),
      element("label", { for: "token-again" }, "Token"),
      token,
      problem,
      element("div", { class: "dialog-buttons" }, back, element("button", { type: "submit", class: "button primary", "data-testid": "token-again-submit" }, "Sign in")),
    );
    const dialog = /** @type {HTMLDialogElement} */ (element("dialog", { "aria-labelledby": "sign-in-again-title", "data-testid": "sign-in-again-dialog" }, form));
    back.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => (token.value = ""));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      try {
        const session = sessionOfToken(token.value.trim());
        dialog.close();
        this.onSession(session);
      } catch (error) {
        showText(problem, error instanceof Error ? error.message : String(error));
        token.focus();
      }
    });
    document.body.append(dialog);
    return dialog;
  }
}
