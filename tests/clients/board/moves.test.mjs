/** Moving jobs on the timeline: by the pointer, by keys and by dialogs; conflicts, and undoing. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { bar, expect, personasOf, stage, timeline } from "./page.mjs";
import { later } from "../support.mjs";
import { until } from "../waiting.mjs";

let days = 0;
/** A day that no other test plans on. */
const freeDay = () => new Date(Date.UTC(2032, 2, 1 + days++)).toISOString().slice(0, 10);

/** Ten o'clock in Berlin on a day, and an hour. */
const window = (day, minutes = 0) => later({ startUtc: `${day}T09:00:00.000Z`, endUtc: `${day}T10:00:00.000Z` }, minutes);

async function ben() {
  return (await personasOf(stage.demo)).get("contractor-ben").contractorId;
}

/** A job of Ada's at ten o'clock, and its day on the timeline. */
async function scene(draft = {}, query = "") {
  const day = freeDay();
  const { body: job } = await stage.nora.job({ ...window(day), contractorIds: [stage.ada], ...draft });
  const opened = await timeline(`date=${day}${query}`);
  await bar(opened, job).or(opened.locator(`[data-waiting="${job.id}"]`)).waitFor();
  return { day, job, opened };
}

/** The job as the server has it. */
async function asStored(job) {
  return (await stage.nora.must("GET", `/api/jobs/${job.id}`)).body;
}

/** Waits until the server has it so. */
async function stored(job, wanted) {
  const found = await until(`the job is as wanted`, async () => {
    const now = await asStored(job);
    return Object.entries(wanted).every(([name, value]) => JSON.stringify(now[name]) === JSON.stringify(value)) && now;
  });
  return found;
}

/** Pixels of an hour. */
async function hourOf(opened) {
  const [a, b] = await opened.locator("[data-moment]").evaluateAll((all) => all.slice(0, 2).map((one) => [Number(one.dataset.moment), one.getBoundingClientRect().left]));
  return (b[1] - a[1]) / ((b[0] - a[0]) / 3600000);
}

/** Seizes a bar or one of its ends, and moves it by so many hours, and into a row; without letting go. */
async function drag(opened, from, hours, { row, at = 0.5 } = {}) {
  const box = await from.boundingBox();
  const [x, y] = [box.x + box.width * at + (at === 0 ? 1 : at === 1 ? -2 : 0), box.y + box.height / 2];
  await opened.mouse.move(x, y);
  await opened.mouse.down();
  const target = row ? await opened.locator(`[data-testid=row-head][data-row="${row}"]`).boundingBox() : null;
  const [toX, toY] = [x + hours * (await hourOf(opened)), target ? target.y + target.height / 2 : y];
  await opened.mouse.move((x + toX) / 2, (y + toY) / 2, { steps: 3 });
  await opened.mouse.move(toX, toY, { steps: 3 });
}

/** From now on the page hears of nothing, as when events are slow. */
async function deafen(opened) {
  await opened.evaluate(async () => {
    const { Jobs } = await import("/board/jobs.js");
    Jobs.prototype.applyEvent = () => {};
  });
}

const words = (opened) => opened.getByTestId("move-words");
const toast = (opened, text) => opened.getByTestId("toast").filter({ hasText: text });

