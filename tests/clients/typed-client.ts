/**
 * A client whose calls and answers are typed by the server's own description; shown in
 * `docs/api.md`. `typed-client.test.mjs` compiles it and runs it.
 */

import createClient from "openapi-fetch";

import type { Event, Job, paths } from "./generated/api";

/** Creates a job, moves it by an hour, and reads what the log says about it. */
export async function moveByAnHour(baseUrl: string, token: string): Promise<{ job: Job; events: Event[] }> {
  const api = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${token}` } });

  const created = await api.POST("/api/jobs", {
    body: {
      title: "Boiler inspection",
      customer: "Harbour Hotel",
      address: "1 Quay Street",
      region: "north",
      timezone: "Europe/Berlin",
      startUtc: "2026-03-02T08:00:00Z",
      endUtc: "2026-03-02T10:00:00Z",
    },
  });
  if (created.error) throw new Error(`${created.error.code}: ${created.error.detail}`);

  const moved = await api.PUT("/api/jobs/{id}/reschedule", {
    params: { path: { id: created.data.id }, header: { "If-Match": created.response.headers.get("etag")! } },
    body: { startUtc: "2026-03-02T09:00:00Z", endUtc: "2026-03-02T11:00:00Z", reason: "The site opens late" },
  });
  if (moved.error) throw new Error(`${moved.error.code}: ${moved.error.detail}`);

  const log = await api.GET("/api/events", { params: { query: { jobId: created.data.id } } });
  if (log.error) throw new Error(`${log.error.code}: ${log.error.detail}`);
  return { job: moved.data, events: log.data.items };
}

/** The type tells which fields an event has. */
export function headline(event: Event): string {
  return event.type === "JobRescheduled" ? `${event.title}: now at ${event.newStartUtc}` : event.title;
}

/** What the types refuse; each of these lines has to be an error. */
export function mistakes(baseUrl: string, event: Event) {
  const api = createClient<paths>({ baseUrl });
  // @ts-expect-error There is no such path.
  void api.GET("/api/orders");
  // @ts-expect-error A status is one of four.
  void api.GET("/api/jobs", { params: { query: { status: "lost" } } });
  // @ts-expect-error A window has an end.
  void api.PUT("/api/jobs/{id}/reschedule", { params: { path: { id: "" } }, body: { startUtc: "" } });
  // @ts-expect-error Not every event has a new start.
  return event.newStartUtc;
}
