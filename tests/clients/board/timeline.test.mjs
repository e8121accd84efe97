/** The timeline: what it shows, where, and that the address says it all. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { bar, dispose, expect, page, personasOf, spanOf, stage, timeline } from "./page.mjs";
import { Client, Server, claims, sign } from "../support.mjs";

/** A day that no other test plans on, so many days from a fixed one far ahead. */
let days = 0;
function freeDay() {
  return new Date(Date.UTC(2031, 4, 5 + days++)).toISOString().slice(0, 10);
}

/** A job of Ada's on that day, from and to hours of UTC. */
async function jobOn(day, from, to, draft = {}) {
  const window = { startUtc: `${day}T${from}:00.000Z`, endUtc: `${day}T${to}:00.000Z` };
  return (await stage.nora.job({ ...window, contractorIds: [stage.ada], ...draft })).body;
}

/** What the header says of hours: the labels in their order, and how far apart they are. */
async function hoursOf(opened) {
  const hours = await opened.locator("[data-moment]").evaluateAll((all) => all.map((one) => [one.textContent, Number(one.dataset.moment)]));
  return { labels: hours.map(([text]) => text), moments: hours.map(([, moment]) => moment) };
}

describe("the timeline", () => {
  test("shows each job where its contractor and its time are", async () => {
    const day = freeDay();
    const job = await jobOn(day, "08:00", "09:30");
    const opened = await timeline(`date=${day}`);
    assert.deepEqual(await spanOf(opened, job), [job.startUtc, job.endUtc]);
    const label = await bar(opened, job, stage.ada).getAttribute("aria-label");
    for (const words of [job.title, "Scheduled", "10:00–11:30", "Europe/Berlin", "Ada Brandt"]) assert.ok(label?.includes(words), `${words} in ${label}`);
    const head = opened.locator(`[data-testid=row-head][data-row="${stage.ada}"]`);
    assert.match(await head.innerText(), /Ada Brandt\s+1 job, 1.5 h/);
    // A change from elsewhere moves it in place, and is marked.
    const { body: moved } = await stage.nora.reschedule(job, { startUtc: `${day}T10:00:00.000Z`, endUtc: `${day}T11:00:00.000Z`, reason: "traffic" });
    await bar(opened, job).and(opened.locator("[data-recent]")).filter({ hasText: "Rescheduled by Nora" }).waitFor();
    assert.deepEqual(await spanOf(opened, job), [moved.startUtc, moved.endUtc]);
    await stage.nora.cancel(moved);
    await bar(opened, job).and(opened.locator("[data-state=cancelled]")).waitFor();
    assert.match(await head.innerText(), /free/);
  });

  test("has a job of several contractors in each of their rows, and one of nobody beside it", async () => {
    const day = freeDay();
    const personas = await personasOf(stage.demo);
    const ben = personas.get("contractor-ben").contractorId;
    const shared = await jobOn(day, "08:00", "09:00", { contractorIds: [stage.ada, ben] });
    const waiting = await jobOn(day, "12:00", "13:00", { contractorIds: [] });
    const opened = await timeline(`date=${day}`);
    await bar(opened, shared, stage.ada).waitFor();
    await bar(opened, shared, ben).filter({ hasText: "with Ada Brandt" }).waitFor();
    const card = opened.locator(`[data-waiting="${waiting.id}"]`);
    await card.filter({ hasText: waiting.title }).waitFor();
    assert.equal(await bar(opened, waiting).count(), 0);
    await stage.nora.must("POST", `/api/jobs/${waiting.id}/assign`, { contractorIds: [ben] });
    await bar(opened, waiting, ben).waitFor();
    assert.equal(await card.count(), 0);
  });

  test("draws every row that comes into sight, also when the window grows", async () => {
    const day = freeDay();
    const { items } = (await stage.nora.must("GET", "/api/contractors?limit=100")).body;
    const jobs = [];
    for (const { id } of items) jobs.push(await jobOn(day, "08:00", "09:00", { contractorIds: [id] }));
    const opened = await timeline(`date=${day}`);
    for (const job of jobs) await bar(opened, job).waitFor();
    const low = await timeline(`date=${day}`, "dispatcher-north", { viewport: { width: 1360, height: 400 } });
    await low.setViewportSize({ width: 1360, height: 860 });
    for (const job of jobs) await bar(low, job).waitFor();
  });

  test("groups an administrator's rows by region", async () => {
    expect(/status of 404/); // Outside of demo mode there are no personas.
    const server = await Server.serve();
    try {
      const admin = new Client(server.url, sign(claims.admin()));
      for (const [region, name] of [["north", "Nell"], ["coast", "Cleo"], ["north", "Ned"]]) await admin.contractor(region, name);
      const opened = await page(server.url);
      await opened.getByTestId("token").fill(admin.token);
      await opened.getByTestId("token-submit").click();
      await opened.getByTestId("row-head").nth(4).waitFor();
      const names = await opened.locator("[data-testid=row-head] strong").allInnerTexts();
      assert.deepEqual(names.map((name) => name.toLowerCase()), ["coast", "cleo", "north", "ned", "nell"]);
      await opened.getByTestId("region").selectOption("north");
      await opened.getByTestId("row-head").filter({ hasText: "Cleo" }).waitFor({ state: "detached" });
      assert.equal(await opened.getByTestId("row-head").count(), 2);
    } finally {
      await dispose(server);
    }
  });
});

