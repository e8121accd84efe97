/**
 * The board of one user: wires what the server has to the views, from signing in to
 * signing out.
 *
 * Below it, `live-data` knows the server, `jobs` what is so, `view-state` what is looked
 * at; the views show it and ask for changes. None of these knows this file.
 */

import { ConnectionLine } from "../connection-line.js";
import { byId, showText } from "../dom.js";
import { SessionNotice } from "../session-notice.js";
import { knownZone, localDate, ownZone } from "../time.js";
import { AssignDialog } from "./assign-dialog.js";
import { dayStart } from "./axis.js";
import { CancelDialog } from "./cancel-dialog.js";
import { Changes } from "./changes.js";
import { EventFeed } from "./event-feed.js";
import { firstDate, jobFilter } from "./filters.js";
import { Gestures, whyNotMove } from "./gestures.js";
import { JobList } from "./job-list.js";
import { JobPanel } from "./job-panel.js";
import { LiveData } from "./live-data.js";
import { Mover } from "./mover.js";
import { Others } from "./others.js";
import { OvertakenDialog } from "./overtaken-dialog.js";
import { Pace } from "./pace.js";
import { PresenceLine } from "./presence-line.js";
import { RescheduleDialog } from "./reschedule-dialog.js";
import { barId, commonZone, unassignedOf } from "./schedule.js";
import { ScheduleView } from "./schedule-view.js";
import { Toasts } from "./toasts.js";
import { Toolbar } from "./toolbar.js";
import { Unassigned } from "./unassigned.js";
import { ViewState } from "./view-state.js";

/** @typedef {import("../api.js").Job} Job */
/** @typedef {import("../session.js").Session} Session */
/** @typedef {import("../connection.js").LiveStatus} LiveStatus */

/** Hours before now from which jobs are loaded: yesterday's midnight in every zone lies within. */
const COMING_FROM_HOURS = 48;

/** Below this width there is the list alone: a timeline needs room. */
const WIDE = "(min-width: 56.01rem)";

export class Board {
  /**
   * @param {Session} session
   * @param {object} on
   * @param {import("../session.js").SignInPages} on.pages
   * @param {(why: string | null) => void} on.end
   * @param {(session: Session) => void} on.switchTo somebody else has signed in
   */
  constructor(session, { pages, end, switchTo }) {
    this.session = session;
    this.onEnd = end;
    this.pace = new Pace(() => this.draw());
    this.listening = new AbortController();
    const { signal } = this.listening;
    this.wide = matchMedia(WIDE);
    this.state = new ViewState(() => this.viewChanged(), signal);
    this.data = new LiveData(session, {
      from: () => (this.loadedFrom = this.wantedFrom()),
      change: () => this.pace.changed(),
      event: (event, isMissed) => this.takeEvent(event, isMissed),
      status: (status) => this.showStatus(status),
      presence: () => this.showPresence(),
      signedOut: () => this.signedOut(),
      signInEnding: (endsInMs) => this.notice.ending(endsInMs),
    });
    /** The moment from which on jobs are loaded; null for all. @type {string | null} */
    this.loadedFrom = null;
    /** Which of the two is beside the board; null for what suits the view. @type {string | null} */
    this.side = null;
    /** A job of the address that the server does not know. */
    this.missing = "";
    const { jobs, api, names } = this.data;
    const contractors = () => this.data.contractors.values();
    this.data.feed = new EventFeed(byId("feed"), byId("feed-empty"), { names, api, contractors });
    this.line = new ConnectionLine("paused");
    this.notice = new SessionNotice(pages, signal);
    this.notice.onSession = (another) => {
      if (another.id === session.id) return this.data.resume({ ...another, renewalUrl: session.renewalUrl });
      this.onEnd = () => switchTo(another);
      this.end(null);
    };
    this.people = new PresenceLine(byId("presence"));
    this.toasts = new Toasts(byId("toasts"));
    this.others = new Others({ toasts: this.toasts, names, open: (job) => this.state.set({ job }) });
    const [zone, whyNot] = [() => this.zones.zone, () => this.whyNot];
    this.overtaken = new OvertakenDialog(byId("overtaken"), { jobs, names, zone }, signal);
    this.changes = new Changes({
      jobs, api, names, zone, whyNot, toasts: this.toasts,
      ask: (question) => this.overtaken.ask(question),
      open: (job) => this.openJob(job),
      onChange: () => this.pace.now(),
    });
    const desk = { jobs, api, announce, whyNot, done: (/** @type {Job} */ before, /** @type {Job} */ now) => this.done(before, now) };
    this.dialogs = {
      reschedule: new RescheduleDialog(byId("reschedule"), desk),
      assign: new AssignDialog(byId("assign"), desk, contractors),
      cancel: new CancelDialog(byId("cancel"), desk),
    };
    this.toolbar = new Toolbar(this.state, signal);
    const act = {
      open: (/** @type {Job} */ job) => this.openJob(job),
      reschedule: (/** @type {Job} */ job) => this.openDialog("reschedule", job),
      assign: (/** @type {Job} */ job) => this.openDialog("assign", job),
      cancel: (/** @type {Job} */ job) => this.openDialog("cancel", job),
      clearFilter: () => this.toolbar.clear(),
      fade: () => this.pace.changed(),
    };
    this.schedule = new ScheduleView(byId("schedule"), { ...act, retry: () => void this.reload() });
    this.unassigned = new Unassigned(byId("unassigned"), byId("unassigned-count"), act);
    this.list = new JobList(byId("jobs-list"), byId("jobs-count"), act);
    this.panel = new JobPanel(byId("job-panel"), {
      ...act,
      close: () => this.closeJob(),
      show: (job) => this.showOnTimeline(job),
      history: (id) => api.jobEvents(id),
    });
    this.mover = new Mover(byId("move-words"), {
      jobs, names, zone, announce, schedule: this.schedule,
      drop: (seen, target) => void this.drop(seen, target),
    });
    this.gestures = new Gestures(this.schedule.frame, byId("unassigned"), {
      jobs, schedule: this.schedule, mover: this.mover,
      open: (job) => this.openJob(job),
      whyNot: (job) => whyNotMove(job, session.canDispatch, this.whyNot),
      refuse: (text) => this.toasts.show({ kind: "others", key: "why-not", text }),
      undo: () => void this.changes.undo(),
    }, signal);
  }

