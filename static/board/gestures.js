/** Pointer and keys on the timeline and on the cards beside it: opening, moving, walking about. */

import { isOpen, statusWord } from "../words.js";

/** @typedef {import("../api.js").Job} Job */

/** A press that moves less is a click. */
const DRAG_FROM_PX = 5;

/** From one row to another, the hand wavers: a shift in time below that is none. */
const WAVER_PX = 14;

/** So near to an edge the timeline scrolls while one drags, by so much per frame. */
const EDGE_PX = 36;
const EDGE_STEP_PX = 14;

/**
 * @typedef {object} GestureDesk
 * @property {import("./jobs.js").Jobs} jobs
 * @property {import("./schedule-view.js").ScheduleView} schedule
 * @property {import("./mover.js").Mover} mover
 * @property {(job: Job) => void} open
 * @property {(job: Job) => string | null} whyNot why a job cannot be moved just now
 * @property {(text: string) => void} refuse
 * @property {() => void} undo
 */

export class Gestures {
  /**
   * @param {HTMLElement} frame of the timeline
   * @param {HTMLElement} cards of jobs that nobody has
   * @param {GestureDesk} desk
   * @param {AbortSignal} signal until when it listens
   */
  constructor(frame, cards, desk, signal) {
    this.desk = desk;
    this.frame = frame;
    /** A press that may become a drag. @type {{ job: Job, rowId: string | null, kind: "move" | "start" | "end", x: number, y: number, moment: number } | null} */
    this.press = null;
    /** Where the pointer is during a drag. @type {PointerEvent | null} */
    this.pointer = null;
    this.hasDragged = false;
    this.hasShift = false;
    for (const node of [frame, cards]) {
      node.addEventListener("pointerdown", (event) => this.down(event), { signal });
      // In the capturing phase: the click that ends a drag must reach nothing.
      node.addEventListener("click", (event) => this.click(event), { signal, capture: true });
    }
    frame.addEventListener("keydown", (event) => this.key(event), { signal });
    frame.addEventListener("focusout", () => this.left(), { signal });
    addEventListener("pointermove", (event) => this.move(event), { signal });
    addEventListener("pointerup", () => this.up(), { signal });
    addEventListener("pointercancel", () => this.cancel(), { signal });
    addEventListener("blur", () => this.press && this.cancel(), { signal });
    addEventListener("keydown", (event) => this.anyKey(event), { signal, capture: true });
    addEventListener("keyup", (event) => event.key === "Shift" && this.shift(false), { signal });
  }

  /** The job and row of a bar or a card. @param {EventTarget | null} target */
  jobAt(target) {
    const node = target instanceof Element ? target.closest("[data-bar-id], [data-waiting]") : null;
    if (!(node instanceof HTMLElement)) return null;
    const job = this.desk.jobs.byId.get(node.dataset.job ?? node.dataset.waiting ?? "");
    return job ? { node, job, rowId: node.dataset.row ?? null } : null;
  }

  // The pointer

  /** @param {PointerEvent} event */
  down(event) {
    this.hasDragged = false;
    const found = this.jobAt(event.target);
    // A finger scrolls; moving is done from the job's panel then.
    if (!found || event.button !== 0 || event.pointerType === "touch" || this.desk.mover.draft) return;
    if (event.target instanceof Element && event.target.closest("button:not(.waiting-open)")) return;
    if (found.rowId) found.node.focus({ preventScroll: true });
    const grip = event.target instanceof HTMLElement ? event.target.dataset.grip : undefined;
    const kind = grip === "start" || grip === "end" ? grip : "move";
    this.press = { ...found, kind, x: event.clientX, y: event.clientY, moment: this.desk.schedule.timeline.momentAt(event.clientX) };
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (!this.press) return;
    this.pointer = event;
    this.hasShift = event.shiftKey;
    if (!this.hasDragged) {
      if (Math.hypot(event.clientX - this.press.x, event.clientY - this.press.y) < DRAG_FROM_PX) return;
      this.hasDragged = true;
      const { job, rowId, kind } = this.press;
      const whyNot = this.desk.whyNot(job);
      if (whyNot) {
        this.press = null;
        return this.desk.refuse(whyNot);
      }
      this.desk.mover.begin(job, rowId, kind, false);
      requestAnimationFrame(() => this.scrollAtEdges());
    }
    this.follow();
  }

  /** Has the draft go where the pointer is. */
  follow() {
    const { press, pointer } = this;
    if (!press || !pointer || !this.hasDragged) return;
    const { timeline } = this.desk.schedule;
    const row = timeline.rowAt(pointer.clientY);
    const isBeside = !isInside(this.frame, pointer);
    const rowId = isBeside ? null : (row?.id ?? null);
    const isElsewhere = press.kind === "move" && rowId !== press.rowId;
    let by = timeline.momentAt(pointer.clientX) - press.moment;
    if (isElsewhere && Math.abs(pointer.clientX - press.x) < WAVER_PX) by = 0;
    if (press.rowId === null) {
      // A job that nobody has keeps its time, unless the user wants it to be where it is dropped.
      by = this.hasShift ? timeline.momentAt(pointer.clientX) - Date.parse(press.job.startUtc) : 0;
    }
    this.desk.mover.drag(by, rowId);
  }

