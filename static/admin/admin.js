/**
 * The page of one admin: asks the server again and again, and shows what it says.
 *
 * Below it, `connections` knows the server, `connection-table` shows the rows, and
 * `close-dialog` asks before something is closed. None of these knows this file.
 */

import { Api } from "../api.js";
import { arrange, byId, element, showText } from "../dom.js";
import { remember } from "../session.js";
import { TokenSource } from "../token-source.js";
import { CloseDialog } from "./close-dialog.js";
import { ConnectionTable } from "./connection-table.js";
import { Connections, LISTED_MAX, groupSizes } from "./connections.js";
import { closedText, connectionsText, lengthText, silentText, troubleWords } from "./words.js";

/** @typedef {import("../session.js").Session} Session */
/** @typedef {import("./connections.js").Connection} Connection */
/** @typedef {import("./connections.js").Listed} Listed */

/** From one answer to the next question. */
const RENEWAL_MS = 2000;

/** The longest pause while the server does not answer. */
const RENEWAL_MS_MAX = 15000;

/** Typing has ended when no key was pressed for so long. */
const TYPING_MS = 300;

/** Rows that are listed until more are asked for. */
const LISTED_FIRST = 100;

/** Groups that are offered as filters. */
const GROUPS_MAX = 40;

export class Admin {
  /** @param {Session} session @param {() => void} onExpired */
  constructor(session, onExpired) {
    this.connections = new Connections(new Api(new TokenSource(session, { ended: onExpired, renewed: () => remember(session), ending: () => {} })));
    this.table = new ConnectionTable((connection, all) => this.ask(connection, all));
    this.dialog = new CloseDialog(this.connections, (closed) => this.wasClosed(closed));
    this.listening = new AbortController();
    this.limit = LISTED_FIRST;
    this.failures = 0;
    /** Counts questions, so that a late answer is told from the latest one. */
    this.asked = 0;
    /** @type {Listed | null} */
    this.listed = null;
    /** When the last answer came, on this device's clock. */
    this.answeredAt = 0;
    /** @type {number | undefined} */
    this.timer = undefined;
    /** @type {Map<string, HTMLElement>} */
    this.groupButtons = new Map();
  }

  open() {
    byId("admin").hidden = false;
    byId("freshness").hidden = false;
    this.setState("loading", "Loading");
    const { signal } = this.listening;
    byId("filters").addEventListener("input", () => this.renewIn(TYPING_MS), { signal });
    byId("filters").addEventListener("submit", (/** @type {Event} */ event) => this.submit(event), { signal });
    // The fields are empty once the event has passed.
    byId("filters").addEventListener("reset", () => this.renewIn(0), { signal });
    byId("more-button").addEventListener("click", () => this.showMore(), { signal });
    document.addEventListener("visibilitychange", () => this.renewIn(0), { signal });
    addEventListener("online", () => this.renewIn(0), { signal });
    this.ticking = setInterval(() => this.tick(), 1000);
    this.renewIn(0);
  }

  /** Shows nothing of it any more. */
  close() {
    this.listening.abort();
    clearInterval(this.ticking);
    clearTimeout(this.timer);
    this.asked += 1;
    this.dialog.dismiss();
    this.table.show([], 0);
    arrange(byId("groups"), []);
    for (const id of ["trouble", "silent", "done", "count"]) showText(byId(id), null);
    byId("filters").reset();
    byId("admin").hidden = true;
    byId("freshness").hidden = true;
  }

  /** @param {Event} event */
  submit(event) {
    event.preventDefault();
    this.renewIn(0);
  }

  /** @param {number} milliseconds */
  renewIn(milliseconds) {
    clearTimeout(this.timer);
    // Whoever does not look is shown it when they look again.
    if (document.hidden) return;
    this.timer = setTimeout(() => void this.renew(), milliseconds);
  }

