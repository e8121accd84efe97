/**
 * How a sign-in page elsewhere hands a token over: the user is sent there with an address
 * to return to, and comes back to it with the token in the fragment, which browsers send
 * to no server. A secret goes along and has to come back: so a link of somebody else's
 * cannot sign a user in as them.
 */

const STATE_KEY = "signalbox.sign-in";

/**
 * The address of the sign-in page. What the user looks at is where it returns to.
 *
 * @param {string} signInUrl
 */
export function signInAddress(signInUrl) {
  const state = sessionStorage.getItem(STATE_KEY) ?? freshState();
  sessionStorage.setItem(STATE_KEY, state);
  const address = new URL(signInUrl);
  address.searchParams.set("return_to", location.origin + location.pathname + location.search);
  address.searchParams.set("state", state);
  return address.href;
}

/**
 * The token that the address hands over, which is taken from there at once.
 *
 * @returns {{ token: string, isAskedFor: boolean } | null} whether this page has asked for it
 */
export function takeHandedOver() {
  const given = new URLSearchParams(location.hash.slice(1));
  const token = given.get("access_token");
  if (token === null) return null;
  history.replaceState(null, "", location.pathname + location.search);
  const state = sessionStorage.getItem(STATE_KEY);
  sessionStorage.removeItem(STATE_KEY);
  return { token, isAskedFor: state !== null && given.get("state") === state };
}

function freshState() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
