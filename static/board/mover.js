/**
 * A job on its way to another time or contractor: by the pointer or by keys, it is the
 * same. Says before the drop what it will be, and what is in the way.
 */

import { element } from "../dom.js";
import { durationText, windowText } from "../time.js";
import { actorName, eventWord, isOpen, statusWord } from "../words.js";
import { nextSnap, snapped } from "./axis.js";
import { conflictsOf } from "./schedule.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("./move-plan.js").Target} Target */

/**
 * @typedef {object} Draft
 * @property {Job} seen the job as it was when the move began
 * @property {string | null} fromRow the contractor whose bar it is; null for a job of nobody
 * @property {string | null} rowId where it is to go; null outside of the rows
 * @property {number} start
 * @property {number} end
 * @property {"move" | "start" | "end"} kind what of it moves
 * @property {boolean} byKeys
 */

/**
 * What a drop would do.
 *
 * @typedef {object} Verdict
 * @property {string} words
 * @property {string | null} blocked why it cannot be dropped here
 * @property {Job[]} conflicts live jobs of the contractors at that time
 * @property {string | null} changed what somebody else has done to the job meanwhile
 * @property {Target} target
 */

/**
 * @typedef {object} MoverDesk
 * @property {import("./jobs.js").Jobs} jobs
 * @property {import("./schedule-view.js").ScheduleView} schedule
 * @property {import("../words.js").Names} names
 * @property {() => string} zone
 * @property {(text: string) => void} announce
 * @property {(seen: Job, target: Target) => void} drop
 */

export class Mover {
  /** @param {HTMLElement} words where it is told what a drop would do @param {MoverDesk} desk */
  constructor(words, desk) {
    this.words = words;
    this.desk = desk;
    /** @type {Draft | null} */
    this.draft = null;
    this.ghost = element("div", { class: "move-ghost", "data-testid": "move-ghost", "aria-hidden": true });
    this.saidChange = "";
  }

  /** @param {Job} seen @param {string | null} fromRow @param {Draft["kind"]} kind @param {boolean} byKeys */
  begin(seen, fromRow, kind, byKeys) {
    this.draft = { seen, fromRow, rowId: fromRow, start: Date.parse(seen.startUtc), end: Date.parse(seen.endUtc), kind, byKeys };
    this.saidChange = "";
    this.desk.schedule.moving = seen.id;
    document.body.dataset.moving = kind;
    this.update();
    if (byKeys) {
      this.desk.announce(`Moving “${seen.title}”. Arrow left and right by 15 minutes, with Shift the end alone, up and down to another contractor. Enter to drop, Escape to leave it where it was.`);
    }
  }

  /** @param {Partial<Pick<Draft, "rowId" | "start" | "end">>} change */
  to(change) {
    if (!this.draft) return;
    const before = JSON.stringify([this.draft.rowId, this.draft.start, this.draft.end]);
    Object.assign(this.draft, change);
    if (JSON.stringify([this.draft.rowId, this.draft.start, this.draft.end]) === before) return;
    this.update();
    const verdict = this.verdict();
    if (this.draft.byKeys && verdict) this.desk.announce([verdict.words, ...this.problems(verdict)].join(". "));
  }

  /** To where the pointer is: what was seized moves by as much as it did. @param {number} by in milliseconds @param {string | null} rowId */
  drag(by, rowId) {
    if (!this.draft) return;
    const { seen, kind } = this.draft;
    const [start, end] = [Date.parse(seen.startUtc), Date.parse(seen.endUtc)];
    if (kind === "start") this.to({ start: Math.min(snapped(start + by), nextSnap(end, -1)) });
    else if (kind === "end") this.to({ end: Math.max(snapped(end + by), nextSnap(start, 1)) });
    // The length stays; a job that is not at a quarter stays so until it moves.
    else if (Math.abs(by) < 1) this.to({ start, end, rowId });
    else this.to({ start: snapped(start + by), end: snapped(start + by) + end - start, rowId });
  }

  /** By a key: a quarter of an hour, or a row. @param {string} key @param {boolean} isEnd whether the end alone */
  step(key, isEnd) {
    if (!this.draft) return;
    const { start, end, rowId } = this.draft;
    const direction = key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1;
    if (key === "ArrowUp" || key === "ArrowDown") this.to({ rowId: this.nextRow(rowId, direction) });
    else if (isEnd) this.to({ end: Math.max(nextSnap(end, direction), nextSnap(start, 1)) });
    else this.to({ start: nextSnap(start, direction), end: nextSnap(start, direction) + end - start });
    if (this.draft.rowId) this.desk.schedule.timeline.bringIntoSight(this.draft.rowId, this.draft.start, this.draft.end);
    this.update();
  }

  /** @param {string | null} rowId @param {-1 | 1} direction */
  nextRow(rowId, direction) {
    const rows = (this.desk.schedule.timeline.shown?.rows ?? []).filter((row) => !row.isHeading && row.region === this.draft?.seen.region);
    const place = rows.findIndex((row) => row.id === rowId);
    return rows[Math.min(rows.length - 1, Math.max(0, place + direction))]?.id ?? rowId;
  }

