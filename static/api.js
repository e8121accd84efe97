/**
 * The HTTP interface, as the page uses it. Every failure is an {@link ApiError} with
 * the server's own code, or `unreachable` when no answer came.
 */

/** @typedef {import("signalbox-api").Job} Job */
/** @typedef {import("signalbox-api").Contractor} Contractor */
/**
 * A problem, or what is known of it: also one whose code only the page has.
 *
 * @typedef {Omit<Partial<import("signalbox-api").Problem>, "code"> & { code?: string }} Problem
 */

const TIMEOUT_MS = 15000;
const PAGE_ROWS = 500;

export class ApiError extends Error {
  /**
   * @param {number} status 0 when no answer came
   * @param {Problem} problem
   */
  constructor(status, problem) {
    super(problem.detail || problem.title || `the server answered ${status}`);
    this.name = "ApiError";
    this.status = status;
    /** @type {string} */
    this.code = problem.code ?? "unknown";
    this.problem = problem;
  }
}

export class Api {
  /**
   * @param {{ get(): Promise<string>, renew(): Promise<boolean> }} tokens asked for a
   *   token at every request, and for another one after a 401
   */
  constructor(tokens) {
    this.tokens = tokens;
  }

  /**
   * All jobs that the filter lets through, page by page, with the last event that they
   * contain. Pages are read one after another, so the first page's number is the one
   * that holds for all of them.
   *
   * @param {Record<string, string>} filter
   * @returns {Promise<{ jobs: Job[], sequence: number }>}
   */
  async jobs(filter) {
    /** @type {Job[]} */
    const jobs = [];
    let sequence = Infinity;
    for await (const page of this.pages("/api/jobs", filter)) {
      jobs.push(...page.body.items);
      sequence = Math.min(sequence, Number(page.headers.get("X-Event-Sequence") ?? 0));
    }
    return { jobs, sequence };
  }

  /** @returns {Promise<Contractor[]>} */
  async contractors() {
    /** @type {Contractor[]} */
    const contractors = [];
    for await (const page of this.pages("/api/contractors", {})) contractors.push(...page.body.items);
    return contractors;
  }

  /** @param {string} id @returns {Promise<Job>} */
  async job(id) {
    return (await this.request("GET", `/api/jobs/${encodeURIComponent(id)}`)).body;
  }

  /**
   * One page of logged events, oldest first.
   *
   * @param {{ after: number, limit: number, jobId?: string, group?: string }} filter
   * @returns {Promise<import("./board/jobs.js").JobEvent[]>}
   */
  async events(filter) {
    const given = Object.entries(filter).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
    return (await this.request("GET", `/api/events?${query}`)).body.items;
  }

  /** The last event of all, whether this user may see it or not. */
  async lastSequence() {
    const { headers } = await this.request("GET", "/api/jobs?limit=1");
    return Number(headers.get("X-Event-Sequence") ?? 0);
  }

  /**
   * What became of a job, oldest first.
   *
   * @param {string} jobId
   * @returns {Promise<import("./board/jobs.js").JobEvent[]>}
   */
  async jobEvents(jobId) {
    const query = new URLSearchParams({ jobId, limit: String(PAGE_ROWS) });
    return (await this.request("GET", `/api/events?${query}`)).body.items;
  }

  /**
   * Moves a job, if it still has the version that the user saw.
   *
   * @param {Job} job
   * @param {{ startUtc: string, endUtc: string, reason?: string }} change
   * @param {string} key the same for the same wish, so that a repetition is recognised
   * @returns {Promise<Job>}
   */
  async reschedule(job, change, key) {
    return this.change("PUT", job, "reschedule", change, key);
  }

  /**
   * Gives a job to others, if it still has the version that the user saw.
   *
   * @param {Job} job
   * @param {{ contractorIds: string[] }} change
   * @param {string} key
   * @returns {Promise<Job>}
   */
  async assign(job, change, key) {
    return this.change("POST", job, "assign", change, key);
  }

  /**
   * Calls a job off, if it still has the version that the user saw.
   *
   * @param {Job} job
   * @param {{ reason?: string }} change
   * @param {string} key
   * @returns {Promise<Job>}
   */
  async cancel(job, change, key) {
    return this.change("POST", job, "cancel", change, key);
  }

  /**
   * @param {string} method
   * @param {Job} job
   * @param {string} what
   * @param {object} body
   * @param {string} key
   */
  async change(method, job, what, body, key) {
    const headers = { "If-Match": `"${job.version}"`, "Idempotency-Key": key };
    const path = `/api/jobs/${encodeURIComponent(job.id)}/${what}`;
    return (await this.request(method, path, body, headers)).body;
  }

  /** @param {string} path @param {Record<string, string>} filter */
  async *pages(path, filter) {
    /** @type {string | null} */
    let cursor = null;
    do {
      const query = new URLSearchParams({ ...filter, limit: String(PAGE_ROWS) });
      if (cursor) query.set("cursor", cursor);
      const page = await this.request("GET", `${path}?${query}`);
      yield page;
      cursor = page.body.nextCursor;
    } while (cursor);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {Record<string, string>} [headers]
   * @returns {Promise<{ body: any, headers: Headers }>}
   */
  async request(method, path, body, headers = {}) {
    let response = await this.send(method, path, body, headers);
    if (response.status === 401 && (await reached(this.tokens.renew()))) {
      response = await this.send(method, path, body, headers);
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new ApiError(response.status, answer ?? {});
    return { body: answer, headers: response.headers };
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {Record<string, string>} [headers]
   */
  async send(method, path, body, headers) {
    /** @type {Record<string, string>} */
    const content = body ? { "Content-Type": "application/json" } : {};
    const authorization = { Authorization: `Bearer ${await reached(this.tokens.get())}` };
    return reached(
      fetch(path, {
        method,
        headers: { ...content, ...authorization, ...headers },
        body: body ? JSON.stringify(body) : undefined,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      }),
    );
  }
}

/**
 * What was asked for, or the failure that says that no answer came.
 *
 * @template T
 * @param {Promise<T>} asked
 * @returns {Promise<T>}
 */
async function reached(asked) {
  try {
    return await asked;
  } catch {
    throw new ApiError(0, { code: "unreachable", detail: "the server did not answer" });
  }
}

/** A fresh idempotency key. `crypto.randomUUID` is missing where the page came over
 * plain HTTP from another machine; random bytes are to be had everywhere. */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
