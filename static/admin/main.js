/** Wires the page of connections: who is signed in, and what the server says. */

import { byId, showText } from "../dom.js";
import { Entrance } from "../entrance.js";
import { Admin } from "./admin.js";

/** Whom this page is for, of those that a demo has. @type {[string, string][]} */
const ROLES = [["admin", "Admins see and close connections"]];

/** @type {Admin | null} */
let admin = null;

const entrance = new Entrance((session) => {
  showText(byId("account-name"), session.name);
  byId("account").hidden = false;
  admin = new Admin(session, () => leave("Your sign-in has expired. Please sign in again."));
  admin.open();
}, ROLES);

/** @param {string | null} why */
function leave(why) {
  admin?.close();
  admin = null;
  byId("account").hidden = true;
  entrance.leave(why);
}

byId("sign-out").addEventListener("click", () => leave(null));
void entrance.start(null);
