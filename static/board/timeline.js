/**
 * The timeline: rows of contractors, and bars in them, on a time axis. It draws what it
 * is given, in place, and tells where things are; what they mean is others' affair.
 *
 * DayPilot Lite lays it out and keeps only what is in sight in the document. This is
 * the only module that names it. It is given one cell per row, which stands for the
 * whole axis: its own dates have no zone, and its days are always 24 hours long.
 */

import { element } from "../dom.js";
import { BarFocus, neighbour } from "./bar-focus.js";
import { drawBar, drawnBar } from "./bar.js";
import { gridOf, headerOf } from "./timeline-grid.js";

/** @typedef {import("./axis.js").Axis} Axis */
/** @typedef {import("./schedule.js").Bar} Bar */
/** @typedef {import("./schedule.js").Row} Row */
/** @typedef {import("./bar.js").BarLook} BarLook */
/** @typedef {typeof import("@daypilot/daypilot-lite-javascript").DayPilot} DayPilotModule */

/**
 * What the timeline shows.
 *
 * @typedef {object} Timetable
 * @property {Axis} axis
 * @property {Row[]} rows
 * @property {Bar[]} bars
 * @property {(bar: Bar) => BarLook} look the same object while it looks the same
 * @property {(row: Row) => string} load what a row's contractor has to do, in words
 */

/**
 * A bar, with its element while that is in the document.
 *
 * @typedef {{ bar: Bar, node: HTMLElement | null, look: BarLook | null }} KnownBar
 */

const SCRIPT = "/vendor/daypilot-javascript.min.js";

/** What DayPilot takes for the axis: one of its days, whatever the days in it. */
const DRAWN_START_MS = Date.UTC(2001, 0, 1);
const DRAWN_LENGTH_MS = 86400000;

const ROW_HEADER_PX = 184;
const HEADER_PX = 46;
const BAR_PX = 40;
const ROW_GAP_PX = 3;

/** Pixels of an hour at least, by the number of days: a bar has to hold some words. */
const HOUR_PX_MIN = [72, 72, 72, 30, 30, 30, 30, 14];

/** Bars that have no room for their times, and for more than a sign. */
const SMALL_PX = 96;
const TINY_PX = 36;

/** More changed bars than that are drawn anew together: one by one costs more. */
const SINGLE_CHANGES_MAX = 40;

/** @type {Promise<DayPilotModule> | null} */
let loading = null;

/** Loads DayPilot once it is needed: not for the list, nor on a phone. */
function loadDayPilot() {
  loading ??= new Promise((resolve, reject) => {
    const script = element("script", { src: SCRIPT });
    script.addEventListener("load", () => resolve(/** @type {any} */ (globalThis).DayPilot));
    script.addEventListener("error", () => {
      script.remove();
      loading = null;
      reject(new Error("the timeline could not be loaded"));
    });
    document.head.append(script);
  });
  return loading;
}

export class Timeline {
  /** @param {HTMLElement} frame */
  constructor(frame) {
    this.frame = frame;
    // An element of its own, since DayPilot leaves it bare when it goes.
    const root = element("div");
    this.root = root;
    frame.replaceChildren(root);
    /** @type {any} */
    this.scheduler = null;
    /** @type {DayPilotModule | null} */
    this.dayPilot = null;
    /** @type {Timetable | null} */
    this.shown = null;
    /** @type {Map<string, KnownBar>} */
    this.bars = new Map();
    /** The parts of each row that are in the document. @type {Map<string, { head?: HTMLElement, grid?: HTMLElement }>} */
    this.rowParts = new Map();
    this.barFocus = new BarFocus(this.bars);
    this.isLaidOut = { rows: "", axis: "", width: 0 };
    /** Where the line of the present is; empty beside the axis. */
    this.now = "";
    /** Things of others that lie over the rows. */
    this.overlay = element("div", { class: "timeline-overlay" });
    root.addEventListener("focusin", (event) => this.barFocus.noteFocus(event.target));
    root.addEventListener("focusout", (event) => this.barFocus.noteBlur(event.target));
    /** The size of the frame. Noted when it changes: to ask for it has the page laid out. */
    this.room = { width: 0, height: 0 };
    this.resizing = new ResizeObserver(() => this.fit());
    this.resizing.observe(frame);
  }

  get isReady() {
    return this.scheduler !== null;
  }

  /** Loads what it draws with. Fails when that cannot be had. */
  async prepare() {
    this.dayPilot = await loadDayPilot();
  }

