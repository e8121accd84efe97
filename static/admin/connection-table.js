/**
 * The rows of connections. A row stays the same element for as long as its connection
 * is listed, and only texts that differ are written: focus, scrolling and a selection
 * outlive every renewal.
 */

import { arrange, byId, element, showText } from "../dom.js";
import { clock } from "../time.js";
import { bytesText, lengthText, momentText, protocolWord, queueText, transportWord, userName } from "./words.js";

/** @typedef {import("./connections.js").Connection} Connection */

/**
 * @typedef {object} Row
 * @property {HTMLElement} root
 * @property {Connection} connection
 * @property {Record<string, HTMLElement>} parts
 */

export class ConnectionTable {
  /** @param {(connection: Connection, all: boolean) => void} onClose asked to close one, or all of its user */
  constructor(onClose) {
    this.onClose = onClose;
    this.body = byId("rows");
    /** @type {Map<string, Row>} */
    this.rows = new Map();
  }

  /** @param {Connection[]} connections @param {number} now the server's time */
  show(connections, now) {
    const former = this.rows;
    this.rows = new Map(connections.map((one) => [one.id, this.updated(former.get(one.id) ?? this.made(one), one)]));
    const successor = this.successorOfFocus(former);
    arrange(this.body, [...this.rows.values()].map((row) => row.root));
    byId("connections").hidden = connections.length === 0;
    this.tick(now);
    successor?.focus();
  }

  /** Writes what changes by itself. @param {number} now the server's time */
  tick(now) {
    for (const { connection, parts } of this.rows.values()) {
      showText(parts.connected, lengthText(now - Date.parse(connection.since)));
      showText(parts.heard, `${lengthText(now - Date.parse(connection.lastHeardAt))} ago`);
      const end = connection.tokenExpiresAt === null ? null : Date.parse(connection.tokenExpiresAt);
      showText(parts.ends, end === null ? "never" : end <= now ? "now" : `in ${lengthText(end - now)}`);
    }
  }

  /**
   * Where the focus goes when its row is about to leave: to the same button of the next
   * row that stays, else to the heading.
   *
   * @param {Map<string, Row>} former
   * @returns {HTMLElement | null}
   */
  successorOfFocus(former) {
    const focused = document.activeElement;
    const order = [...former.values()];
    const at = order.findIndex((row) => row.root.contains(focused));
    if (at < 0 || this.rows.has(order[at].connection.id)) return null;
    const part = /** @type {HTMLElement} */ (focused).dataset.testid ?? "close";
    const next = [...order.slice(at + 1), ...order.slice(0, at).reverse()].find((row) => this.rows.has(row.connection.id));
    return next?.parts[part] ?? byId("title");
  }

  /** @param {Connection} connection @returns {Row} */
  made(connection) {
    /** @type {Record<string, HTMLElement>} */
    const parts = {};
    /** @param {string} name @param {string} tag @param {Record<string, string>} [attributes] */
    const part = (name, tag, attributes = {}) => (parts[name] = element(tag, { ...attributes, "data-part": name }));
    /** @param {string} label @param {...HTMLElement} children */
    const cell = (label, ...children) =>
      element("td", { role: "cell", "data-label": label }, element("div", { class: "cell" }, ...children));
    /** @param {string} name @param {string} text @param {boolean} all */
    const button = (name, text, all) => {
      const made = element("button", { type: "button", class: "button", "data-testid": name }, text);
      made.addEventListener("click", () => this.onClose(row.connection, all));
      return (parts[name] = made);
    };
    const root = element(
      "tr",
      { role: "row", "data-testid": "row", "data-connection-id": connection.id },
      element(
        "th",
        { role: "rowheader", scope: "row", "data-label": "User" },
        element("div", { class: "cell" }, part("name", "strong"), part("user", "span", { class: "dim" })),
      ),
      cell("Connected", part("connected", "span"), part("since", "span", { class: "dim" })),
      cell("Transport", part("transport", "span"), part("protocol", "span", { class: "dim" })),
      cell("Groups", part("groups", "ul")),
      cell("Waiting", part("waiting", "span"), part("bound", "span", { class: "dim" })),
      cell("Last heard", part("heard", "span")),
      cell("Token ends", part("ends", "span"), part("expires", "span", { class: "dim" })),
      element(
        "td",
        { role: "cell", class: "actions" },
        element("div", { class: "cell" }, button("close", "Close…", false), button("close-all", "Close all…", true)),
      ),
    );
    /** @type {Row} */
    const row = { root, connection, parts };
    return row;
  }

  /** @param {Row} row @param {Connection} connection @returns {Row} */
  updated(row, connection) {
    row.connection = connection;
    const { parts } = row;
    const { user, queue, groups, tokenExpiresAt } = connection;
    showText(parts.name, userName(connection));
    showText(parts.user, [user.name ? user.id : null, user.role].filter(Boolean).join(" · "));
    showText(parts.since, `since ${clock(Date.parse(connection.since))}`);
    parts.since.title = momentText(Date.parse(connection.since));
    showText(parts.transport, transportWord(connection.transport));
    showText(parts.protocol, protocolWord(connection.protocol));
    showText(parts.waiting, queueText(queue));
    showText(parts.bound, queue.messages > 0 ? `of ${bytesText(queue.bytesMax)}` : null);
    row.root.toggleAttribute("data-waiting", queue.messages > 0);
    showText(parts.expires, tokenExpiresAt === null ? null : `at ${clock(Date.parse(tokenExpiresAt))}`);
    const name = userName(connection);
    parts.close.setAttribute("aria-label", `Close this connection of ${name}`);
    parts["close-all"].setAttribute("aria-label", `Close all connections of ${name}`);
    parts["close-all"].title = `Close all connections of ${name}`;
    const shown = [...parts.groups.children].map((item) => item.textContent);
    if (shown.join("\n") !== (groups.length > 0 ? groups.join("\n") : "none")) {
      const items = groups.map((group) => element("li", {}, group));
      parts.groups.replaceChildren(...(items.length > 0 ? items : [element("li", { class: "dim" }, "none")]));
    }
    return row;
  }
}
