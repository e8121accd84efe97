/** How a job looks in a row of the timeline. */

import { element } from "../dom.js";
import { statusSign, statusWord } from "../words.js";

/** @typedef {import("./schedule.js").Bar} Bar */

/**
 * All that a bar shows. Compared as text, to draw only what has changed.
 *
 * @typedef {object} BarLook
 * @property {string} title
 * @property {string} status
 * @property {string} time its times, in the board's zone
 * @property {string} others who else has the job
 * @property {string | null} change who changed it last and what it was before
 * @property {boolean} isRecent whether that was just now
 * @property {boolean} isPending whether the server has yet to agree
 * @property {boolean} isOpen whether its panel is open
 * @property {boolean} isMoving whether it is being moved elsewhere
 * @property {boolean} isInTheWay whether it is in the way of what is being moved
 * @property {boolean} canMove
 * @property {string} label all of it, in words
 */

/** The element of a bar. @param {Bar} bar */
export function drawnBar(bar) {
  return element("div", {
    class: "bar-job", role: "button", tabindex: -1, "aria-describedby": "bar-keys", "data-testid": "bar",
    "data-bar-id": bar.id, "data-job": bar.job.id, "data-row": bar.rowId,
  });
}

/** @param {HTMLElement} node @param {Bar} bar @param {BarLook} look */
export function drawBar(node, bar, look) {
  node.dataset.state = look.status;
  node.dataset.version = String(bar.job.version);
  for (const [name, is] of Object.entries({ recent: look.isRecent, pending: look.isPending, open: look.isOpen, moving: look.isMoving, conflict: look.isInTheWay, movable: look.canMove })) {
    node.toggleAttribute(`data-${name}`, is);
  }
  node.setAttribute("aria-label", look.label);
  node.title = look.label.replaceAll(". ", ".\n");
  node.replaceChildren(
    element(
      "span",
      { class: "bar-words", "aria-hidden": true },
      element("span", { class: "bar-title" }, element("i", { class: "bar-sign" }, look.isInTheWay ? "⚠" : statusSign(look.status)), look.title),
      element("span", { class: "bar-time" }, look.isRecent && look.change ? look.change : [look.time, look.others].filter(Boolean).join(" · ")),
    ),
    ...(look.canMove ? [element("i", { class: "grip", "data-grip": "start" }), element("i", { class: "grip", "data-grip": "end" })] : []),
  );
}

/** A job's status, with its sign. @param {string} status */
export function statusBadge(status) {
  return element("span", { class: "badge", "data-part": "status", "data-status": status }, statusWord(status));
}