  open() {
    const { signal } = this.listening;
    for (const button of byId("side-tabs").children) {
      button.addEventListener("click", () => {
        this.side = button.dataset.side;
        this.pace.now();
      }, { signal });
    }
    this.wide.addEventListener("change", () => this.pace.now(), { signal });
    for (const id of Object.keys(this.dialogs)) byId(id).addEventListener("close", () => this.showPresence(), { signal });
    byId("account-name").textContent = this.session.name;
    byId("account-scope").textContent = scopeText(this.session);
    byId("account").hidden = false;
    byId("board").hidden = false;
    this.showStatus(this.data.connection.status);
    void this.data.run();
  }

  /** The token has ended: what is there stays, but there may be nothing yet. */
  signedOut() {
    if (!this.data.isLoaded) return this.end("Your sign-in has expired. Please sign in again.");
    this.notice.ended();
    this.showStatus(this.data.connection.status);
  }

  /** @param {string | null} why */
  end(why) {
    if (this.listening.signal.aborted) return;
    this.listening.abort();
    this.pace.stop();
    document.body.removeAttribute("data-fills");
    this.mover.leave();
    this.others.dispose();
    this.toasts.clear();
    for (const dialog of Object.values(this.dialogs)) dialog.dispose();
    this.list.clear();
    this.schedule.dispose();
    this.panel.render({ ...this.panelState(), id: null });
    this.line.dispose();
    this.people.dispose();
    void this.data.close();
    for (const id of ["account", "board"]) byId(id).hidden = true;
    this.onEnd(why);
  }

  /** Whether the timeline is shown, and not the list. */
  get hasTimeline() {
    return this.session.canDispatch && this.wide.matches && this.state.view.view !== "list";
  }

  /** The zone that the board's times are in, and the one that its region is in. */
  get zones() {
    const { region, zone } = this.state.view;
    const contractors = [...this.data.contractors.values()].filter((one) => region === null || one.region === region);
    const regionZone = knownZone(commonZone(contractors) ?? ownZone);
    return { zone: zone === null ? regionZone : knownZone(zone), regionZone };
  }

  /** From which moment on the view needs jobs; null for all there are. */
  wantedFrom() {
    const coming = Date.now() - COMING_FROM_HOURS * 3600000;
    if (!this.hasTimeline) return this.state.view.period === "all" ? null : new Date(coming).toISOString();
    const { zone } = this.zones;
    const first = dayStart(firstDate(this.state.view, localDate(Date.now(), zone)), zone);
    return new Date(Math.min(coming, first)).toISOString();
  }

  viewChanged() {
    const wanted = this.wantedFrom();
    const isMore = this.loadedFrom !== null && (wanted === null || wanted < this.loadedFrom.slice(0, 13));
    if (isMore && this.data.isLoaded) void this.reload();
    else this.pace.now();
  }

