/**
 * Who else looks at the same regions, and who has a job open. It is told while the
 * connection lives; without one, nobody is known to be there.
 */

/** @typedef {{ id: string, name?: string, role: string, jobIds: string[] }} Person */
/** @typedef {{ region: string, people: Person[], more: number }} RegionPresence */

/** Regions that may be looked at. */
const REGIONS_MAX = 200;

/** How long after a refusal, such as by a database that is away, it is tried again. */
const RETRY_MS = 5000;

export class Presence {
  /**
   * @param {import("../session.js").Session} session
   * @param {() => void} onChange
   */
  constructor(session, onChange) {
    this.session = session;
    this.onChange = onChange;
    /** @type {Map<string, RegionPresence>} */
    this.byRegion = new Map();
    /** What the user looks at, and what the server has been told of it. */
    this.wanted = "";
    this.told = "";
    this.isTelling = false;
    /** What came before the answer, and is as new as that or newer. @type {RegionPresence[]} */
    this.early = [];
    /** @type {import("../connection.js").Invoke | null} */
    this.invoke = null;
  }

  /**
   * Says what the user looks at; may be said again and again.
   *
   * @param {string[]} regions
   * @param {string | null} jobId the job that is open
   */
  lookAt(regions, jobId) {
    // A contractor is not shown who plans, nor is it shown to them.
    if (!this.session.canDispatch) return;
    this.wanted = JSON.stringify({ regions: [...regions].sort().slice(0, REGIONS_MAX), jobId });
    void this.tell();
  }

  /** The way to the server, while there is one. @param {import("../connection.js").Invoke | null} invoke */
  setInvoke(invoke) {
    if (invoke === this.invoke) return;
    this.invoke = invoke;
    this.told = "";
    if (this.byRegion.size > 0) {
      this.byRegion.clear();
      this.onChange();
    }
    void this.tell();
  }

  async tell() {
    clearTimeout(this.retry);
    if (this.isTelling || !this.invoke || this.wanted === "" || this.wanted === this.told) return;
    const { invoke, wanted } = this;
    [this.isTelling, this.early] = [true, []];
    try {
      const { regions } = await invoke("Look", JSON.parse(wanted));
      if (this.invoke === invoke) {
        this.told = wanted;
        this.byRegion = new Map(regions.map((/** @type {RegionPresence} */ one) => [one.region, one]));
        this.isTelling = false;
        this.early.forEach((presence) => this.take(presence));
        this.onChange();
      }
    } catch {
      this.retry = setTimeout(() => void this.tell(), RETRY_MS);
      return;
    } finally {
      this.isTelling = false;
    }
    // It may have changed meanwhile.
    void this.tell();
  }

  /** @param {RegionPresence} presence */
  take(presence) {
    if (this.isTelling) this.early.push(presence);
    if (!this.byRegion.has(presence.region)) return;
    this.byRegion.set(presence.region, presence);
    this.onChange();
  }

  /** Everybody else, by name, and how many there are besides. */
  get others() {
    /** @type {Map<string, Person>} */
    const people = new Map();
    let more = 0;
    for (const region of this.byRegion.values()) {
      more = Math.max(more, region.more);
      for (const person of region.people) {
        const known = people.get(person.id);
        const jobIds = [...(known?.jobIds ?? []), ...person.jobIds];
        if (person.id !== this.session.id) people.set(person.id, { ...person, jobIds });
      }
    }
    const sorted = [...people.values()].sort((a, b) => personName(a).localeCompare(personName(b)));
    return { people: sorted, more };
  }

  /** The names of the others who have this job open. @param {string} jobId */
  withJob(jobId) {
    return this.others.people.filter((person) => person.jobIds.includes(jobId)).map(personName);
  }
}

/** @param {Person} person */
export function personName(person) {
  return person.name || person.id;
}
