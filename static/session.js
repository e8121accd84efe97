/**
 * Who uses the page. The token is kept for this tab only, so that two tabs can be two
 * people, and it is gone when the tab is closed.
 */

/** @typedef {import("signalbox-api").Persona} Persona */

/**
 * @typedef {object} Session
 * @property {string} id as events and presence name the user
 * @property {string} name
 * @property {boolean} canDispatch whether the server will let this user change jobs
 * @property {string[]} regions the regions that the user dispatches; `*` stands for all
 * @property {string | null} contractorId the contractor that the user is
 * @property {string | null} personaId whose token can be had again; none for a pasted one
 * @property {string} token
 * @property {number} expiresAt
 */

const PERSONA_KEY = "signalbox.persona";
const TOKEN_KEY = "signalbox.token";

/** A token that ends so soon is treated as ended: it would not outlive the request. */
const EXPIRY_MARGIN_MS = 2000;

/**
 * The personas of demo mode; null when the server is not in demo mode.
 *
 * @returns {Promise<Persona[] | null>}
 */
export async function fetchPersonas() {
  const response = await fetch("/demo/personas", { signal: AbortSignal.timeout(15000) });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return (await response.json()).personas;
}

/** @param {Persona} persona @returns {Session} */
export function sessionOf(persona) {
  const canDispatch = persona.role === "dispatcher" || persona.role === "admin";
  return {
    id: String(readClaims(persona.token).sub),
    name: persona.name,
    canDispatch,
    regions: persona.role === "admin" ? ["*"] : canDispatch ? persona.regions : [],
    contractorId: persona.contractorId ?? null,
    personaId: persona.id,
    token: persona.token,
    expiresAt: Date.parse(persona.expiresAt),
  };
}

/**
 * The session that a pasted token stands for. What the token grants is the server's
 * decision; its claims are read here only to know what to ask for.
 *
 * @param {string} token
 * @returns {Session}
 */
export function sessionOfToken(token) {
  const claims = readClaims(token);
  const roles = Array.isArray(claims.roles) ? claims.roles : [];
  const isAdmin = roles.includes("admin");
  const canDispatch = isAdmin || roles.includes("dispatcher");
  const contractorId = roles.includes("contractor") ? (claims.contractorId ?? null) : null;
  if (!canDispatch && !contractorId) throw new Error("This token has no role that can see jobs.");
  const expiresAt = Number(claims.exp) * 1000;
  if (!(expiresAt > Date.now())) throw new Error("This token has expired.");
  const regions = Array.isArray(claims.regions) ? claims.regions.map(String) : [];
  return {
    id: String(claims.sub),
    name: String(claims.name ?? claims.sub ?? "unnamed"),
    canDispatch,
    regions: isAdmin ? ["*"] : canDispatch ? regions : [],
    contractorId: contractorId === null ? null : String(contractorId),
    personaId: null,
    token,
    expiresAt,
  };
}

/** @param {string} token @returns {Record<string, any>} */
function readClaims(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    if (claims === null || typeof claims !== "object") throw new Error("no claims");
    return claims;
  } catch {
    throw new Error("This is not a JSON Web Token.");
  }
}

/** The token of a session, got again when it has ended. */
export class TokenSource {
  /**
   * @param {Session} session
   * @param {() => void} onEnded called once, when there is no token to be had any more
   */
  constructor(session, onEnded) {
    this.session = session;
    this.onEnded = onEnded;
    this.isEnded = false;
    /** Whether the server has refused the token before its time. */
    this.isRefused = false;
    /** @type {Promise<boolean> | null} */
    this.renewal = null;
  }

  /** A token that should be good. @returns {Promise<string>} */
  async get() {
    const isOver = this.isRefused || Date.now() > this.session.expiresAt - EXPIRY_MARGIN_MS;
    if (isOver && !(await this.renew())) throw new Error("the session has ended");
    return this.session.token;
  }

  /**
   * Gets a fresh token for the same persona; callers at the same time share one
   * request. False when there is none to be had: then the session is over. Fails when
   * the server cannot be asked.
   */
  renew() {
    this.renewal ??= this.fetchToken().finally(() => (this.renewal = null));
    return this.renewal;
  }

  /** Ends the session. */
  end() {
    if (this.isEnded) return;
    this.isEnded = true;
    this.onEnded();
  }

  async fetchToken() {
    const id = this.session.personaId;
    const personas = id && !this.isEnded ? await fetchPersonas() : null;
    const persona = personas?.find((one) => one.id === id);
    if (!persona) {
      this.end();
      return false;
    }
    Object.assign(this.session, sessionOf(persona));
    this.isRefused = false;
    return true;
  }
}

/** Remembers the session for this tab. @param {Session} session */
export function remember(session) {
  forget();
  if (session.personaId) {
    sessionStorage.setItem(PERSONA_KEY, session.personaId);
  } else {
    sessionStorage.setItem(TOKEN_KEY, session.token);
  }
}

/** Forgets whoever used this tab. */
export function forget() {
  sessionStorage.removeItem(PERSONA_KEY);
  sessionStorage.removeItem(TOKEN_KEY);
}

/** Whom this tab remembers; the address bar is asked first: `/?persona=…`. */
export function remembered() {
  return {
    personaId: new URLSearchParams(location.search).get("persona") ?? sessionStorage.getItem(PERSONA_KEY),
    token: sessionStorage.getItem(TOKEN_KEY),
  };
}