  /** Shows it; what is there already stays. @param {Timetable} timetable */
  show(timetable) {
    if (!this.dayPilot) return;
    this.shown = timetable;
    if (this.room.width === 0) this.measure();
    const { axis, rows } = timetable;
    const width = this.axisWidth(axis);
    const laidOut = { rows: rows.map((row) => row.id).join(), axis: axis.key, width };
    const isNewAxis = laidOut.axis !== this.isLaidOut.axis;
    const isOther = isNewAxis || laidOut.rows !== this.isLaidOut.rows || laidOut.width !== this.isLaidOut.width;
    this.isLaidOut = laidOut;
    const changes = this.takeBars(timetable);
    if (!this.scheduler) this.build(timetable, width);
    else if (isOther) this.layOut(timetable, width);
    else this.change(changes);
    this.drawHeads(timetable);
    this.barFocus.choose(timetable.bars);
    this.moveNow();
    if (isNewAxis) this.scrollToStart();
  }

  /**
   * Notes the bars that are to be seen, and redraws in place those in the document whose
   * looks alone have changed; answers the others. How a bar out of sight looks is not
   * even asked: most of a large region is.
   *
   * @param {Timetable} timetable
   */
  takeBars({ bars, look }) {
    /** @type {Bar[]} */
    const placed = [];
    const keep = new Set();
    for (const bar of bars) {
      keep.add(bar.id);
      const known = this.bars.get(bar.id);
      const isMoved = !known || known.bar.start !== bar.start || known.bar.end !== bar.end;
      if (isMoved) placed.push(bar);
      if (!known) {
        this.bars.set(bar.id, { bar, node: null, look: null });
        continue;
      }
      known.bar = bar;
      if (known.node) this.redraw(known, look(bar));
    }
    const removed = [...this.bars.keys()].filter((id) => !keep.has(id));
    for (const id of removed) this.bars.delete(id);
    return { placed, removed };
  }

  /** @param {KnownBar} known @param {BarLook} look */
  redraw(known, look) {
    if (!known.node || known.look === look) return;
    known.look = look;
    drawBar(known.node, known.bar, look);
  }

  /** @param {Timetable} timetable @param {number} width */
  build(timetable, width) {
    const { DayPilot } = { DayPilot: /** @type {any} */ (this.dayPilot) };
    this.scheduler = new DayPilot.Scheduler(this.root, {
      ...this.config(timetable, width),
      theme: "timeline",
      startDate: new DayPilot.Date(DRAWN_START_MS),
      days: 1,
      scale: "Day",
      useEventBoxes: "Never",
      timeHeaders: [{ groupBy: "Cell" }],
      headerHeight: HEADER_PX,
      rowHeaderWidth: ROW_HEADER_PX,
      eventHeight: BAR_PX,
      rowMarginTop: ROW_GAP_PX,
      rowMarginBottom: ROW_GAP_PX,
      eventMinWidth: 6,
      heightSpec: "Fixed",
      height: this.bodyHeight(),
      progressiveRowRendering: true,
      dynamicEventRenderingCacheSweeping: true,
      durationBarVisible: false,
      floatingEvents: false,
      floatingTimeHeaders: false,
      showToolTip: false,
      // Dragging is the mover's, for bars, for cards beside the timeline and for keys alike.
      eventMoveHandling: "Disabled",
      eventResizeHandling: "Disabled",
      eventClickHandling: "Disabled",
      eventRightClickHandling: "Disabled",
      timeRangeSelectedHandling: "Disabled",
      timeHeaderClickHandling: "Disabled",
      onBeforeEventDomAdd: (/** @type {any} */ args) => (args.element = this.barNode(args.e.data.id)),
      onBeforeEventDomRemove: (/** @type {any} */ args) => this.forgetNode(args.e.data.id, args.element),
      onBeforeRowHeaderDomAdd: (/** @type {any} */ args) => (args.element = this.part(args.row.id, "head")),
      onBeforeRowHeaderDomRemove: () => {},
      onBeforeCellDomAdd: (/** @type {any} */ args) => (args.element = this.part(args.cell.resource, "grid")),
      onBeforeCellDomRemove: () => {},
      onBeforeTimeHeaderDomAdd: (/** @type {any} */ args) => (args.element = this.header),
      onBeforeTimeHeaderDomRemove: () => {},
    });
    this.scheduler.init();
    this.placeOverlay();
  }

  /** @param {Timetable} timetable @param {number} width */
  layOut(timetable, width) {
    this.scheduler.update(this.config(timetable, width));
    this.placeOverlay();
  }

  /** @param {Timetable} timetable @param {number} width */
  config({ axis, rows, bars }, width) {
    this.rowParts.clear();
    this.header = headerOf(axis, width);
    this.root.style.setProperty("--grid", gridOf(axis, width));
    return {
      cellWidth: width,
      resources: rows.map((row) => ({ id: row.id, name: row.name })),
      events: bars.map((bar) => this.drawnEvent(bar, axis)),
    };
  }