  async reload() {
    this.data.isLoaded = false;
    this.pace.now();
    await this.data.reload();
  }

  // What the user changes

  /** Why nothing can be changed just now. */
  get whyNot() {
    return this.data.whyNot;
  }

  /** A bar was dropped. @param {Job} seen @param {import("./move-plan.js").Target} target */
  async drop(seen, target) {
    const hadFocus = document.activeElement === document.body || this.schedule.frame.contains(document.activeElement);
    const moving = this.changes.move(seen, target);
    const [rowId] = target.contractorIds.filter((id) => !seen.contractorIds.includes(id));
    // In another row it is another bar, which the keyboard goes on with.
    if (hadFocus && rowId) this.schedule.timeline.focus(barId(seen.id, rowId));
    const isMoved = await moving;
    if (!isMoved && hadFocus && rowId && seen.contractorIds[0]) this.schedule.timeline.focus(barId(seen.id, seen.contractorIds[0]));
    announce(isMoved ? `“${seen.title}” is moved.` : `“${seen.title}” was not moved.`);
  }

  /** A dialog has changed a job. @param {Job} before @param {Job} now */
  done(before, now) {
    if (now.status === "cancelled") this.toasts.show({ kind: "done", key: `cancelled ${now.id}`, text: `“${now.title}” is cancelled.` });
    else if (now.version !== before.version) this.changes.done(before, now);
  }

  // The job that is open

  /** @param {Job} job */
  openJob(job) {
    this.state.set({ job: job.id });
    this.panel.focus();
  }

  closeJob() {
    const { job } = this.state.view;
    const hadFocus = byId("job-panel").contains(document.activeElement);
    this.state.set({ job: null });
    if (!hadFocus || !job) return;
    // Back to where one came from: the bar or the card.
    const bar = this.schedule.timeline.shown?.bars.find((one) => one.job.id === job);
    if (this.hasTimeline && bar) this.schedule.timeline.focus(bar.id);
    else /** @type {HTMLElement | null} */ (document.querySelector(`[data-part="open"][data-job="${CSS.escape(job)}"]`))?.focus();
  }

  /** @param {Job} job */
  showOnTimeline(job) {
    const { zone } = this.zones;
    const start = Date.parse(job.startUtc);
    const axis = this.schedule.axis;
    const isThere = this.hasTimeline && axis?.overlaps(start, Date.parse(job.endUtc));
    if (!isThere) this.state.set({ view: this.state.view.view === "list" ? "day" : this.state.view.view, date: localDate(start, zone) });
    const rowId = job.contractorIds[0];
    if (rowId) this.schedule.timeline.focus(barId(job.id, rowId));
  }

  /** Looks up the job of the address, when it is none of those that are loaded. */
  findOpenJob() {
    const id = this.state.view.job;
    if (!id || !this.data.isLoaded || this.data.jobs.byId.has(id) || this.missing === id) return;
    this.missing = id;
    this.data.fetchJob(id).then(
      (job) => {
        if (job) {
          this.missing = "";
          this.data.jobs.apply(job);
        }
        this.pace.changed();
      },
      () => (this.missing = ""),
    );
  }

  // What is shown

  /** @param {LiveStatus} status */
  showStatus(status) {
    if (this.listening.signal.aborted) return;
    const { caughtUp, failure, isLoaded } = this.data;
    const consequence = this.session.canDispatch ? "Changes are paused until it is live again." : "";
    this.line.show(status, { caughtUp, why: failure, isLoaded, consequence });
    this.pace.now();
  }

  /** @param {"reschedule" | "assign" | "cancel"} name @param {Job} job */
  openDialog(name, job) {
    this.dialogs[name].open(job);
    this.showPresence();
  }

  /** Tells what this user looks at, and shows who else does. */
  showPresence() {
    if (this.listening.signal.aborted) return;
    const { presence, jobs, regions } = this.data;
    const { region, job } = this.state.view;
    const open = Object.values(this.dialogs).find((dialog) => dialog.job !== null)?.job;
    presence.lookAt(region === null ? [...regions] : [region], open?.id ?? (jobs.byId.has(job ?? "") ? job : null));
    this.people.render(presence, (id) => jobs.byId.get(id)?.title);
    this.panel.render(this.panelState());
  }

  /** @param {import("./jobs.js").JobEvent} event @param {boolean} isMissed */
  takeEvent(event, isMissed) {
    this.panel.take(event);
    if (isMissed || event.actor.id === this.session.id) return;
    // What is filtered away is none of the user's business just now.
    const job = this.data.jobs.byId.get(event.jobId);
    if (job && jobFilter(this.state.view, this.data.names)(job)) this.others.take(event);
  }

