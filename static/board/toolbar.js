/** The controls over the board: views, days, zone, filters. They show the state and ask for another one. */

import { byId, element } from "../dom.js";
import { knownZone, localDate, ownZone } from "../time.js";
import { statusSign, statusWord } from "../words.js";
import { isDate } from "./axis.js";
import { isFiltered, pagedDate, STATUSES } from "./filters.js";

/** @typedef {import("./filters.js").View} View */
/** @typedef {import("../api.js").Contractor} Contractor */

/**
 * What the controls need to know beside the state.
 *
 * @typedef {object} Choices
 * @property {Contractor[]} contractors
 * @property {string[]} regions
 * @property {string} zone the zone of the board
 * @property {string} regionZone the zone that the region itself is in
 * @property {string[]} zones others that can be chosen
 * @property {string} range the days, in words
 * @property {string} date the day that is looked at
 */

export class Toolbar {
  /**
   * @param {import("./view-state.js").ViewState} state
   * @param {AbortSignal} signal until when it listens
   */
  constructor(state, signal) {
    this.state = state;
    this.signal = signal;
    /** The day that it is in the board's zone. */
    this.today = localDate(Date.now(), ownZone);
    this.statuses = byId("statuses");
    this.statuses.replaceChildren(...STATUSES.map(statusChip));
    for (const button of byId("views").children) {
      this.on(button, "click", () => state.set({ view: button.dataset.view }));
    }
    this.on(byId("earlier"), "click", () => state.set({ date: pagedDate(state.view, this.today, -1) }));
    this.on(byId("later"), "click", () => state.set({ date: pagedDate(state.view, this.today, 1) }));
    this.on(byId("today"), "click", () => state.set({ date: null }));
    this.on(byId("date"), "change", () => {
      if (isDate(byId("date").value)) state.set({ date: byId("date").value });
    });
    this.on(byId("filter"), "input", () => state.set({ text: byId("filter").value }));
    for (const name of /** @type {const} */ (["zone", "region", "contractor"])) {
      this.on(byId(name), "change", () => state.set({ [name]: byId(name).value || null }));
    }
    this.on(byId("period"), "change", () => state.set({ period: byId("period").value }));
    this.on(this.statuses, "click", (event) => this.toggleStatus(event.target));
    this.on(byId("clear-filters"), "click", () => this.clear());
  }

  /** @param {EventTarget} target @param {string} type @param {(event: Event) => void} run */
  on(target, type, run) {
    target.addEventListener(type, run, { signal: this.signal });
  }

  /** @param {EventTarget | null} target */
  toggleStatus(target) {
    const chip = target instanceof Element ? target.closest("button") : null;
    const status = chip?.dataset.status;
    if (!status) return;
    const { view } = this.state;
    const chosen = STATUSES.filter((one) => view.status.includes(one) !== (one === status));
    // Without any there would be nothing to see: the last one that goes brings the others.
    this.state.set({ status: chosen.length > 0 ? chosen : STATUSES.filter((one) => one !== status) });
  }

  /** Shows everything again, and leads back to where one can filter. */
  clear() {
    this.state.set({ region: null, contractor: null, status: STATUSES, text: "" });
    byId("filter").focus();
  }

  /** @param {Choices} choices */
  render(choices) {
    const { view } = this.state;
    for (const button of byId("views").children) button.setAttribute("aria-pressed", String(button.dataset.view === view.view));
    for (const chip of this.statuses.children) chip.setAttribute("aria-pressed", String(view.status.includes(chip.dataset.status)));
    setValue(byId("date"), choices.date);
    setValue(byId("filter"), view.text);
    setValue(byId("period"), view.period);
    if (byId("range").textContent !== choices.range) byId("range").textContent = choices.range;
    byId("today").toggleAttribute("data-current", view.date === null);
    byId("clear-filters").hidden = !isFiltered(view);
    const people = choices.contractors.filter((one) => view.region === null || one.region === view.region);
    fill(byId("region"), [["", "All regions"], ...choices.regions.map((one) => [one, `Region ${one}`])], view.region);
    byId("region").hidden = choices.regions.length < 2 && view.region === null;
    fill(byId("contractor"), [["", "All contractors"], ...people.map((one) => [one.id, one.name])], view.contractor);
    fill(byId("zone"), zoneOptions(choices), view.zone);
  }
}

/** @param {Choices} choices */
function zoneOptions({ regionZone, zones }) {
  /** @type {string[][]} */
  const options = [["", `${regionZone} (the region’s)`]];
  for (const zone of new Set([ownZone, ...zones, "UTC"])) {
    if (zone !== regionZone && knownZone(zone) === zone) options.push([zone, zone === ownZone ? `${zone} (this device’s)` : zone]);
  }
  return options;
}

/** @param {string} status */
function statusChip(status) {
  return element(
    "button",
    { type: "button", class: "chip", "data-status": status, "data-testid": `status-${status}` },
    element("i", { "aria-hidden": true }, statusSign(status)),
    statusWord(status),
  );
}

/** @param {HTMLInputElement} input @param {string} value */
function setValue(input, value) {
  // Setting what is being typed would move the cursor.
  if (input.value !== value) input.value = value;
}

/**
 * Fills a select; a value that is none of the options is offered as it is, so that what
 * the address says is never lost unseen.
 *
 * @param {HTMLSelectElement} select
 * @param {string[][]} options
 * @param {string | null} value
 */
function fill(select, options, value) {
  const all = value === null || options.some(([one]) => one === value) ? options : [...options, [value, value]];
  const drawn = JSON.stringify(all);
  if (select.dataset.drawn !== drawn) {
    select.dataset.drawn = drawn;
    select.replaceChildren(...all.map(([one, text]) => element("option", { value: one }, text)));
  }
  if (select.value !== (value ?? "")) select.value = value ?? "";
}
