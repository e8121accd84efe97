/**
 * Changes that the user makes on the board: shown at once, decided by the server, and
 * taken back for a minute.
 *
 * Each carries the version that the user saw. Who was second is asked; who asks to undo
 * what somebody has changed since is told, and nothing is undone.
 */

import { ApiError, freshKey } from "../api.js";
import { actorName, problemWords } from "../words.js";
import { windowText } from "../time.js";
import { inverse, planMove } from "./move-plan.js";
import { conflictsOf } from "./schedule.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("./move-plan.js").Step} Step */
/** @typedef {import("./move-plan.js").Target} Target */

/** How long a change can be taken back. */
export const UNDO_MS = 60000;

/** The reason that a change gives which takes another one back: for all to see. */
export const UNDO_REASON = "Undo";

/** Changes that can be taken back, at most. */
const UNDO_MAX = 20;

/**
 * @typedef {object} ChangeDesk
 * @property {import("./jobs.js").Jobs} jobs
 * @property {import("../api.js").Api} api
 * @property {import("./toasts.js").Toasts} toasts
 * @property {import("../words.js").Names} names
 * @property {() => string} zone the board's
 * @property {() => string | null} whyNot why nothing can be changed just now
 * @property {(question: { seen: Job, now: Job, target: Target }) => Promise<boolean>} ask whether to
 *   change the job although somebody was first
 * @property {(job: Job) => void} open
 * @property {() => void} onChange
 */

/** A change of several commands that ended between two of them. */
class HalfDone extends Error {
  /** @param {unknown} cause @param {Job} job as it was left */
  constructor(cause, job) {
    super("the change was half done");
    this.cause = cause;
    this.job = job;
  }
}

export class Changes {
  /** @param {ChangeDesk} desk */
  constructor(desk) {
    this.desk = desk;
    /** How jobs will be once the server has agreed. @type {Map<string, Target>} */
    this.pending = new Map();
    /** @type {{ jobId: string, title: string, version: number, back: Target, until: number }[]} */
    this.undoable = [];
  }

  /** The job as it is shown. @param {Job} job @returns {Job} */
  shown(job) {
    const target = this.pending.get(job.id);
    return target ? { ...job, ...target } : job;
  }

  /** @param {Job} job */
  isPending(job) {
    return this.pending.has(job.id);
  }

  /**
   * Moves a job, if it still is as the user saw it.
   *
   * @param {Job} seen
   * @param {Target} target
   * @param {{ reason?: string, isUndo?: boolean, steps?: (Step & { key: string })[] }} [how]
   * @returns {Promise<boolean>} whether it is as it was to be
   */
  async move(seen, target, how = {}) {
    const whyNot = this.desk.whyNot() ?? (this.pending.has(seen.id) ? "Its last change is still being saved." : null);
    if (whyNot) return this.refuse(`“${seen.title}” was not moved.`, [whyNot]);
    const now = this.desk.jobs.byId.get(seen.id) ?? seen;
    if (now.version > seen.version && !how.isUndo) return this.settle(seen, now, target);
    const steps = how.steps ?? this.plan(seen, target).map((step) => ({ ...step, key: freshKey() }));
    if (steps.length === 0) return true;
    this.pending.set(seen.id, target);
    this.desk.onChange();
    try {
      const changed = await this.run(seen, steps, how.reason);
      this.pending.delete(seen.id);
      if (!how.isUndo) this.done(seen, changed);
      return true;
    } catch (error) {
      this.pending.delete(seen.id);
      return await this.failed(error, seen, target, { ...how, steps });
    } finally {
      this.desk.onChange();
    }
  }

  /** @param {Job} seen @param {Target} target */
  plan(seen, target) {
    return planMove(seen, target, (ids, start, end) =>
      conflictsOf(this.desk.jobs.byId.values(), seen.id, ids, Date.parse(start), Date.parse(end)).length === 0);
  }

  /**
   * Sends one command after the other, each upon what the one before has made; takes
   * back what was done when a later one is refused.
   *
   * @param {Job} seen
   * @param {(Step & { key: string })[]} steps
   * @param {string} [reason]
   */
  async run(seen, steps, reason) {
    let job = seen;
    /** @type {Step[]} */
    const done = [];
    for (const step of steps) {
      try {
        job = await this.send(job, step, step.key, reason);
        done.push(step);
      } catch (error) {
        if (done.length > 0) await this.takeBack(job, done, seen, error);
        throw error;
      }
    }
    return job;
  }

  /** @param {Job} job @param {Step} step @param {string} key @param {string} [reason] */
  async send(job, step, key, reason) {
    const changed = step.kind === "assign"
      ? await this.desk.api.assign(job, { contractorIds: step.contractorIds }, key)
      : await this.desk.api.reschedule(job, { startUtc: step.startUtc, endUtc: step.endUtc, reason }, key);
    this.desk.jobs.apply(changed);
    return changed;
  }

