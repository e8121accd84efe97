/** Wires the page: who is signed in, and the board for them. */

import { Board } from "./board/board.js";
import { byId } from "./dom.js";
import { forget, remember, remembered, sessionOf, sessionOfToken } from "./session.js";
import { SignIn } from "./sign-in.js";

/** @typedef {import("./session.js").Session} Session */

/** @type {Board | null} */
let board = null;

const signIn = new SignIn(enter);

/** @param {Session} session */
function enter(session) {
  remember(session);
  const url = new URL(location.href);
  if (session.personaId) url.searchParams.set("persona", session.personaId);
  else url.searchParams.delete("persona");
  history.replaceState(null, "", url);
  signIn.hide();
  board = new Board(session, leave);
  board.open();
}

/** @param {string | null} why */
function leave(why) {
  board = null;
  forget();
  history.replaceState(null, "", location.pathname);
  void signIn.show(why);
}

/** Goes on as whoever used this tab, or asks. */
async function start() {
  const { personaId, token } = remembered();
  if (!personaId && token) {
    try {
      return enter(sessionOfToken(token));
    } catch {
      return signIn.show("Your sign-in has expired. Please sign in again.");
    }
  }
  const personas = await signIn.show(null);
  const persona = personas?.find((one) => one.id === personaId);
  if (persona) enter(sessionOf(persona));
}

/** On a phone, one of the two panels is shown at a time. @param {"jobs" | "feed"} panel */
function showPanel(panel) {
  byId("board").dataset.panel = panel;
  byId("show-jobs").setAttribute("aria-pressed", String(panel === "jobs"));
  byId("show-feed").setAttribute("aria-pressed", String(panel === "feed"));
}

byId("show-jobs").addEventListener("click", () => showPanel("jobs"));
byId("show-feed").addEventListener("click", () => showPanel("feed"));
byId("sign-out").addEventListener("click", () => board?.end(null));
void start();
