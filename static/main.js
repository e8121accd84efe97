/** Wires the page: who is signed in, and what there is for them. */

import { byId } from "./dom.js";
import { Entrance } from "./entrance.js";

/** @typedef {import("./session.js").Session} Session */

/** @type {{ end(why: string | null): void } | null} */
let view = null;
/** Counts who enters and leaves. */
let turn = 0;

const entrance = new Entrance(async (session, pages) => {
  const entered = ++turn;
  const View = await viewOf(session);
  if (entered !== turn) return;
  const url = new URL(location.href);
  if (session.personaId) url.searchParams.set("persona", session.personaId);
  else url.searchParams.delete("persona");
  history.replaceState(null, "", url);
  const on = { end: leave, pages, switchTo };
  const opened = new View(session, on);
  view = opened;
  opened.open();
});

/** What there is for them, without loading what there is for others. @param {Session} session */
async function viewOf(session) {
  if (session.canDispatch) return (await import("./board/board.js")).Board;
  return (await import("./board/contractor.js")).ContractorPage;
}

/** @param {string | null} why */
function leave(why) {
  turn += 1;
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
