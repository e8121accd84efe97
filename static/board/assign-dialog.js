/** Gives a job to a contractor, to several, or to nobody: what dragging does, without dragging. */

import { element, showText } from "../dom.js";
import { jobWindow } from "../words.js";
import { ChangeDialog } from "./change-dialog.js";
import { sameIds } from "./move-plan.js";
import { conflictsOf } from "./schedule.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("../api.js").Contractor} Contractor */

/** Contractors of one job, at most: the server's bound. */
const CONTRACTORS_MAX = 10;

export class AssignDialog extends ChangeDialog {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {import("./change-dialog.js").Desk} desk
   * @param {() => Iterable<Contractor>} contractors
   */
  constructor(dialog, desk, contractors) {
    super(dialog, desk);
    this.contractors = contractors;
    /** @type {Set<string>} */
    this.chosen = new Set();
    /** @type {Map<string, { line: HTMLElement, input: HTMLInputElement, note: HTMLElement, name: string }>} */
    this.lines = new Map();
    const { signal } = this.listening;
    this.several = /** @type {HTMLInputElement} */ (this.part("several"));
    this.words = /** @type {HTMLInputElement} */ (this.part("words"));
    this.several.addEventListener("change", () => this.setSeveral(), { signal });
    this.words.addEventListener("input", () => this.update(), { signal });
    this.part("people").addEventListener("change", (/** @type {Event} */ event) => this.choose(event.target), { signal });
  }

  /** @override @param {Job} job */
  fill(job) {
    this.chosen = new Set(job.contractorIds);
    this.several.checked = this.chosen.size > 1;
    this.words.value = "";
    this.draw(job);
  }

  /** @param {Job} job */
  draw(job) {
    const people = [...this.contractors()].filter((one) => one.region === job.region).sort((a, b) => (a.name < b.name ? -1 : 1));
    this.lines.clear();
    const type = this.several.checked ? "checkbox" : "radio";
    const lines = [...(type === "radio" ? [{ id: "", name: "Nobody" }] : []), ...people].map(({ id, name }) => {
      const input = /** @type {HTMLInputElement} */ (element("input", { type, name: "contractor", value: id, "data-testid": "choice" }));
      const note = element("span", { class: "dim" });
      const line = element("label", { class: "choice" }, input, element("span", {}, element("strong", {}, name), note));
      this.lines.set(id, { line, input, note, name });
      return line;
    });
    this.part("people").replaceChildren(...lines);
  }

  setSeveral() {
    if (!this.job) return;
    const [first] = this.chosen;
    if (!this.several.checked) this.chosen = new Set(first ? [first] : []);
    this.draw(this.job);
    this.update();
  }

  /** @param {EventTarget | null} target */
  choose(target) {
    if (!(target instanceof HTMLInputElement)) return;
    if (!this.several.checked) this.chosen = new Set(target.value ? [target.value] : []);
    else if (target.checked) this.chosen.add(target.value);
    else this.chosen.delete(target.value);
    this.update();
  }

  /** @override */
  update() {
    super.update();
    const { job } = this;
    if (!job) return;
    const words = this.words.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    for (const [id, { line, input, note, name }] of this.lines) {
      input.checked = id === "" ? this.chosen.size === 0 : this.chosen.has(id);
      line.hidden = id !== "" && !words.every((word) => name.toLocaleLowerCase().includes(word));
      const busy = id === "" ? [] : conflictsOf(this.desk.jobs.byId.values(), job.id, [id], Date.parse(job.startUtc), Date.parse(job.endUtc));
      line.toggleAttribute("data-busy", busy.length > 0);
      const text = busy.length > 0 ? ` ⚠ busy: ${busy.map((one) => `“${one.title}”, ${jobWindow(one)}`).join("; ")}` : id === "" ? "" : " free at that time";
      if (note.textContent !== text) note.textContent = text;
    }
    showText(this.part("limit"), this.chosen.size > CONTRACTORS_MAX ? `A job has at most ${CONTRACTORS_MAX} contractors.` : null);
  }

  /** @override */
  isReady() {
    return this.job !== null && this.chosen.size <= CONTRACTORS_MAX && !sameIds([...this.chosen], this.job.contractorIds);
  }

  /** @override */
  content() {
    return { contractorIds: [...this.chosen] };
  }

  /** @override @param {Job} job @param {any} content @param {string} key */
  async send(job, content, key) {
    return this.desk.api.assign(job, content, key);
  }

  /** @override @param {Job} job */
  doneText(job) {
    const names = job.contractorIds.map((id) => this.lines.get(id)?.name ?? "a contractor");
    return `“${job.title}” is now with ${names.join(", ") || "nobody"}.`;
  }
}
