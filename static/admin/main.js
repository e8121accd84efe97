/** Wires the page of connections: who is signed in, and what the server says. */

import { byId, showText } from "../dom.js";
import { forget, remember, remembered, sessionOf, sessionOfToken } from "../session.js";
import { SignIn } from "../sign-in.js";
import { Admin } from "./admin.js";

/** @typedef {import("../session.js").Session} Session */

/** Whom this page is for, of those that a demo has. @type {[string, string][]} */
const ROLES = [["admin", "Admins see and close connections"]];

/** @type {Admin | null} */
let admin = null;

const signIn = new SignIn(enter, ROLES);

/** @param {Session} session */
function enter(session) {
  remember(session);
  signIn.hide();
  showText(byId("account-name"), session.name);
  byId("account").hidden = false;
  admin = new Admin(session, () => leave("Your sign-in has expired. Please sign in again."));
  admin.open();
}

/** @param {string | null} why */
function leave(why) {
  admin?.close();
  admin = null;
  forget();
  byId("account").hidden = true;
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

byId("sign-out").addEventListener("click", () => leave(null));
void start();