  /** @param {Job} job @param {Step[]} done @param {Job} before @param {unknown} error why the rest was not done */
  async takeBack(job, done, before, error) {
    // Whether the last one was done is not known: taking back could be wrong.
    if (error instanceof ApiError && error.code === "unreachable") throw new HalfDone(error, job);
    try {
      for (const step of done.reverse()) job = await this.send(job, inverse(step, before), freshKey(), "Taken back: only one half of the change was possible");
    } catch {
      throw new HalfDone(error, job);
    }
  }

  /**
   * @param {unknown} error
   * @param {Job} seen
   * @param {Target} target
   * @param {{ reason?: string, isUndo?: boolean, steps: (Step & { key: string })[] }} how
   */
  async failed(error, seen, target, how) {
    if (error instanceof HalfDone) {
      const { text, details } = problemWords(error.cause, (id) => this.desk.jobs.byId.get(id));
      const { names, zone } = this.desk;
      const left = `Half of the change was made and could not be taken back: it is now ${windowText(Date.parse(error.job.startUtc), Date.parse(error.job.endUtc), zone())}, ${names(error.job.contractorIds)}.`;
      return this.refuse(`“${seen.title}”: ${left}`, [text, ...details], error.job);
    }
    const now = error instanceof ApiError ? error.problem.job : undefined;
    if (now) {
      this.desk.jobs.apply(now);
      if (how.isUndo) return this.refuse(...this.overtaken(seen));
      return this.settle(seen, now, target);
    }
    const { text, details } = problemWords(error, (id) => this.desk.jobs.byId.get(id));
    if (error instanceof ApiError && error.code === "unreachable") {
      this.desk.toasts.show({
        kind: "problem", text: `“${seen.title}”: ${text}`,
        // With the same keys, so that it is not done twice.
        actions: [{ text: "Try again", name: "retry", run: () => void this.move(seen, target, how) }],
      });
      return false;
    }
    const inTheWay = error instanceof ApiError ? this.desk.jobs.byId.get(error.problem.conflictingJobIds?.[0] ?? "") : undefined;
    return this.refuse(`“${seen.title}”: ${text}`, details, inTheWay);
  }

  /** Somebody was first: what counts? @param {Job} seen @param {Job} now @param {Target} target */
  async settle(seen, now, target) {
    if (!(await this.desk.ask({ seen, now, target }))) return false;
    const latest = this.desk.jobs.byId.get(seen.id) ?? now;
    return this.move(latest, target);
  }

  /** @param {string} text @param {string[]} details @param {Job} [job] that it is about */
  refuse(text, details, job) {
    const actions = job ? [{ text: `Open “${job.title}”`, name: "open", run: () => this.desk.open(job) }] : [];
    this.desk.toasts.show({ kind: "problem", text, details, actions });
    return false;
  }

  // Undo

  /** Notes a change that the server has made, and offers to take it back. @param {Target} before @param {Job} changed */
  done(before, changed) {
    const back = { startUtc: before.startUtc, endUtc: before.endUtc, contractorIds: before.contractorIds };
    this.undoable = [
      ...this.undoable.filter((one) => one.until > Date.now() && one.jobId !== changed.id).slice(1 - UNDO_MAX),
      { jobId: changed.id, title: changed.title, version: changed.version, back, until: Date.now() + UNDO_MS },
    ];
    const { names, zone, toasts } = this.desk;
    const when = windowText(Date.parse(changed.startUtc), Date.parse(changed.endUtc), zone());
    toasts.show({
      kind: "done", key: "undo", stayMs: UNDO_MS,
      text: `“${changed.title}” is now ${when}, ${names(changed.contractorIds)}.`,
      actions: [{ text: "Undo", name: "undo", run: () => void this.undo() }],
    });
  }

  /** Takes the last change back, unless somebody has changed the job since. */
  async undo() {
    const entry = this.undoable.pop();
    this.desk.toasts.close("undo");
    if (!entry || entry.until < Date.now()) return void this.desk.toasts.show({ kind: "done", key: "nothing", text: "There is nothing to undo." });
    const now = this.desk.jobs.byId.get(entry.jobId);
    if (!now || now.version !== entry.version) return void this.refuse(...this.overtaken(now ?? entry));
    if (!(await this.move(now, entry.back, { reason: UNDO_REASON, isUndo: true }))) return;
    this.desk.toasts.show({ kind: "done", key: "undo", text: `Undone: “${entry.title}” is as it was.` });
  }

  /** @param {Job | { title: string }} job @returns {[string, string[]]} */
  overtaken(job) {
    const change = "id" in job ? this.desk.jobs.changeOf(this.desk.jobs.byId.get(job.id) ?? job) : undefined;
    return [`“${job.title}” was not undone: ${change ? actorName(change) : "somebody"} has changed it since.`, []];
  }
}