describe("the pointer", () => {
  test("moves a job by quarters of an hour, and tells before the drop where to", async () => {
    const { day, job, opened } = await scene();
    const other = await timeline(`date=${day}`);
    await drag(opened, bar(opened, job), 1.6);
    await words(opened).filter({ hasText: "11:30–12:30" }).filter({ hasText: "Ada Brandt" }).waitFor();
    assert.equal((await asStored(job)).version, 1, "nothing is sent before the drop");
    await opened.mouse.up();
    await stored(job, { ...window(day, 90), version: 2 });
    for (const one of [opened, other]) await bar(one, job).filter({ hasText: /Rescheduled by Nora/ }).waitFor();
    assert.equal(await opened.getByTestId("job-panel").isHidden(), true, "a drag is no click");
  });

  test("resizes a job at both ends", async () => {
    const { day, job, opened } = await scene();
    await drag(opened, bar(opened, job), 0.5, { at: 1 });
    await words(opened).filter({ hasText: "10:00–11:30" }).waitFor();
    await opened.mouse.up();
    const { endUtc } = later(window(day), 30);
    await stored(job, { startUtc: job.startUtc, endUtc });
    await drag(opened, bar(opened, job), -1, { at: 0 });
    await words(opened).filter({ hasText: "09:00–11:30" }).waitFor();
    await opened.mouse.up();
    await stored(job, { startUtc: later(window(day), -60).startUtc, endUtc });
  });

  test("moves a job to another contractor, and to another time in the same breath", async () => {
    const { day, job, opened } = await scene();
    const to = await ben();
    // Ben is busy at the time that the job has now, so it has to be rescheduled first.
    const { body: busy } = await stage.nora.job({ ...window(day), contractorIds: [to] });
    await bar(opened, busy, to).waitFor();
    await drag(opened, bar(opened, job), 2, { row: to });
    await words(opened).filter({ hasText: "12:00–13:00" }).filter({ hasText: "Ben Okafor" }).waitFor();
    await opened.mouse.up();
    await stored(job, { ...window(day, 120), contractorIds: [to], version: 3 });
    await bar(opened, job, to).waitFor();
    assert.equal(await bar(opened, job, stage.ada).count(), 0);
  });

  test("shows a conflict before the drop; a drop all the same is refused, and names what is in the way", async () => {
    expect(/status of 409/);
    const { day, job, opened } = await scene();
    const { body: inTheWay } = await stage.nora.job({ ...window(day, 120), contractorIds: [stage.ada] });
    await bar(opened, inTheWay).waitFor();
    await drag(opened, bar(opened, job), 1.5);
    await words(opened).filter({ hasText: `Overlaps “${inTheWay.title}”` }).waitFor();
    await bar(opened, inTheWay).and(opened.locator("[data-conflict]")).waitFor();
    assert.match(await bar(opened, inTheWay).getAttribute("aria-label"), /in the way/);
    await opened.mouse.up();
    await toast(opened, "is busy at that time").filter({ hasText: inTheWay.title }).waitFor();
    await bar(opened, job).filter({ hasText: "10:00–11:00" }).and(opened.locator(":not([data-pending])")).waitFor();
    assert.equal((await asStored(job)).version, 1);
  });

  test("leaves a job where it was at Escape, and outside of the rows", async () => {
    const { job, opened } = await scene();
    await drag(opened, bar(opened, job), 2);
    await words(opened).waitFor();
    await opened.keyboard.press("Escape");
    await words(opened).waitFor({ state: "hidden" });
    await opened.mouse.up();
    await drag(opened, bar(opened, job), 0.5);
    await opened.mouse.move(5, 5);
    await words(opened).filter({ hasText: "Drop it in a row" }).waitFor();
    await opened.mouse.up();
    await words(opened).waitFor({ state: "hidden" });
    await bar(opened, job).filter({ hasText: "10:00–11:00" }).waitFor();
    assert.equal((await asStored(job)).version, 1);
  });

  test("assigns a job that nobody has, which keeps its time, or with Shift takes that of the drop", async () => {
    const { day, job, opened } = await scene({ contractorIds: [] });
    const row = await opened.locator(`[data-testid=row-head][data-row="${stage.ada}"]`).boundingBox();
    const card = opened.locator(`[data-waiting="${job.id}"]`);
    const take = async (unwaited, x) => {
      await unwaited.scrollIntoViewIfNeeded();
      const box = await unwaited.boundingBox();
      await opened.mouse.move(box.x + box.width - 12, box.y + box.height - 8);
      await opened.mouse.down();
      await opened.mouse.move(x + 100, row.y + 5, { steps: 3 });
      await opened.mouse.move(x, row.y + row.height / 2, { steps: 3 });
    };
    await take(card, row.x + row.width + 300);
    await words(opened).filter({ hasText: "10:00–11:00" }).filter({ hasText: "Ada Brandt" }).waitFor();
    await opened.mouse.up();
    await stored(job, { ...window(day), contractorIds: [stage.ada] });
    assert.equal(await card.count(), 0);

    const { body: second } = await stage.nora.job({ ...window(day), contractorIds: [] });
    await take(opened.locator(`[data-waiting="${second.id}"]`), (await opened.locator("[data-moment]").nth(12).boundingBox()).x + 1);
    await words(opened).filter({ hasText: "10:00–11:00" }).waitFor();
    await opened.keyboard.down("Shift");
    await words(opened).filter({ hasText: "12:00–13:00" }).waitFor();
    await opened.mouse.up();
    await opened.keyboard.up("Shift");
    await stored(second, { ...window(day, 120), contractorIds: [stage.ada] });
  });
});