  draw() {
    if (this.listening.signal.aborted) return;
    this.showPresence();
    for (const dialog of Object.values(this.dialogs)) dialog.update();
    this.overtaken.update();
    const jobs = [...this.data.jobs.byId.values()].map((job) => this.changes.shown(job));
    this.arrange();
    this.renderToolbar(jobs);
    if (this.hasTimeline) this.renderTimeline(jobs);
    else this.renderList(jobs);
    this.mover.update();
    this.findOpenJob();
    this.panel.render(this.panelState());
  }

  /** Shows what belongs to the view. */
  arrange() {
    const board = byId("board");
    board.dataset.view = this.hasTimeline ? "timeline" : "list";
    document.body.toggleAttribute("data-fills", this.hasTimeline);
    board.toggleAttribute("data-dispatcher", this.session.canDispatch);
    const side = this.hasTimeline ? (this.side ?? "unassigned") : "feed";
    byId("side").dataset.side = side;
    for (const button of byId("side-tabs").children) button.setAttribute("aria-pressed", String(button.dataset.side === side));
    for (const node of board.querySelectorAll("[data-for]")) node.hidden = node.dataset.for !== board.dataset.view;
  }

  /** @param {Job[]} jobs */
  renderToolbar(jobs) {
    const { zone, regionZone } = this.zones;
    const contractors = [...this.data.contractors.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const axis = this.schedule.axisOf(this.state.view, zone);
    this.toolbar.today = localDate(Date.now(), zone);
    this.toolbar.render({
      contractors,
      zone,
      regionZone,
      regions: [...new Set([...contractors, ...jobs].map((one) => one.region))].sort(),
      zones: [...new Set([...contractors, ...jobs].map((one) => one.timezone))].sort(),
      range: axis.title,
      date: this.state.view.date ?? this.toolbar.today,
    });
  }

  /** @param {Job[]} jobs */
  renderTimeline(jobs) {
    const { data, state } = this;
    const { view } = state;
    const { zone } = this.zones;
    this.schedule.render({
      state: data.isLoaded ? "ready" : data.failure ? "failed" : "loading",
      failure: data.failure,
      view,
      zone,
      jobs,
      contractors: [...data.contractors.values()],
      people: data.contractors,
      changeOf: (job) => data.jobs.changeOf(job),
      names: data.names,
      isPending: (job) => this.changes.isPending(job),
      canChange: this.session.canDispatch,
    });
    const passes = jobFilter({ ...view, contractor: null }, data.names);
    this.unassigned.render({
      isLoaded: data.isLoaded,
      jobs: unassignedOf(jobs.filter(passes)),
      axis: this.schedule.axisOf(view, zone),
      zone,
      open: view.job,
      canChange: this.session.canDispatch,
      isLive: data.isLive,
      changeOf: (job) => data.jobs.changeOf(job),
    });
    const bars = this.schedule.timeline.shown?.bars ?? [];
    showText(byId("jobs-count"), data.isLoaded ? countText(new Set(bars.map((bar) => bar.job.id)).size) : null);
  }

  /** @param {Job[]} jobs */
  renderList(jobs) {
    const { data } = this;
    this.list.render({
      state: data.isLoaded ? "ready" : data.failure ? "failed" : "loading",
      failure: data.failure,
      jobs,
      changeOf: (job) => data.jobs.changeOf(job),
      names: data.names,
      canChange: this.session.canDispatch,
      isLive: data.isLive,
      view: this.state.view,
    });
  }

  /** @returns {import("./job-panel.js").PanelState} */
  panelState() {
    const { job: id } = this.state.view;
    return {
      id,
      job: id ? this.data.jobs.byId.get(id) : undefined,
      isLoaded: this.data.isLoaded,
      isMissing: id !== null && this.missing === id,
      zone: this.zones.zone,
      names: this.data.names,
      canChange: this.session.canDispatch,
      whyNot: this.whyNot,
      others: id === null ? [] : this.data.presence.withJob(id),
    };
  }
}

/** @param {number} count */
function countText(count) {
  return count === 1 ? "1 job" : `${count} jobs`;
}

/** @param {Session} session */
function scopeText(session) {
  if (!session.canDispatch) return "Contractor";
  return `Dispatcher · ${session.regions.includes("*") ? "all regions" : session.regions.join(", ") || "no region"}`;
}

/** Says it to those who cannot see it. @param {string} text */
function announce(text) {
  byId("announcer").textContent = text;
}