  /** @param {boolean} isDown */
  shift(isDown) {
    this.hasShift = isDown;
    this.follow();
  }

  scrollAtEdges() {
    const { pointer } = this;
    const { scroller } = this.desk.schedule.timeline;
    if (!this.press || !pointer || !scroller || !this.desk.mover.draft) return;
    const box = scroller.getBoundingClientRect();
    const isOver = pointer.clientX > box.left && pointer.clientX < box.right && pointer.clientY > box.top && pointer.clientY < box.bottom;
    if (isOver) {
      const [x, y] = [edge(pointer.clientX, box.left, box.right), edge(pointer.clientY, box.top, box.bottom)];
      if (x || y) {
        scroller.scrollBy(x * EDGE_STEP_PX, y * EDGE_STEP_PX);
        this.follow();
      }
    }
    requestAnimationFrame(() => this.scrollAtEdges());
  }

  up() {
    const wasDragging = this.press !== null && this.hasDragged;
    this.press = this.pointer = null;
    if (wasDragging) this.desk.mover.drop();
  }

  cancel() {
    this.press = this.pointer = null;
    this.desk.mover.leave();
  }

  /** @param {MouseEvent} event */
  click(event) {
    if (this.hasDragged) {
      this.hasDragged = false;
      event.stopPropagation();
      event.preventDefault();
      return;
    }
    const found = this.jobAt(event.target);
    if (found?.rowId) this.desk.open(found.job);
  }

  // The keyboard

  /** @param {KeyboardEvent} event */
  anyKey(event) {
    const { mover } = this.desk;
    if (event.key === "Escape" && mover.draft) {
      event.preventDefault();
      event.stopPropagation();
      return this.cancel();
    }
    if (event.key === "Shift") this.shift(true);
    const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select, dialog") !== null;
    if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && !isTyping) {
      event.preventDefault();
      this.desk.undo();
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const found = this.jobAt(event.target);
    if (!found?.rowId || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.keyFor(event, found.job, found.node.dataset.barId ?? "", found.rowId)) event.preventDefault();
  }

  /** @param {KeyboardEvent} event @param {Job} job @param {string} barId @param {string} rowId @returns {boolean} whether the key is taken */
  keyFor({ key, shiftKey }, job, barId, rowId) {
    const { mover, schedule } = this.desk;
    const isArrow = key.startsWith("Arrow");
    if (mover.draft) {
      if (isArrow) mover.step(key, shiftKey);
      else if (key === "Enter") mover.drop();
      return isArrow || key === "Enter";
    }
    if (key === "Enter" || key === " ") {
      this.desk.open(job);
      return true;
    }
    if (key.toLowerCase() === "m") {
      const whyNot = this.desk.whyNot(job);
      if (whyNot) this.desk.refuse(whyNot);
      else mover.begin(job, rowId, "move", true);
      return true;
    }
    if (!isArrow && key !== "Home" && key !== "End") return false;
    const next = schedule.timeline.neighbour(barId, key);
    if (next) schedule.timeline.focus(next.id);
    return true;
  }

  /** The focus has gone elsewhere in the middle of a move by keys. */
  left() {
    setTimeout(() => {
      const { mover, schedule } = this.desk;
      // An element that is drawn anew gives the focus to nobody, and gets it back.
      const isElsewhere = document.activeElement !== document.body && !this.frame.contains(document.activeElement);
      if (mover.draft?.byKeys && isElsewhere && schedule.timeline.isReady) mover.leave();
    });
  }
}

/** @param {Element} node @param {PointerEvent} pointer */
function isInside(node, pointer) {
  const box = node.getBoundingClientRect();
  return pointer.clientX >= box.left && pointer.clientX <= box.right && pointer.clientY >= box.top && pointer.clientY <= box.bottom;
}

/** Which way an edge is near: −1, 0 or 1. @param {number} at @param {number} from @param {number} to */
function edge(at, from, to) {
  return at < from + EDGE_PX ? -1 : at > to - EDGE_PX ? 1 : 0;
}

/** Why a job cannot be moved; null when it can. @param {Job} job @param {boolean} canChange @param {string | null} whyNot */
export function whyNotMove(job, canChange, whyNot) {
  if (!canChange) return "You may look at jobs, and not change them.";
  if (!isOpen(job)) return `“${job.title}” is ${statusWord(job.status).toLowerCase()}, and stays as it is.`;
  return whyNot;
}
