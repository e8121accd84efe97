/**
 * The sign-in view: personas in demo mode; else a page elsewhere that hands a token over,
 * if there is one, and a field for a token.
 */

import { byId, element, showText } from "./dom.js";
import { signInAddress } from "./hand-over.js";
import { fetchPersonas, fetchSignInPages, sessionOf, sessionOfToken } from "./session.js";

/** @typedef {import("./session.js").Persona} Persona */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./session.js").SignInPages} SignInPages */

/** Whom the board is for, and what it says of them. @type {[string, string][]} */
const BOARD_ROLES = [["dispatcher", "Dispatchers plan and change jobs"], ["contractor", "Contractors see their own jobs"]];

export class SignIn {
  /**
   * @param {(session: Session) => void} onSession
   * @param {() => void} onRetry
   * @param {[string, string][]} [roles] whom of a demo this page offers, each with a heading
   */
  constructor(onSession, onRetry, roles = BOARD_ROLES) {
    this.onSession = onSession;
    this.roles = roles;
    this.root = byId("sign-in");
    byId("sign-in-retry").addEventListener("click", onRetry);
    byId("sign-in-link").addEventListener("click", () => this.aim());
    byId("token-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.takeToken();
    });
    /** @type {SignInPages | null} */
    this.pages = null;
  }

  hide() {
    this.root.hidden = true;
    byId("token").value = "";
  }

  /**
   * Finds out how people sign in here; null when the server cannot be reached, which the
   * view says then.
   *
   * @returns {Promise<{ pages: SignInPages, personas: Persona[] | null } | null>}
   */
  async look() {
    this.root.hidden = false;
    this.state("loading", "Looking who can sign in…");
    try {
      this.pages = await fetchSignInPages();
      return { pages: this.pages, personas: this.pages.isDemo ? await fetchPersonas() : null };
    } catch {
      this.fail();
      return null;
    }
  }

  /** Says that what is needed cannot be loaded. */
  fail() {
    this.root.hidden = false;
    this.state("failed", "The server cannot be reached.");
  }

  /**
   * Shows the ways to sign in.
   *
   * @param {string | null} notice why the user is here again
   * @param {Persona[] | null} personas
   */
  show(notice, personas) {
    this.root.hidden = false;
    showText(byId("sign-in-notice"), notice);
    if (personas) return this.offer(personas);
    if (this.pages?.signInUrl) this.state("page", "You sign in on a page of your organisation, and come back here.");
    else this.state("token", "Paste a token that was made for this server.");
  }

  /**
   * Asks whether the user wants to be who a link makes them.
   *
   * @param {Session} session
   * @param {Session | null} former who the user is so far
   * @param {() => void} onRefused
   */
  confirm(session, former, onRefused) {
    this.root.hidden = false;
    showText(byId("sign-in-notice"), null);
    const now = former ? `You are signed in as ${former.name}.` : "You are not signed in.";
    this.state("confirm", `${now} A link wants to sign you in as ${session.name} (${session.id}). Go on only if you have asked for it.`);
    const yes = element("button", { type: "button", class: "button primary", "data-testid": "confirm-sign-in" }, `Sign in as ${session.name}`);
    const no = element("button", { type: "button", class: "button", "data-testid": "refuse-sign-in" }, former ? `Stay ${former.name}` : "Do not sign in");
    yes.addEventListener("click", () => this.onSession(session));
    no.addEventListener("click", onRefused);
    byId("personas").replaceChildren(element("div", { class: "dialog-buttons" }, no, yes));
    no.focus();
  }

  /** @param {string} state @param {string} lead */
  state(state, lead) {
    this.root.dataset.state = state;
    showText(byId("sign-in-lead"), lead);
    showText(byId("token-problem"), null);
    byId("personas").replaceChildren();
    byId("token-form").hidden = state !== "token";
    byId("sign-in-page").hidden = state !== "page";
    byId("sign-in-retry").hidden = state !== "failed";
    byId("use-token").onclick = () => this.state("token", "Paste a token that was made for this server.");
    if (state === "page") this.aim();
  }

  /** Points the link to the sign-in page, with the way back. */
  aim() {
    if (this.pages?.signInUrl) byId("sign-in-link").href = signInAddress(this.pages.signInUrl);
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