  async renew() {
    const number = ++this.asked;
    const filter = this.filter();
    try {
      const listed = await this.connections.list(filter, this.limit);
      if (number !== this.asked) return;
      this.failures = 0;
      this.show(listed, filter);
      this.renewIn(RENEWAL_MS);
    } catch (error) {
      if (number !== this.asked) return;
      this.failures += 1;
      const { state, text } = troubleWords(error);
      this.setState(state, state === "refused" ? "Refused" : "Offline");
      showText(byId("trouble"), text);
      // Who is refused stays so; a new sign-in begins anew.
      if (state !== "refused") this.renewIn(Math.min(RENEWAL_MS * 2 ** (this.failures - 1), RENEWAL_MS_MAX));
    }
  }

  filter() {
    return {
      user: byId("filter-user").value.trim(),
      group: byId("filter-group").value.trim(),
      transport: byId("filter-transport").value,
    };
  }

  /** @param {Listed} listed @param {{ user: string, group: string, transport: string }} filter */
  show(listed, filter) {
    this.listed = listed;
    this.answeredAt = Date.now();
    const isFiltered = Object.values(filter).some(Boolean);
    this.setState("live", "Live");
    showText(byId("trouble"), null);
    showText(byId("silent"), listed.silentWorkers ? `${silentText(listed.silentWorkers)} Their connections are missing here.` : null);
    showText(byId("count"), `${connectionsText(listed.total)}${isFiltered ? " match" : ""} on node ${listed.nodeId}`);
    showText(byId("empty"), listed.total > 0 ? null : isFiltered ? "No connection matches the filters." : "Nobody is connected to this node.");
    this.table.show(listed.items, listed.now);
    this.showGroups(listed.items, filter.group);
    const missing = listed.total - listed.items.length;
    byId("more").hidden = missing <= 0;
    const canShowMore = this.limit < LISTED_MAX;
    showText(byId("more-text"), `${connectionsText(missing)} more.${canShowMore ? "" : " Use the filters to find one."}`);
    byId("more-button").hidden = !canShowMore;
    this.tick();
  }

  /** @param {Connection[]} connections @param {string} chosen */
  showGroups(connections, chosen) {
    const sizes = groupSizes(connections).slice(0, GROUPS_MAX);
    const buttons = new Map(sizes.map(([group, size]) => [group, this.groupButton(group, size, group === chosen)]));
    arrange(byId("groups"), [...buttons.values()]);
    this.groupButtons = buttons;
    byId("groups-section").hidden = sizes.length === 0;
  }

  /** @param {string} group @param {number} size @param {boolean} isChosen */
  groupButton(group, size, isChosen) {
    let item = this.groupButtons.get(group);
    if (!item) {
      const button = element("button", { type: "button", class: "group", title: group, "data-testid": "group" }, element("span", {}, group), " ", element("span", { class: "dim" }));
      button.addEventListener("click", () => this.choose(group));
      item = element("li", {}, button);
    }
    const button = /** @type {HTMLElement} */ (item.firstElementChild);
    button.setAttribute("aria-pressed", String(isChosen));
    showText(/** @type {HTMLElement} */ (button.lastElementChild), String(size));
    return item;
  }

  /** Filters by the group, or no longer, if it was so. @param {string} group */
  choose(group) {
    const field = byId("filter-group");
    field.value = field.value === group ? "" : group;
    this.renewIn(0);
  }

  showMore() {
    this.limit = LISTED_MAX;
    this.renewIn(0);
  }

  /** @param {Connection} connection @param {boolean} all */
  ask(connection, all) {
    showText(byId("done"), null);
    this.dialog.open(connection, all);
  }

  /** @param {import("./connections.js").Closed} closed */
  wasClosed(closed) {
    showText(byId("done"), closedText(closed));
    this.renewIn(0);
  }

  /** @param {"loading" | "live" | "offline" | "refused"} state @param {string} word */
  setState(state, word) {
    byId("admin").dataset.state = state;
    byId("freshness").dataset.state = state === "loading" ? "connecting" : state;
    showText(byId("freshness-word"), word);
    this.tick();
  }

  /** How old it is: told every second, and not read out each time. */
  tick() {
    const age = Date.now() - this.answeredAt;
    showText(byId("age"), this.listed ? `${lengthText(age)} ago` : null);
    byId("age").parentElement.hidden = !this.listed;
    if (this.listed) this.table.tick(this.listed.now + age);
  }
}