describe("the address", () => {
  test("says what is looked at: a reload and Back keep it", async () => {
    const [day, next] = [freeDay(), freeDay()];
    const job = await jobOn(day, "08:00", "09:00");
    const opened = await timeline(`date=${day}`);
    await opened.getByTestId("filter").fill(job.title);
    await opened.getByTestId("contractor").selectOption(stage.ada);
    await opened.getByTestId("status-cancelled").click();
    await opened.getByTestId("zone").selectOption("UTC");
    await opened.getByTestId("view-3days").click();
    const address = new URL(opened.url());
    const said = ["q", "contractor", "status", "zone", "view", "date"].map((name) => address.searchParams.get(name));
    assert.deepEqual(said, [job.title, stage.ada, "scheduled,inProgress,completed", "UTC", "3days", day]);
    await opened.reload();
    await bar(opened, job).waitFor();
    assert.equal(await opened.getByTestId("row-head").count(), 1);
    assert.equal(await opened.getByTestId("filter").inputValue(), job.title);
    assert.equal(await opened.getByTestId("status-cancelled").getAttribute("aria-pressed"), "false");
    await opened.getByTestId("view-day").click();
    await opened.getByTestId("later").click();
    await opened.getByTestId("schedule").filter({ hasText: "No job of these days matches" }).waitFor();
    assert.equal(new URL(opened.url()).searchParams.get("date"), next);
    await opened.goBack();
    await bar(opened, job).waitFor();
    await opened.getByTestId("clear-filters").click();
    assert.equal(new URL(opened.url()).searchParams.get("q"), null);
  });

  test("leads to a job, also to one that no view has loaded, and says when there is none", async () => {
    const past = await jobOn("2019-03-01", "08:00", "09:00", { timezone: "America/New_York" });
    const opened = await timeline(`job=${past.id}`);
    const panel = opened.getByTestId("job-panel");
    await panel.filter({ hasText: past.title }).waitFor();
    await panel.locator("[data-part=site-window]").filter({ hasText: "03:00–04:00" }).filter({ hasText: "America/New_York" }).waitFor();
    await panel.locator("[data-part=board-window]").filter({ hasText: "09:00–10:00" }).filter({ hasText: "Europe/Berlin" }).waitFor();
    await panel.getByTestId("history").filter({ hasText: "Created by Nora" }).waitFor();
    await panel.getByTestId("panel-show").click();
    await bar(opened, past).waitFor();
    assert.equal(new URL(opened.url()).searchParams.get("date"), "2019-03-01");
    await panel.getByTestId("panel-close").click();
    await panel.waitFor({ state: "hidden" });
    assert.equal(new URL(opened.url()).searchParams.get("job"), null);
  });
});

describe("a day on which clocks change", () => {
  const cases = [
    { zone: "Europe/Berlin", date: "2027-03-28", hours: 23, skipped: "02:00", says: "23 hours: clocks go forward", at: "00:30", to: "01:30" },
    { zone: "Europe/Berlin", date: "2027-10-31", hours: 25, twice: "02:00", says: "25 hours: clocks go back", at: "00:30", to: "02:00" },
    { zone: "Australia/Lord_Howe", date: "2027-10-03", hours: 23.5, skipped: "02:00", says: "23.5 hours: clocks go forward", at: "15:00", to: "16:15", before: true },
    { zone: "Australia/Lord_Howe", date: "2027-04-04", hours: 24.5, says: "24.5 hours: clocks go back", at: "14:30", to: "16:00", before: true },
  ];
  for (const { zone, date, hours, skipped, twice, says, at, to, before } of cases) {
    test(`is ${hours} hours long in ${zone}`, async () => {
      const day = before ? new Date(Date.parse(date) - 86400000).toISOString().slice(0, 10) : date;
      const job = await jobOn(day, at, to, { timezone: zone });
      const opened = await timeline(`date=${date}&zone=${zone}&q=${job.title}`);
      await opened.getByTestId("clock-change").filter({ hasText: says }).waitFor();
      const { labels, moments } = await hoursOf(opened);
      if (skipped) assert.equal(labels.includes(skipped), false, labels.join());
      if (twice) assert.equal(labels.filter((label) => label === twice).length, 2, labels.join());
      // Linear in real time: what the header spans is what the day has.
      assert.equal(moments[0], await firstMoment(opened, date, zone));
      const length = await opened.evaluate(async ({ date, zone }) => {
        const { Axis } = await import("/board/axis.js");
        return new Axis(date, 1, zone).hours;
      }, { date, zone });
      assert.equal(length, hours);
      assert.deepEqual(await spanOf(opened, job), [job.startUtc, job.endUtc]);
    });
  }

  async function firstMoment(opened, date, zone) {
    return opened.evaluate(async ({ date, zone }) => (await import("/board/axis.js")).dayStart(date, zone), { date, zone });
  }

  test("begins later where clocks skip midnight", async () => {
    const opened = await timeline("date=2027-04-30&zone=Africa/Cairo");
    await opened.getByTestId("clock-change").filter({ hasText: "23 hours" }).waitFor();
    assert.equal((await hoursOf(opened)).labels[0], "01:00");
  });
});
