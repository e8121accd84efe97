/** Which bar of the timeline has the keyboard's focus, and which it goes to. */

/** @typedef {import("./schedule.js").Bar} Bar */
/** @typedef {import("./timeline.js").KnownBar} KnownBar */
/** @typedef {import("./timeline.js").Timetable} Timetable */

export class BarFocus {
  /** @param {Map<string, KnownBar>} bars all that are shown, by id */
  constructor(bars) {
    this.bars = bars;
    /** The bar that the Tab key leads to. */
    this.current = "";
    /** The bar that has the focus, also while it is being drawn anew. */
    this.focused = "";
  }

  /** One bar is reached by Tab: the last that had the focus, or the first that is to come. @param {Bar[]} bars */
  choose(bars) {
    if (this.bars.has(this.current)) return;
    const now = Date.now();
    const inOrder = bars.filter((bar) => bar.end > now).sort((a, b) => a.start - b.start);
    this.setCurrent((inOrder[0] ?? bars[0])?.id ?? "");
  }

  /** @param {string} id */
  setCurrent(id) {
    const before = this.bars.get(this.current)?.node;
    if (before) before.tabIndex = -1;
    this.current = id;
    const node = this.bars.get(id)?.node;
    if (node) node.tabIndex = 0;
  }

  /** @param {EventTarget | null} target */
  noteFocus(target) {
    const id = target instanceof HTMLElement ? target.dataset.barId : undefined;
    this.focused = id ?? "";
    if (id) this.setCurrent(id);
  }

  /** @param {EventTarget | null} target */
  noteBlur(target) {
    // An element that is being drawn anew loses the focus too, and gets it back.
    queueMicrotask(() => {
      if (!(target instanceof HTMLElement) || target.dataset.barId !== this.focused) return;
      if (target.isConnected && target !== document.activeElement) this.focused = "";
    });
  }

  /** An element was made for a bar, and will be in the document. @param {string} id @param {HTMLElement} node */
  noteDrawn(id, node) {
    if (this.focused !== id) return;
    queueMicrotask(() => node.isConnected && document.activeElement === document.body && node.focus({ preventScroll: true }));
  }

  /** Gives a bar the focus; one that is out of sight takes it as soon as it has an element. @param {string} id */
  give(id) {
    const node = this.bars.get(id)?.node;
    this.setCurrent(id);
    this.focused = id;
    if (node?.isConnected) node.focus({ preventScroll: true });
    else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    this.focused = id;
  }
}

/**
 * The bar that a key leads to from another one: beside it, at the ends of its row, or the
 * nearest in the rows above or below.
 *
 * @param {Timetable} timetable
 * @param {Bar} from
 * @param {string} key
 * @returns {Bar | null}
 */
export function neighbour({ rows, bars }, from, key) {
  /** @param {string} rowId */
  const inRow = (rowId) => bars.filter((bar) => bar.rowId === rowId).sort((a, b) => a.start - b.start || (a.id < b.id ? -1 : 1));
  const row = inRow(from.rowId);
  const place = row.findIndex((bar) => bar.id === from.id);
  if (key === "ArrowRight") return row[place + 1] ?? null;
  if (key === "ArrowLeft") return row[place - 1] ?? null;
  if (key === "Home") return row[0];
  if (key === "End") return row[row.length - 1];
  const step = key === "ArrowDown" ? 1 : -1;
  for (let at = rows.findIndex((one) => one.id === from.rowId) + step; rows[at]; at += step) {
    const near = inRow(rows[at].id).sort((a, b) => Math.abs(a.start - from.start) - Math.abs(b.start - from.start));
    if (near.length > 0) return near[0];
  }
  return null;
}
