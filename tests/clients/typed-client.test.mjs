/** A client whose types were generated from the description works, and is refused where it is wrong. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import ts from "typescript";

import { Server, claims, sign } from "./support.mjs";
import { writeTypes } from "./types.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The program, as a module that Node can run. */
async function compiled() {
  await promisify(execFile)(process.execPath, [here("node_modules/typescript/bin/tsc"), "--project", here("typed.tsconfig.json")])
    .catch((error) => assert.fail(`the typed client does not compile:\n${error.stdout}`));
  const source = await readFile(here("typed-client.ts"), "utf8");
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 },
  });
  await writeFile(here("generated/typed-client.mjs"), outputText);
  return import("./generated/typed-client.mjs");
}

test("a client with generated types compiles, and does what it says", async (t) => {
  const server = await Server.serve();
  t.after(() => server.dispose());
  await writeTypes(server.url);
  const { moveByAnHour, headline } = await compiled();
  const { job, events } = await moveByAnHour(server.url, sign(claims.dispatcher("north")));
  assert.equal(job.version, 2);
  assert.deepEqual(events.map((event) => event.type), ["JobCreated", "JobRescheduled"]);
  assert.equal(headline(events[1]), "Boiler inspection: now at 2026-03-02T09:00:00.000Z");
});
