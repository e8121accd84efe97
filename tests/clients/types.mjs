/**
 * Writes `generated/api.d.ts`: the types of the interface, jobs, events and problems among
 * them, from the document of a server that is started for it. The page's sources and the
 * typed client are checked against them.
 *
 * Not kept in the repository: so it cannot be older than the server.
 */

import { mkdir, writeFile } from "node:fs/promises";

import openapiTS, { astToString } from "openapi-typescript";

import { Server } from "./support.mjs";

const FOLDER = new URL("generated/", import.meta.url);

process.env.SIGNALBOX_BIN ??= new URL("../../target/debug/signalbox", import.meta.url).pathname;

/** The document of a server of its own. */
async function openApi() {
  const server = await Server.demo();
  try {
    return await (await fetch(`${server.url}/openapi.json`)).json();
  } finally {
    await server.dispose();
  }
}

const types = await openapiTS(await openApi(), { rootTypes: true, rootTypesNoSchemaPrefix: true });
await mkdir(FOLDER, { recursive: true });
await writeFile(new URL("api.d.ts", FOLDER), astToString(types));
