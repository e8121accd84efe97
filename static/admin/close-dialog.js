/** Asks before a connection, or all of a user, are closed. */

import { byId, showText } from "../dom.js";
import { clock } from "../time.js";
import { closeProblem, transportWord, userName } from "./words.js";

/** @typedef {import("./connections.js").Closed} Closed */
/** @typedef {import("./connections.js").Connection} Connection */
/** @typedef {import("./connections.js").Connections} Connections */

export class CloseDialog {
  /** @param {Connections} connections @param {(closed: Closed) => void} onClosed */
  constructor(connections, onClosed) {
    this.connections = connections;
    this.onClosed = onClosed;
    this.root = byId("close");
    /** What is carried out if it is agreed to. @type {() => Promise<Closed>} */
    this.action = () => Promise.reject(new Error("nothing was asked for"));
    // The element is the page's, and outlives this user.
    byId("close-back").onclick = () => this.dismiss();
    byId("close-form").onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.submit();
    };
  }

  /** @param {Connection} connection @param {boolean} all */
  open(connection, all) {
    const name = userName(connection);
    const { id, user, tokenExpiresAt } = connection;
    this.action = () => (all ? this.connections.closeUser(user.id) : this.connections.close(id));
    showText(byId("close-title"), all ? `Close all connections of ${name}?` : `Close this connection of ${name}?`);
    const since = `since ${clock(Date.parse(connection.since))}`;
    showText(
      byId("close-what"),
      all ? `Every connection of the user ${user.id}, also on other nodes that can be told.` : `${transportWord(connection.transport)}, ${since}, of the user ${user.id}.`,
    );
    const until = tokenExpiresAt === null ? "" : ` until ${clock(Date.parse(tokenExpiresAt))}`;
    showText(byId("close-effect"), `The client is not asked to come back, but whoever has the token may sign in again: it stays good${until}.`);
    showText(byId("close-submit"), all ? "Close all" : "Close it");
    showText(byId("close-problem"), null);
    this.setBusy(false);
    this.root.showModal();
    byId("close-back").focus();
  }

  dismiss() {
    if (this.root.open) this.root.close();
  }

  async submit() {
    this.setBusy(true);
    showText(byId("close-problem"), null);
    try {
      const closed = await this.action();
      this.dismiss();
      this.onClosed(closed);
    } catch (error) {
      showText(byId("close-problem"), closeProblem(error));
    } finally {
      this.setBusy(false);
    }
  }

  /** @param {boolean} isBusy */
  setBusy(isBusy) {
    byId("close-submit").disabled = isBusy;
  }
}