describe("somebody else", () => {
  test("who changes the job during a drag is shown at once, and asked about at the drop", async () => {
    const { day, job, opened } = await scene();
    for (const answer of ["keep-theirs", "move-anyway"]) {
      const before = await asStored(job);
      await drag(opened, bar(opened, job), 3);
      await words(opened).waitFor();
      const { body: theirs } = await stage.nora.reschedule(before, later(before, 15));
      await words(opened).filter({ hasText: "Nora Lindqvist rescheduled it meanwhile" }).waitFor();
      await opened.mouse.up();
      const dialog = opened.getByTestId("overtaken-dialog");
      await dialog.filter({ hasText: "Nora Lindqvist rescheduled" }).waitFor();
      assert.equal((await asStored(job)).version, theirs.version, "nothing is sent before the answer");
      await dialog.getByTestId(answer).click();
      await dialog.waitFor({ state: "hidden" });
      if (answer === "keep-theirs") assert.equal((await asStored(job)).version, theirs.version);
      else await stored(job, { ...later(before, 180), version: theirs.version + 1 });
    }
    assert.equal((await asStored(job)).startUtc.slice(0, 10), day);
  });

  test("who was first, unseen, is told by the server: theirs or ours is asked", async () => {
    expect(/status of 412/);
    const { job, opened } = await scene();
    await deafen(opened);
    const { body: theirs } = await stage.nora.reschedule(job, later(job, 30));
    await drag(opened, bar(opened, job), 2);
    await opened.mouse.up();
    const dialog = opened.getByTestId("overtaken-dialog");
    await dialog.waitFor();
    assert.match(await dialog.getByTestId("overtaken-facts").innerText(), /10:30–11:30/);
    await dialog.getByTestId("move-anyway").click();
    await stored(job, { ...later(job, 120), version: theirs.version + 1 });
  });
});

describe("a move of two commands", () => {
  test("is taken back as a whole when the second is refused", async () => {
    expect(/status of 409/);
    const { day, job, opened } = await scene();
    const to = await ben();
    await deafen(opened);
    const { body: inTheWay } = await stage.nora.job({ ...window(day, 120), contractorIds: [to] });
    await drag(opened, bar(opened, job), 2, { row: to });
    await opened.mouse.up();
    await toast(opened, "is busy at that time").filter({ hasText: job.title }).waitFor();
    // Given to Ben, and given back: what the page could not know of was in the way of the rest.
    const { startUtc, endUtc, contractorIds, version } = await asStored(job);
    assert.deepEqual([startUtc, endUtc, contractorIds, version], [job.startUtc, job.endUtc, [stage.ada], 3]);
    await bar(opened, job, stage.ada).filter({ hasText: "10:00–11:00" }).waitFor();
    assert.equal((await asStored(inTheWay)).version, 1);
  });

  test("goes by way of nobody where each is busy at the other's time", async () => {
    const { day, job, opened } = await scene();
    const to = await ben();
    await stage.nora.job({ ...window(day), contractorIds: [to] });
    const { body: last } = await stage.nora.job({ ...window(day, 120), contractorIds: [stage.ada] });
    await bar(opened, last).waitFor();
    await drag(opened, bar(opened, job), 2, { row: to });
    await opened.mouse.up();
    await stored(job, { ...window(day, 120), contractorIds: [to], version: 4 });
  });
});

