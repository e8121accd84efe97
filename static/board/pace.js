/** When to draw: at once for a change that comes alone, now and then while many come. */

/**
 * The time between two drawings: the events of a busy moment are shown together, since
 * drawing each would take longer than reading it. One that comes alone is shown at once.
 */
const EVERY_MS = 40;

/** The same while changes stream in: most of the time is left for the user. */
const EVERY_MS_BUSY = 100;

/** With more changes than that in one drawing, they stream in. */
const CHANGES_OF_A_QUIET_TIME = 3;

export class Pace {
  /** @param {() => void} draw */
  constructor(draw) {
    this.draw = draw;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.drawnAt = 0;
    /** Changes that wait for the next drawing. */
    this.waiting = 0;
    /** Whether the last drawing took many changes at once. */
    this.isBusy = false;
  }

  /** Something has changed: it will be drawn. */
  changed() {
    this.waiting += 1;
    const pause = this.isBusy ? EVERY_MS_BUSY : EVERY_MS;
    // Not put off by what comes next, or a steady stream of events would never be seen.
    this.timer ??= setTimeout(() => this.now(), Math.max(0, this.drawnAt + pause - performance.now()));
  }

  /** Draws. */
  now() {
    this.stop();
    this.drawnAt = performance.now();
    this.isBusy = this.waiting > CHANGES_OF_A_QUIET_TIME;
    this.waiting = 0;
    this.draw();
  }

  /** Does not draw what waits. */
  stop() {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
