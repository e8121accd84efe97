/** The sign-in view: personas in demo mode, a field for a token otherwise. */

import { byId, element, showText } from "./dom.js";
import { fetchPersonas, sessionOf, sessionOfToken } from "./session.js";

/** @typedef {import("./session.js").Persona} Persona */
/** @typedef {import("./session.js").Session} Session */

/** Whom the board is for, and what it says of them. @type {[string, string][]} */
const BOARD_ROLES = [["dispatcher", "Dispatchers plan and change jobs"], ["contractor", "Contractors see their own jobs"]];

export class SignIn {
  /**
   * @param {(session: Session) => void} onSession
   * @param {[string, string][]} [roles] whom of a demo this page offers, each with a heading
   */
  constructor(onSession, roles = BOARD_ROLES) {
    this.onSession = onSession;
    this.roles = roles;
    this.root = byId("sign-in");
    byId("sign-in-retry").addEventListener("click", () => void this.show(null));
    byId("token-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.takeToken();
    });
  }

  hide() {
    this.root.hidden = true;
    byId("token").value = "";
  }

  /**
   * Shows the view.
   *
   * @param {string | null} notice why the user is here again
   * @returns {Promise<Persona[] | null>} the personas, when there are any to choose from
   */
  async show(notice) {
    this.root.hidden = false;
    showText(byId("sign-in-notice"), notice);
    this.state("loading", "Looking who can sign in…");
    byId("personas").replaceChildren();
    try {
      const personas = await fetchPersonas();
      if (personas) this.offer(personas);
      else this.state("token", "Paste a token that was made for this server.");
      return personas;
    } catch {
      this.state("failed", "The server cannot be reached.");
      return null;
    }
  }

  /** @param {string} state @param {string} lead */
  state(state, lead) {
    this.root.dataset.state = state;
    showText(byId("sign-in-lead"), lead);
    showText(byId("token-problem"), null);
    byId("token-form").hidden = state !== "token";
    byId("sign-in-retry").hidden = state !== "failed";
  }

  /** @param {Persona[]} personas */
  offer(personas) {
    this.state("personas", "This is a demo on made-up data. Choose who you are; open a second tab to be two people at once.");
    const groups = this.roles.map(([role, title]) => {
      const cards = personas.filter((one) => one.role === role).map((one) => this.card(one));
      return element("section", { hidden: cards.length === 0 }, element("h2", {}, title), element("ul", { class: "personas" }, ...cards));
    });
    byId("personas").replaceChildren(...groups);
  }

  /** @param {Persona} persona */
  card(persona) {
    const button = element(
      "button",
      { type: "button", class: "persona", "data-testid": "persona", "data-persona-id": persona.id },
      element("strong", {}, persona.name),
      element("span", { class: "dim" }, [persona.regions.join(", "), persona.timezone].filter(Boolean).join(" · ")),
    );
    button.addEventListener("click", () => this.onSession(sessionOf(persona)));
    return element("li", {}, button);
  }

  takeToken() {
    try {
      this.onSession(sessionOfToken(byId("token").value.trim()));
    } catch (error) {
      showText(byId("token-problem"), error instanceof Error ? error.message : String(error));
      byId("token").focus();
    }
  }
}
