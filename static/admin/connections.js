/** What the server says of its connections. Knows no element of the page. */

/** @typedef {import("signalbox-api").Connection} Connection */
/** @typedef {import("signalbox-api").Closed} Closed */
/**
 * A page of connections, and the server's clock when it answered, in milliseconds.
 *
 * @typedef {import("signalbox-api").ConnectionPage & { now: number }} Listed
 */

/** @typedef {{ user: string, group: string, transport: string }} Filter */

const PATH = "/api/admin/connections";

/** So many are listed at most: who looks for one of more uses the filters. */
export const LISTED_MAX = 500;

export class Connections {
  /** @param {import("../api.js").Api} api */
  constructor(api) {
    this.api = api;
  }

  /** @param {Filter} filter @param {number} limit @returns {Promise<Listed>} */
  async list(filter, limit) {
    const query = new URLSearchParams({ limit: String(limit) });
    for (const [name, value] of Object.entries(filter)) {
      if (value) query.set(name, value);
    }
    const { body, headers } = await this.api.request("GET", `${PATH}?${query}`);
    const now = Date.parse(headers.get("Date") ?? "");
    return { ...body, now: Number.isNaN(now) ? Date.now() : now };
  }

  /** @param {string} id @returns {Promise<Closed>} */
  async close(id) {
    return (await this.api.request("DELETE", `${PATH}/${encodeURIComponent(id)}`)).body;
  }

  /** @param {string} user @returns {Promise<Closed>} */
  async closeUser(user) {
    return (await this.api.request("DELETE", `${PATH}?${new URLSearchParams({ user })}`)).body;
  }
}

/**
 * How many of these are in which group, the fullest first.
 *
 * @param {Connection[]} connections
 * @returns {[string, number][]}
 */
export function groupSizes(connections) {
  /** @type {Map<string, number>} */
  const sizes = new Map();
  for (const group of connections.flatMap((one) => one.groups)) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  return [...sizes].sort(([one, few], [other, many]) => many - few || (one < other ? -1 : 1));
}
