/** Calls a job off, for a reason that is chosen or written. */

import { element } from "../dom.js";
import { ChangeDialog } from "./change-dialog.js";

/** @typedef {import("../api.js").Job} Job */

/** What most cancellations are for. */
const COMMON_REASONS = [
  "The customer called it off", "Nobody at the site", "No access to the site", "Parts are missing",
  "The contractor is ill", "Weather", "Planned twice",
];

export class CancelDialog extends ChangeDialog {
  /** @param {HTMLDialogElement} dialog @param {import("./change-dialog.js").Desk} desk */
  constructor(dialog, desk) {
    super(dialog, desk);
    const { signal } = this.listening;
    this.choices = COMMON_REASONS.map((reason) => {
      const choice = element("button", { type: "button", class: "chip", "aria-pressed": "false", "data-testid": "common-reason" }, reason);
      choice.addEventListener("click", () => this.choose(reason), { signal });
      return choice;
    });
    this.part("reasons").replaceChildren(...this.choices);
    this.reasonInput?.addEventListener("input", () => this.update(), { signal });
  }

  /** Puts a common reason into the field, where it can be added to. @param {string} reason */
  choose(reason) {
    const input = this.reasonInput;
    if (!input) return;
    input.value = input.value === reason ? "" : reason;
    input.focus();
    input.setSelectionRange(input.value.length, input.value.length);
    this.update();
  }

  /** @override */
  update() {
    super.update();
    const reason = this.reasonInput?.value ?? "";
    for (const choice of this.choices) {
      choice.setAttribute("aria-pressed", String(choice.textContent === reason));
    }
  }

  /** @override @param {Job} job @param {any} content @param {string} key */
  async send(job, content, key) {
    return this.desk.api.cancel(job, content, key);
  }

  /** @override @param {Job} job */
  doneText(job) {
    return `“${job.title}” is cancelled.`;
  }
}
