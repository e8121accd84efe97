/** Asks what counts when somebody else has changed a job that the user was moving. */

import { element } from "../dom.js";
import { windowText } from "../time.js";
import { actorName, eventWord, isOpen, statusWord } from "../words.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("./move-plan.js").Target} Target */

export class OvertakenDialog {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {object} desk
   * @param {import("./jobs.js").Jobs} desk.jobs
   * @param {import("../words.js").Names} desk.names
   * @param {() => string} desk.zone
   * @param {AbortSignal} signal until when it listens
   */
  constructor(dialog, desk, signal) {
    this.dialog = dialog;
    this.desk = desk;
    /** @type {{ seen: Job, target: Target, resolve: (isAgain: boolean) => void }[]} */
    this.questions = [];
    this.part("keep").addEventListener("click", () => dialog.close(), { signal });
    this.part("again").addEventListener("click", () => dialog.close("again"), { signal });
    dialog.addEventListener("close", () => this.answer(dialog.returnValue === "again"), { signal });
    signal.addEventListener("abort", () => {
      dialog.close();
      for (const { resolve } of this.questions.splice(0)) resolve(false);
    });
  }

  /** @param {string} name @returns {any} */
  part(name) {
    return this.dialog.querySelector(`[data-part="${name}"]`);
  }

  /** Whether to move the job all the same. @param {{ seen: Job, target: Target }} question @returns {Promise<boolean>} */
  ask({ seen, target }) {
    return new Promise((resolve) => {
      this.questions.push({ seen, target, resolve });
      if (this.questions.length === 1) this.show();
    });
  }

  /** @param {boolean} isAgain */
  answer(isAgain) {
    this.questions.shift()?.resolve(isAgain);
    if (this.questions.length > 0) this.show();
  }

  show() {
    this.dialog.returnValue = "";
    this.update();
    this.dialog.showModal();
  }

  /** Shows what is so at this moment. */
  update() {
    const question = this.questions[0];
    if (!question) return;
    const { seen, target } = question;
    const { jobs, names, zone } = this.desk;
    const now = jobs.byId.get(seen.id);
    /** @param {Target} how */
    const words = (how) => `${windowText(Date.parse(how.startUtc), Date.parse(how.endUtc), zone())}, ${names(how.contractorIds)}`;
    const change = now && jobs.changeOf(now);
    const isOver = !now || !isOpen(now);
    const who = change ? `${actorName(change)} ${eventWord(change.type).toLowerCase()} “${seen.title}” while you were moving it.` : `Somebody changed “${seen.title}” while you were moving it.`;
    const lines = [
      ["It was", words(seen)],
      ["It is now", !now ? "no longer among yours" : isOpen(now) ? words(now) : `${statusWord(now.status).toLowerCase()}, ${words(now)}`],
      ["You want", words(target)],
    ];
    this.part("who").textContent = who;
    this.part("facts").replaceChildren(...lines.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
    this.part("again").hidden = isOver;
  }
}
