/** Names who else looks at the board just now. */

import { arrange, element, showText } from "../dom.js";
import { personName } from "./presence.js";

/** People that are named one by one; the rest is a number. */
const NAMES_MAX = 5;

export class PresenceLine {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** @type {Map<string, HTMLElement>} */
    this.items = new Map();
    this.lead = element("span", { class: "presence-lead" });
    this.list = element("ul", { class: "presence-people", "aria-label": "Also looking at this board" });
    root.replaceChildren(this.lead, this.list);
  }

  /**
   * @param {import("./presence.js").Presence} presence
   * @param {(id: string) => string | undefined} titleOf the title of a job that is known
   */
  render(presence, titleOf) {
    const { people, more } = presence.others;
    this.root.hidden = people.length === 0;
    showText(this.lead, "Also here:");
    const named = people.slice(0, NAMES_MAX);
    const rest = people.length - named.length + more;
    const items = named.map((person) => this.item(person.id, personName(person), person.jobIds.map(titleOf).filter((title) => title !== undefined)));
    arrange(this.list, rest > 0 ? [...items, this.item("", `${rest} more`, [])] : items);
    const there = new Set(named.map((person) => person.id));
    for (const id of this.items.keys()) if (id !== "" && !there.has(id)) this.items.delete(id);
  }

  /** @param {string} id @param {string} name @param {string[]} titles of the jobs that are open */
  item(id, name, titles) {
    let item = this.items.get(id);
    if (!item) {
      item = element("li", { "data-testid": "present", "data-person": id });
      this.items.set(id, item);
    }
    const open = titles.length > 0 ? `has “${titles.join("”, “")}” open` : "";
    showText(item, [name, open].filter(Boolean).join(" "));
    return item;
  }

  dispose() {
    this.root.hidden = true;
    this.root.replaceChildren();
  }
}