  /** @param {{ placed: Bar[], removed: string[] }} changes */
  change({ placed, removed }) {
    const shown = /** @type {Timetable} */ (this.shown);
    if (placed.length + removed.length > SINGLE_CHANGES_MAX) {
      this.scheduler.update({ events: shown.bars.map((bar) => this.drawnEvent(bar, shown.axis)) });
      return;
    }
    for (const id of removed) this.scheduler.events.remove(id);
    for (const bar of placed) {
      const event = this.drawnEvent(bar, shown.axis);
      const known = this.scheduler.events.find(bar.id);
      if (!known) {
        this.scheduler.events.add(event);
        continue;
      }
      // Its own object, changed: given a new one it would search all rows twice.
      known.start(event.start);
      known.end(event.end);
      this.scheduler.events.update(known);
    }
  }

  /** @param {Bar} bar @param {Axis} axis */
  drawnEvent(bar, axis) {
    // The words are in the bar's own element, so DayPilot has none to read out.
    return { id: bar.id, resource: bar.rowId, start: this.drawnDate(bar.start, axis), end: this.drawnDate(bar.end, axis), text: "", ariaLabel: "" };
  }

  /** @param {number} moment @param {Axis} axis */
  drawnDate(moment, axis) {
    const { Date: DrawnDate } = /** @type {any} */ (this.dayPilot);
    return new DrawnDate(DRAWN_START_MS + Math.round(axis.fraction(moment) * DRAWN_LENGTH_MS));
  }

  /** The element of a bar, made or made up to date. @param {string} id */
  barNode(id) {
    const known = this.bars.get(id);
    if (!known || !this.shown) return element("div");
    if (!known.node) {
      known.node = drawnBar(known.bar);
      known.look = null;
      this.redraw(known, this.shown.look(known.bar));
      known.node.tabIndex = id === this.barFocus.current ? 0 : -1;
    }
    const { node, bar } = known;
    const width = ((bar.end - bar.start) / (this.shown.axis.end - this.shown.axis.start)) * this.isLaidOut.width;
    node.dataset.size = width < TINY_PX ? "tiny" : width < SMALL_PX ? "small" : "";
    this.barFocus.noteDrawn(id, node);
    return node;
  }

  /** @param {string} id @param {HTMLElement} node */
  forgetNode(id, node) {
    const known = this.bars.get(id);
    // Scrolled out of sight, it will be made anew; being redrawn, it is needed at once.
    if (known?.node === node && this.barFocus.focused !== id) known.node = null;
  }

  /** @param {string} rowId @param {"head" | "grid"} name */
  part(rowId, name) {
    const row = this.shown?.rows.find((one) => one.id === rowId);
    const parts = this.rowParts.get(rowId) ?? {};
    this.rowParts.set(rowId, parts);
    const attributes = { class: `timeline-${name}`, "data-row": rowId, "data-testid": `row-${name}`, "data-heading": row?.isHeading };
    parts[name] = element("div", attributes, name === "grid" && element("i", { class: "now-line" }));
    if (row && name === "head") this.drawHead(parts[name], row);
    return parts[name];
  }

  /** @param {Timetable} timetable */
  drawHeads({ rows }) {
    for (const row of rows) {
      const head = this.rowParts.get(row.id)?.head;
      if (head?.isConnected) this.drawHead(head, row);
    }
  }

  /** @param {HTMLElement} head @param {Row} row */
  drawHead(head, row) {
    const zone = row.isHeading || row.zone !== this.shown?.axis.zone ? row.zone : "";
    const load = row.isHeading ? "" : (this.shown?.load(row) ?? "");
    const drawn = JSON.stringify([row.name, zone, load]);
    if (head.dataset.drawn === drawn) return;
    head.dataset.drawn = drawn;
    head.replaceChildren(
      element("strong", { title: row.name }, row.name),
      element("span", { class: "dim" }, [load, zone].filter(Boolean).join(" · ")),
    );
  }

  placeOverlay() {
    this.matrix = /** @type {HTMLElement} */ (this.root.querySelector(".timeline_matrix"));
    this.scroller = /** @type {HTMLElement} */ (this.root.querySelector(".timeline_scrollable"));
    this.scroller.dataset.testid = "timeline-scroller";
    if (this.overlay.parentNode !== this.matrix) this.matrix.append(this.overlay);
  }

  bodyHeight() {
    return Math.max(120, this.room.height - HEADER_PX - 2);
  }

  /** @param {Axis} axis */
  axisWidth(axis) {
    const room = this.room.width - ROW_HEADER_PX - 18;
    return Math.round(Math.max(room, axis.hours * HOUR_PX_MIN[Math.min(axis.dates.length, HOUR_PX_MIN.length - 1)]));
  }

  measure() {
    this.room = { width: this.frame.clientWidth, height: this.frame.clientHeight };
  }

