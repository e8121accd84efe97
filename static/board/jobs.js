/**
 * The jobs that the page knows, kept up to date by events. A job's version decides:
 * what is older than what is known changes nothing, in whichever order answers and
 * events come in.
 */

/** @typedef {import("../api.js").Job} Job */

/** @typedef {import("signalbox-api").Event} JobEvent */

/** What a cancellation without a reason says. */
const NO_REASON = "No reason provided";

export class Jobs {
  /**
   * @param {object} options
   * @param {(job: { contractorIds: string[] }) => boolean} options.isMine whether this
   *   user sees the job
   * @param {(id: string) => Promise<Job | null>} options.fetchJob null when there is no
   *   such job for this user
   * @param {() => void} options.onChange
   */
  constructor({ isMine, fetchJob, onChange }) {
    this.isMine = isMine;
    this.fetchJob = fetchJob;
    this.onChange = onChange;
    /** @type {Map<string, Job>} */
    this.byId = new Map();
    /** The last event of each job that came while the page looked on. @type {Map<string, JobEvent>} */
    this.changes = new Map();
    /** The last version of jobs that are no longer this user's. @type {Map<string, number>} */
    this.gone = new Map();
    /** The version that each job under way must at least have. @type {Map<string, number>} */
    this.wanted = new Map();
  }

  /** Forgets everything: what follows may be of another database. */
  clear() {
    for (const known of [this.byId, this.changes, this.gone]) known.clear();
  }

  /**
   * Takes a full load. What events have said since then stays.
   *
   * @param {Job[]} jobs
   * @param {number} sequence the last event that the load contains
   */
  load(jobs, sequence) {
    const loaded = new Set(jobs.map((job) => job.id));
    for (const id of [...this.byId.keys()]) {
      const isNewer = (this.changes.get(id)?.sequence ?? 0) > sequence;
      if (!loaded.has(id) && !isNewer) this.byId.delete(id);
    }
    for (const job of jobs) this.take(job);
    for (const id of [...this.changes.keys()]) {
      if (!this.byId.has(id)) this.changes.delete(id);
    }
    this.onChange();
  }

  /** Takes a job as an answer had it. @param {Job} job */
  apply(job) {
    this.take(job);
    this.onChange();
  }

  /**
   * Takes an event, and notes it as the job's last change. A job that is not known is
   * fetched, unless the event says that it is not this user's.
   *
   * @param {JobEvent} event
   */
  applyEvent(event) {
    const last = this.changes.get(event.jobId);
    if (!last || last.jobVersion < event.jobVersion) this.changes.set(event.jobId, event);
    const known = this.byId.get(event.jobId);
    if (!known && this.isMine(event)) {
      void this.fetch(event);
    } else if (!known) {
      this.gone.set(event.jobId, Math.max(event.jobVersion, this.gone.get(event.jobId) ?? 0));
    } else if (event.jobVersion > known.version) {
      this.take(changed(known, event));
    }
    this.onChange();
  }

  /**
   * The event that made the job what it is; none when the page did not see it.
   *
   * @param {Job} job
   */
  changeOf(job) {
    const event = this.changes.get(job.id);
    return event?.jobVersion === job.version ? event : undefined;
  }

  /** @param {Job} job */
  take(job) {
    const version = this.byId.get(job.id)?.version ?? this.gone.get(job.id) ?? 0;
    if (job.version < version) return;
    if (this.isMine(job)) {
      this.byId.set(job.id, job);
      this.gone.delete(job.id);
    } else {
      this.byId.delete(job.id);
      this.gone.set(job.id, job.version);
    }
  }

  /** @param {JobEvent} event */
  async fetch(event) {
    const id = event.jobId;
    if ((this.gone.get(id) ?? 0) >= event.jobVersion) return;
    const isUnderWay = this.wanted.has(id);
    this.wanted.set(id, Math.max(event.jobVersion, this.wanted.get(id) ?? 0));
    if (isUnderWay) return;
    try {
      /** @type {Job | null} */
      let job;
      do {
        job = await this.fetchJob(id);
      } while (job && job.version < (this.wanted.get(id) ?? 0));
      if (job) this.apply(job);
    } catch {
      // The job is missing until its next event or the next load; the connection's
      // state tells the user when there is more wrong than that.
    } finally {
      this.wanted.delete(id);
    }
  }
}

/** @param {Job} job @param {JobEvent} event @returns {Job} */
function changed(job, event) {
  const isCancelled = event.type === "JobCancelled";
  const [startUtc, endUtc] =
    event.type === "JobRescheduled" ? [event.newStartUtc, event.newEndUtc] : [event.startUtc, event.endUtc];
  return {
    ...job,
    title: event.title,
    timezone: event.timezone,
    contractorIds: event.contractorIds,
    startUtc,
    endUtc,
    status: isCancelled ? "cancelled" : job.status,
    cancellationReason: isCancelled ? givenReason(event) : job.cancellationReason,
    version: event.jobVersion,
    updatedAt: event.occurredAt,
  };
}

/** The reason that somebody gave; null when nobody did. @param {JobEvent} event */
export function givenReason(event) {
  const reason = "reason" in event ? event.reason : null;
  return reason && reason !== NO_REASON ? reason : null;
}

/** @type {WeakMap<Job, { start: number, end: number }>} */
const spans = new WeakMap();

/** When the job is, in milliseconds. Read once: a job that has changed is another object. @param {Job} job */
export function spanOf(job) {
  let span = spans.get(job);
  if (!span) spans.set(job, (span = { start: Date.parse(job.startUtc), end: Date.parse(job.endUtc) }));
  return span;
}
