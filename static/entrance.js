/**
 * The way in: as whoever used this tab, by a token that a sign-in page hands over, or by
 * asking.
 */

import { takeHandedOver } from "./hand-over.js";
import { forget, remember, remembered, sessionOf, sessionOfToken } from "./session.js";
import { SignIn } from "./sign-in.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./session.js").Persona} Persona */
/** @typedef {import("./session.js").SignInPages} SignInPages */

export class Entrance {
  /**
   * @param {(session: Session, pages: SignInPages) => void | Promise<void>} onEnter fails
   *   when what is behind the entrance cannot be loaded
   * @param {[string, string][]} [roles] whom of a demo the page offers
   */
  constructor(onEnter, roles) {
    this.onEnter = onEnter;
    /** A token of the address, until it is taken or refused. */
    this.handedOver = takeHandedOver();
    this.signIn = new SignIn((session) => this.enter(session), () => void this.start(null), roles);
  }

  /** Goes on as whoever used this tab, or asks. @param {string | null} notice why the user is here again */
  async start(notice) {
    const found = await this.signIn.look();
    if (!found) return;
    const { session, problem } = formerSession(found.personas);
    const { handedOver } = this;
    if (!handedOver) return session ? this.enter(session) : this.signIn.show(notice ?? problem, found.personas);
    this.handedOver = null;
    try {
      const handed = sessionOfToken(handedOver.token);
      if (handedOver.isAskedFor || handed.id === session?.id) return this.enter(handed);
      this.signIn.confirm(handed, session, () => void this.start(null));
    } catch (error) {
      this.signIn.show(`The token that was handed over cannot be used. ${error instanceof Error ? error.message : error}`, found.personas);
    }
  }

  /** @param {Session} session */
  enter(session) {
    const pages = this.signIn.pages ?? { isDemo: false, signInUrl: null, tokenRenewalUrl: null };
    if (!session.personaId) session.renewalUrl = pages.tokenRenewalUrl;
    remember(session);
    Promise.resolve(this.onEnter(session, pages)).then(() => this.signIn.hide(), () => this.signIn.fail());
  }

  /** @param {string | null} why */
  leave(why) {
    forget();
    history.replaceState(null, "", location.pathname);
    void this.start(why);
  }
}

/**
 * Who used this tab before.
 *
 * @param {Persona[] | null} personas
 * @returns {{ session: Session | null, problem: string | null }}
 */
function formerSession(personas) {
  const { personaId, token } = remembered();
  if (personas) {
    const persona = personas.find((one) => one.id === personaId);
    return { session: persona ? sessionOf(persona) : null, problem: null };
  }
  try {
    return { session: token ? sessionOfToken(token) : null, problem: null };
  } catch {
    return { session: null, problem: "Your sign-in has expired. Please sign in again." };
  }
}