  fit() {
    if (this.frame.clientWidth === 0) return;
    const { height } = this.room;
    this.measure();
    if (!this.scheduler || !this.shown) return;
    if (this.axisWidth(this.shown.axis) !== this.isLaidOut.width) this.show(this.shown);
    if (height === this.room.height) return;
    this.scheduler.setHeight(this.bodyHeight());
    // It does not look by itself which rows came into sight.
    this.scheduler.update();
  }

  /** Puts the line of the present where it belongs. */
  moveNow() {
    const fraction = this.shown ? this.shown.axis.fraction(Date.now()) : -1;
    const now = fraction >= 0 && fraction <= 1 ? `${(fraction * 100).toFixed(2)}%` : "";
    // Everything in the timeline inherits it, and is styled anew when it changes.
    if (now === this.now) return;
    this.now = now;
    this.root.toggleAttribute("data-now", now !== "");
    this.root.style.setProperty("--now", now);
  }

  /** Begins at what matters: the present, or the morning, or what is earlier still. */
  scrollToStart() {
    if (!this.shown || !this.scroller) return;
    const { axis, bars } = this.shown;
    const [hour, now] = [this.isLaidOut.width / axis.hours, axis.fraction(Date.now())];
    const first = Math.min(axis.start + 8 * 3600000, ...bars.map((bar) => bar.start));
    const isNow = now >= 0 && now <= 1;
    const place = isNow ? now * this.isLaidOut.width - this.scroller.clientWidth / 3 : axis.fraction(first) * this.isLaidOut.width - hour;
    this.scroller.scrollLeft = Math.max(0, place);
  }

  // Where things are

  /** The row under a point of the window. @param {number} clientY @returns {Row | null} */
  rowAt(clientY) {
    for (const [id, { grid }] of this.rowParts) {
      if (!grid?.isConnected) continue;
      const box = grid.getBoundingClientRect();
      if (clientY >= box.top && clientY < box.bottom) return this.row(id);
    }
    return null;
  }

  /** @param {string} id @returns {Row | null} */
  row(id) {
    return this.shown?.rows.find((one) => one.id === id) ?? null;
  }

  /** The moment under a point of the window, also beside the axis. @param {number} clientX */
  momentAt(clientX) {
    if (!this.shown || !this.matrix) return NaN;
    const box = this.matrix.getBoundingClientRect();
    return this.shown.axis.momentAt((clientX - box.left) / this.isLaidOut.width);
  }

  /** The box of a span of time in a row, in pixels of the overlay; null when the row is out of sight.
   * @param {string} rowId @param {number} start @param {number} end */
  boxOf(rowId, start, end) {
    const grid = this.rowParts.get(rowId)?.grid;
    if (!grid?.isConnected || !this.matrix || !this.shown) return null;
    const [row, all] = [grid.getBoundingClientRect(), this.matrix.getBoundingClientRect()];
    const { axis } = this.shown;
    const left = axis.fraction(start) * this.isLaidOut.width;
    return { left, width: (axis.fraction(end) - axis.fraction(start)) * this.isLaidOut.width, top: row.top - all.top, height: row.height };
  }

  /** Brings a moment of a row into sight. @param {string} rowId @param {number} start @param {number} end */
  bringIntoSight(rowId, start, end) {
    const row = this.scheduler?.rows.find(rowId);
    if (!row || !this.scroller || !this.shown) return;
    const rows = this.shown.rows;
    let top = this.rowParts.get(rowId)?.grid?.parentElement?.offsetTop;
    top ??= (this.scroller.scrollHeight / Math.max(1, rows.length)) * rows.findIndex((one) => one.id === rowId);
    const { axis } = this.shown;
    const [left, right] = [axis.fraction(start) * this.isLaidOut.width, axis.fraction(end) * this.isLaidOut.width];
    const { clientHeight, clientWidth, scrollTop, scrollLeft } = this.scroller;
    if (top < scrollTop || top + BAR_PX > scrollTop + clientHeight) this.scroller.scrollTop = top - clientHeight / 3;
    if (left < scrollLeft || right > scrollLeft + clientWidth) this.scroller.scrollLeft = Math.max(0, left - clientWidth / 3);
  }

  // The keyboard

  /** Gives the focus to a bar, wherever it is. @param {string} id */
  focus(id) {
    const bar = this.bars.get(id)?.bar;
    if (!bar) return;
    this.bringIntoSight(bar.rowId, bar.start, bar.end);
    this.barFocus.give(id);
  }

  /** The bar that a key leads to from another one. @param {string} id @param {string} key */
  neighbour(id, key) {
    const from = this.bars.get(id)?.bar;
    return from && this.shown ? neighbour(this.shown, from, key) : null;
  }

  /** Forgets everything that was shown. */
  dispose() {
    this.resizing.disconnect();
    this.scheduler?.dispose();
    this.scheduler = null;
    this.bars.clear();
    this.rowParts.clear();
    this.root.remove();
  }
}