test("a move that is half done, and cannot go on, says how far it came", async () => {
  expect(/ERR_/);
  const { day, job, opened } = await scene();
  const to = await ben();
  let commands = 0;
  await opened.route(/\/api\/jobs\/[^/]+\/(assign|reschedule)$/, (route) => ((commands += 1) === 1 ? route.continue() : route.abort()));
  await drag(opened, bar(opened, job), 2, { row: to });
  await words(opened).filter({ hasText: "12:00–13:00" }).filter({ hasText: "Ben Okafor" }).waitFor();
  await opened.mouse.up();
  await toast(opened, "Half of the change was made and could not be taken back").waitFor();
  const left = await asStored(job);
  assert.equal(left.version, 2);
  const isMoved = left.startUtc === window(day, 120).startUtc;
  assert.equal(left.contractorIds[0] === to, !isMoved, "one half and not the other");
  await toast(opened, isMoved ? "12:00–13:00" : "Ben Okafor").waitFor();
});

describe("the keyboard", () => {
  test("walks from bar to bar, opens a job and comes back", async () => {
    const day = freeDay();
    const to = await ben();
    const [first, second, below] = [
      (await stage.nora.job({ ...window(day), contractorIds: [stage.ada] })).body,
      (await stage.nora.job({ ...window(day, 120), contractorIds: [stage.ada] })).body,
      (await stage.nora.job({ ...window(day, 120), contractorIds: [to] })).body,
    ];
    const opened = await timeline(`date=${day}`);
    await bar(opened, below).waitFor();
    const focused = () => opened.evaluate(() => document.activeElement?.getAttribute("data-job"));
    await bar(opened, first).focus();
    await opened.keyboard.press("ArrowRight");
    assert.equal(await focused(), second.id);
    await opened.keyboard.press("ArrowDown");
    assert.equal(await focused(), below.id);
    await opened.keyboard.press("ArrowUp");
    await opened.keyboard.press("Home");
    assert.equal(await focused(), first.id);
    assert.equal(await opened.locator("[data-testid=bar][tabindex='0']").count(), 1);
    await opened.keyboard.press("Enter");
    await opened.getByTestId("job-panel").filter({ hasText: first.title }).waitFor();
    await opened.keyboard.press("Escape");
    await opened.getByTestId("job-panel").waitFor({ state: "hidden" });
    assert.equal(await focused(), first.id);
    // Being drawn anew by a change from elsewhere, the bar keeps the focus.
    await stage.nora.reschedule(first, later(first, 15));
    await bar(opened, first).filter({ hasText: "Rescheduled" }).waitFor();
    await until("the bar has the focus", async () => (await focused()) === first.id);
  });

  test("moves a job: by time, by its end, and to another contractor; Escape leaves it", async () => {
    const { day, job, opened } = await scene();
    const to = await ben();
    await bar(opened, job).focus();
    await opened.keyboard.press("m");
    for (const key of ["ArrowRight", "ArrowRight", "Shift+ArrowRight"]) await opened.keyboard.press(key);
    await words(opened).filter({ hasText: "10:30–11:45" }).waitFor();
    await opened.keyboard.press("Escape");
    await words(opened).waitFor({ state: "hidden" });
    assert.equal((await asStored(job)).version, 1);

    await opened.keyboard.press("m");
    for (const key of ["ArrowRight", "ArrowDown"]) await opened.keyboard.press(key);
    await words(opened).filter({ hasText: "10:15–11:15" }).filter({ hasText: "Ben Okafor" }).waitFor();
    assert.match(await opened.locator("#announcer").textContent(), /10:15–11:15.*Ben Okafor/);
    await opened.keyboard.press("Enter");
    await stored(job, { ...window(day, 15), contractorIds: [to] });
    await until("the bar in its new row has the focus", () =>
      opened.evaluate((row) => document.activeElement?.getAttribute("data-row") === row, to));
  });
});

