/** What the server says about itself to programs: AsyncAPI of the hub, schemas of events. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Parser } from "@asyncapi/parser";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

import { Client, EVENT_TYPES, Server, claims, sign } from "./support.mjs";

/** @type {Server} */
let server;
before(async () => (server = await Server.serve()));
after(() => server.dispose());

const read = async (path) => {
  const response = await fetch(server.url + path);
  return { status: response.status, headers: response.headers, text: await response.text() };
};

test("the hub is described by valid AsyncAPI", async () => {
  const { status, text } = await read("/asyncapi.json");
  assert.equal(status, 200);
  const { document, diagnostics } = await new Parser().parse(text);
  const faults = diagnostics.filter(({ severity }) => severity <= 1);
  assert.deepEqual(faults.map(({ message, path }) => `${path.join(".")}: ${message}`), []);
  assert.equal(document.version(), "3.0.0");
  const sent = document.operations().filterBySend().map((operation) => operation.id());
  for (const type of EVENT_TYPES) assert.ok(sent.includes(type), type);
});

test("each event's schema is whole, strict, and for that event alone", async () => {
  const admin = new Client(server.url, sign(claims.admin()));
  const { body: job } = await admin.job();
  const { body } = await admin.call("GET", `/api/events?jobId=${job.id}`);
  const [event] = body.items;
  for (const type of EVENT_TYPES) {
    const { status, text, headers } = await read(`/schemas/${type}.v1.json`);
    assert.equal(status, 200, type);
    assert.equal(headers.get("content-type"), "application/schema+json");
    const ajv = new Ajv({ strict: true, allowUnionTypes: true });
    addFormats(ajv);
    const validate = ajv.compile(JSON.parse(text));
    assert.equal(validate(event), type === "JobCreated", `${type}: ${ajv.errorsText(validate.errors)}`);
    assert.equal(validate({ ...event, more: 1 }), false);
  }
});

test("a schema that is not there is not found", async () => {
  for (const name of ["JobCreated.v0", "JobLost.v1", "..%2FJobCreated.v1", "JobCreated"]) {
    assert.equal((await read(`/schemas/${name}.json`)).status, 404, name);
  }
});
