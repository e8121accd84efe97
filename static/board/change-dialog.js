/**
 * What the dialogs that change a job have in common: they keep to the version that the
 * user saw when they opened, say so at once when somebody else changes the job
 * meanwhile, and leave it to the server to judge who was first.
 */

import { ApiError, freshKey } from "../api.js";
import { element, showText } from "../dom.js";
import { knownZone } from "../time.js";
import { actorName, eventWord, isOpen, jobWindow, problemWords, statusWord } from "../words.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("./jobs.js").Jobs} Jobs */

/**
 * What the dialogs need of the page.
 *
 * @typedef {object} Desk
 * @property {Jobs} jobs
 * @property {import("../api.js").Api} api
 * @property {(text: string) => void} announce
 * @property {() => string | null} whyNot why nothing can be changed just now
 * @property {(before: Job, changed: Job) => void} done told when the server has made a change
 */

export class ChangeDialog {
  /** @param {HTMLDialogElement} dialog @param {Desk} desk */
  constructor(dialog, desk) {
    this.dialog = dialog;
    this.desk = desk;
    /** The job as the user saw it. @type {Job | null} */
    this.job = null;
    this.isSending = false;
    /** The last request's content, with its key: the same wish keeps its key. */
    this.wish = { content: "", key: "" };
    this.listening = new AbortController();
    const { signal } = this.listening;
    dialog.querySelector("form")?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.submit();
    }, { signal });
    this.part("close").addEventListener("click", () => dialog.close(), { signal });
    this.part("start-over").addEventListener("click", () => this.startOver(), { signal });
    dialog.addEventListener("close", () => (this.job = null), { signal });
  }

  /** @param {string} name @returns {any} */
  part(name) {
    return this.dialog.querySelector(`[data-part="${name}"]`);
  }

  /** @param {Job} job */
  open(job) {
    this.begin(job);
    const reason = this.reasonInput;
    if (reason) reason.value = "";
    this.dialog.showModal();
  }

  /** Starts from the job as it is now. */
  startOver() {
    const job = this.job && this.desk.jobs.byId.get(this.job.id);
    if (job) this.begin(job);
  }

  /** @param {Job} job */
  begin(job) {
    this.job = job;
    this.isSending = false;
    this.showProblem(null);
    this.fill(job);
    this.part("job").replaceChildren(
      element("strong", {}, job.title),
      element("span", { class: "dim" }, [job.customer, job.address].filter(Boolean).join(", ")),
      element("span", {}, `${jobWindow(job)} (${knownZone(job.timezone)})`),
    );
    this.update();
  }

  /** Puts the job's values into the fields. @param {Job} _job */
  fill(_job) {}

  /** Whether the fields hold something that can be sent. */
  isReady() {
    return true;
  }

  /** Closes for good: another user takes over. */
  dispose() {
    this.listening.abort();
    this.dialog.close();
  }

  /** Shows what is so at this moment. */
  update() {
    if (!this.job) return;
    const now = this.desk.jobs.byId.get(this.job.id);
    const isStale = now !== undefined && now.version > this.job.version;
    const isOver = now === undefined || !isOpen(now);
    this.part("changed").hidden = !isStale && !isOver;
    showText(this.part("changed-text"), isStale || isOver ? this.changedText(now) : null);
    this.part("start-over").hidden = isOver;
    const submit = this.part("submit");
    const whyNot = this.desk.whyNot();
    submit.disabled = whyNot !== null || this.isSending || isOver || !this.isReady();
    const isPaused = this.part("problem").hasAttribute("data-pause");
    if (whyNot && !isPaused) {
      this.showProblem({ text: whyNot, details: [], isPause: true });
    } else if (!whyNot && isPaused) {
      this.showProblem(null);
    }
  }

  /** @param {Job | undefined} now */
  changedText(now) {
    if (!now) return "This job is no longer among yours.";
    const change = this.desk.jobs.changeOf(now);
    const who = change ? `${actorName(change)} ${eventWord(change.type).toLowerCase()} this job` : "Somebody changed this job";
    return `${who} meanwhile. It is now ${statusWord(now.status).toLowerCase()}: ${jobWindow(now)}.`;
  }

  /** @param {{ text: string, details: string[], isPause?: boolean } | null} problem */
  showProblem(problem) {
    const target = this.part("problem");
    target.hidden = problem === null;
    target.toggleAttribute("data-pause", problem?.isPause === true);
    if (!problem) return target.replaceChildren();
    const details = problem.details.map((text) => element("li", {}, text));
    target.replaceChildren(element("p", {}, problem.text), ...(details.length > 0 ? [element("ul", {}, ...details)] : []));
  }

  /** @returns {HTMLInputElement | null} */
  get reasonInput() {
    return this.dialog.querySelector('[data-testid="reason"]');
  }

  /** The user's reason, if there is one. */
  reason() {
    return this.reasonInput?.value.trim() || undefined;
  }

  /** The body to send. @returns {any} */
  content() {
    return { reason: this.reason() };
  }

  /** @param {Job} _job @param {any} _content @param {string} _key @returns {Promise<Job>} */
  async send(_job, _content, _key) {
    throw new Error("each dialog sends its own request");
  }

  /** What to say when it is done. @param {Job} _job */
  doneText(_job) {
    return "";
  }

  async submit() {
    const job = this.job;
    if (!job || this.part("submit").disabled) return;
    const content = this.content();
    const wish = JSON.stringify([job.id, job.version, content]);
    if (this.wish.content !== wish) this.wish = { content: wish, key: freshKey() };
    this.isSending = true;
    this.showProblem(null);
    this.update();
    try {
      const changed = await this.send(job, content, this.wish.key);
      this.desk.jobs.apply(changed);
      this.desk.announce(this.doneText(changed));
      this.desk.done(job, changed);
      this.dialog.close();
    } catch (error) {
      // By now the user may have closed the dialog, or opened it for another job.
      const isSame = this.job === job;
      if (isSame) this.isSending = false;
      if (error instanceof ApiError && error.problem.job) this.desk.jobs.apply(error.problem.job);
      if (isSame) this.showProblem(problemWords(error, (id) => this.desk.jobs.byId.get(id)));
      this.update();
    }
  }
}
