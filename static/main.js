/** Wires the page: who is signed in, and what there is for them. */

import { Board } from "./board/board.js";
import { ContractorPage } from "./board/contractor.js";
import { byId } from "./dom.js";
import { Entrance } from "./entrance.js";

/** @typedef {import("./session.js").Session} Session */

/** @type {{ end(why: string | null): void } | null} */
let view = null;

const entrance = new Entrance((session, pages) => {
  const url = new URL(location.href);
  if (session.personaId) url.searchParams.set("persona", session.personaId);
  else url.searchParams.delete("persona");
  history.replaceState(null, "", url);
  const on = { end: leave, pages, switchTo };
  const opened = session.canDispatch ? new Board(session, on) : new ContractorPage(session, on);
  view = opened;
  opened.open();
});

/** @param {string | null} why */
function leave(why) {
  view = null;
  entrance.leave(why);
}

/** Goes on as somebody else, who has signed in here. @param {Session} session */
function switchTo(session) {
  view = null;
  history.replaceState(null, "", location.pathname);
  entrance.enter(session);
}

/** On a phone, one of the two panels is shown at a time. @param {"jobs" | "feed"} panel */
function showPanel(panel) {
  byId("board").dataset.panel = panel;
  byId("show-jobs").setAttribute("aria-pressed", String(panel === "jobs"));
  byId("show-feed").setAttribute("aria-pressed", String(panel === "feed"));
}

byId("show-jobs").addEventListener("click", () => showPanel("jobs"));
byId("show-feed").addEventListener("click", () => showPanel("feed"));
byId("sign-out").addEventListener("click", () => view?.end(null));
void entrance.start(null);