describe("undo", () => {
  test("takes the last change back for all to see, by a button and by a key", async () => {
    const { job, opened } = await scene();
    const to = await ben();
    await drag(opened, bar(opened, job), 2, { row: to });
    await opened.mouse.up();
    await stored(job, { contractorIds: [to], version: 3 });
    await toast(opened, "is now").getByTestId("toast-undo").click();
    await stored(job, { startUtc: job.startUtc, endUtc: job.endUtc, contractorIds: [stage.ada], version: 5 });
    await toast(opened, "Undone").waitFor();
    const { body: log } = await stage.nora.must("GET", `/api/events?jobId=${job.id}&limit=20`);
    assert.ok(log.items.some((event) => event.type === "JobRescheduled" && event.reason === "Undo"), "the log says that it was an undo");

    await drag(opened, bar(opened, job), 1);
    await opened.mouse.up();
    await stored(job, { version: 6 });
    await toast(opened, "is now").waitFor();
    await opened.keyboard.press("Control+z");
    await stored(job, { startUtc: job.startUtc, version: 7 });
  });

  test("does nothing, and says so, once somebody else has changed the job", async () => {
    const { job, opened } = await scene();
    await drag(opened, bar(opened, job), 2);
    await opened.mouse.up();
    const moved = await stored(job, { version: 2 });
    await toast(opened, "is now").waitFor();
    const { body: theirs } = await stage.nora.reschedule(moved, later(moved, 15));
    await bar(opened, job).and(opened.locator("[data-version='3']")).waitFor();
    await opened.keyboard.press("Control+z");
    await toast(opened, "was not undone: Nora Lindqvist has changed it since").waitFor();
    assert.deepEqual(await asStored(job), theirs);
  });
});

describe("dialogs do what dragging does", () => {
  test("to another contractor, who is said to be free or busy", async () => {
    const { day, job, opened } = await scene();
    const to = await ben();
    await stage.nora.job({ ...window(day, 30), contractorIds: [to] });
    await bar(opened, job).click();
    const panel = opened.getByTestId("job-panel");
    await panel.getByTestId("panel-assign").click();
    const dialog = opened.getByTestId("assign-dialog");
    await dialog.locator("label").filter({ hasText: "Ben Okafor" }).filter({ hasText: "busy" }).waitFor();
    assert.equal(await dialog.getByTestId("dialog-submit").isDisabled(), true, "nothing is chosen yet");
    await dialog.getByTestId("assign-words").fill("clara");
    await dialog.locator("label").filter({ hasText: "Clara Voss" }).click();
    await dialog.getByTestId("dialog-submit").click();
    await dialog.waitFor({ state: "hidden" });
    await panel.locator("[data-part=contractors]").filter({ hasText: "Clara Voss" }).waitFor();
    await toast(opened, "is now").getByTestId("toast-undo").click();
    await stored(job, { contractorIds: [stage.ada] });
  });

  test("cancelling, with a reason that is common or written", async () => {
    const { job, opened } = await scene();
    await bar(opened, job).click();
    await opened.getByTestId("panel-cancel").click();
    const dialog = opened.getByTestId("cancel-dialog");
    await dialog.filter({ hasText: "cannot be undone" }).waitFor();
    await dialog.getByTestId("common-reason").filter({ hasText: "Nobody at the site" }).click();
    await dialog.getByTestId("reason").pressSequentially(", twice");
    await dialog.getByTestId("dialog-submit").click();
    await stored(job, { status: "cancelled", cancellationReason: "Nobody at the site, twice" });
    await bar(opened, job).and(opened.locator("[data-state=cancelled]")).waitFor();
    await opened.getByTestId("job-panel").filter({ hasText: "Nobody at the site, twice" }).waitFor();
    assert.equal(await opened.getByTestId("panel-cancel").count(), 0);
    await opened.keyboard.press("Control+z");
    await toast(opened, "nothing to undo").waitFor();
  });
});