  /** What a drop would do now. @returns {Verdict | null} */
  verdict() {
    if (!this.draft) return null;
    const { seen, fromRow, rowId, start, end } = this.draft;
    const { jobs, names, zone } = this.desk;
    const row = rowId ? this.desk.schedule.timeline.row(rowId) : null;
    const now = jobs.byId.get(seen.id);
    const others = seen.contractorIds.filter((id) => id !== fromRow);
    const contractorIds = rowId ? [...others, rowId] : seen.contractorIds;
    const target = { startUtc: new Date(start).toISOString(), endUtc: new Date(end).toISOString(), contractorIds };
    let blocked = null;
    if (!row) blocked = "Drop it in a row of the timeline";
    else if (row.isHeading) blocked = "Drop it on a contractor";
    else if (row.region !== seen.region) blocked = `${row.name} does not work in region ${seen.region}`;
    else if (others.includes(row.id)) blocked = `${row.name} has this job already`;
    else if (!now || !isOpen(now)) blocked = now ? `It is ${statusWord(now.status).toLowerCase()} by now` : "It is no longer among yours";
    const conflicts = blocked ? [] : conflictsOf(jobs.byId.values(), seen.id, contractorIds, start, end);
    const words = `${windowText(start, end, zone())} (${durationText(end - start)}), ${names(contractorIds)}`;
    return { words, blocked, conflicts, changed: this.changedWords(now), target };
  }

  /** @param {Job | undefined} now */
  changedWords(now) {
    if (!now || !this.draft || now.version <= this.draft.seen.version) return null;
    const change = this.desk.jobs.changeOf(now);
    const who = change ? `${actorName(change)} ${eventWord(change.type).toLowerCase()} it` : "Somebody changed it";
    return `${who} meanwhile: ${this.window(now)}, ${this.desk.names(now.contractorIds)}`;
  }

  /** @param {Verdict} verdict */
  problems({ blocked, conflicts, changed }) {
    const overlaps = conflicts.map((job) => `“${job.title}”, ${this.window(job)}`);
    return [blocked, overlaps.length > 0 && `Overlaps ${overlaps.join("; ")}`, changed].filter((text) => typeof text === "string");
  }

  /** @param {Job} job */
  window(job) {
    return windowText(Date.parse(job.startUtc), Date.parse(job.endUtc), this.desk.zone());
  }

  /** Shows what is so at this moment. */
  update() {
    const verdict = this.verdict();
    if (!verdict || !this.draft) return;
    const { seen, rowId, start, end } = this.draft;
    const { schedule } = this.desk;
    const box = rowId ? schedule.timeline.boxOf(rowId, start, end) : null;
    this.ghost.hidden = box === null;
    if (box) {
      Object.assign(this.ghost.style, { left: `${box.left}px`, top: `${box.top + 2}px`, width: `${box.width}px`, height: `${box.height - 5}px` });
      schedule.timeline.overlay.replaceChildren(this.ghost);
    }
    this.ghost.textContent = `${verdict.conflicts.length > 0 ? "⚠ " : ""}${seen.title}`;
    this.ghost.toggleAttribute("data-conflict", verdict.conflicts.length > 0);
    this.ghost.toggleAttribute("data-blocked", verdict.blocked !== null);
    const hint = this.draft.byKeys ? "Enter drops it, Esc leaves it where it was." : "Esc leaves it where it was.";
    this.words.hidden = false;
    this.words.toggleAttribute("data-conflict", verdict.conflicts.length > 0 || verdict.blocked !== null);
    this.words.replaceChildren(
      element("p", {}, element("strong", {}, seen.title), ` → ${verdict.words}`),
      ...this.problems(verdict).map((text) => element("p", { class: "move-problem" }, `⚠ ${text}`)),
      element("p", { class: "dim" }, !this.draft.byKeys && !this.draft.fromRow ? `It keeps its time; hold Shift to place it where you drop it. ${hint}` : hint),
    );
    schedule.setInTheWay(verdict.conflicts.map((job) => job.id));
    if (verdict.changed && verdict.changed !== this.saidChange) {
      this.saidChange = verdict.changed;
      this.desk.announce(verdict.changed);
    }
  }

  /** Ends it here. */
  drop() {
    const [draft, verdict] = [this.draft, this.verdict()];
    if (!draft || !verdict) return;
    if (verdict.blocked) return this.leave(verdict.blocked);
    this.end();
    this.desk.drop(draft.seen, verdict.target);
  }

  /** Ends it where it began. @param {string} [why] */
  leave(why) {
    if (!this.draft) return;
    const { title } = this.draft.seen;
    this.end();
    this.desk.announce(`${why ? `${why}. ` : ""}“${title}” stays where it was.`);
  }

  end() {
    this.draft = null;
    this.ghost.remove();
    this.words.hidden = true;
    this.words.replaceChildren();
    delete document.body.dataset.moving;
    this.desk.schedule.moving = "";
    this.desk.schedule.setInTheWay([]);
    this.desk.schedule.redraw();
  }
}
