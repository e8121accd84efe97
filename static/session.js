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
 * @property {string | null} renewalUrl where the next token is to be had; none where it is not
 * @property {string} token
 * @property {number} expiresAt
 */

const PERSONA_KEY = "signalbox.persona";
const TOKEN_KEY = "signalbox.token";

/**
 * How people sign in here.
 *
 * @typedef {object} SignInPages
 * @property {boolean} isDemo whether there are personas to choose from
 * @property {string | null} signInUrl a page elsewhere that hands a token over
 * @property {string | null} tokenRenewalUrl where the next token is to be had
 */

/** @returns {Promise<SignInPages>} */
export function fetchSignInPages() {
  return fetchJson("/sign-in.json");
}

/**
 * The personas of demo mode; null when the server is not in demo mode.
 *
 * @returns {Promise<Persona[] | null>}
 */
export async function fetchPersonas() {
  return (await fetchSignInPages()).isDemo ? (await fetchJson("/demo/personas")).personas : null;
}

/** @param {string} path */
async function fetchJson(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(15000) });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response.json();
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
    renewalUrl: null,
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
    renewalUrl: null,
    token,
    expiresAt,
  };
}

/** What a token says, unchecked. @param {string} token @returns {Record<string, any>} */
export function readClaims(token) {
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
