/**
 * Writes `generated/api.d.ts`: the types of the interface, jobs, events and problems among
 * them, as a server describes it. The page's sources and the typed client are checked
 * against them. They are not kept in the repository, so they cannot be older than the server.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import openapiTS, { astToString } from "openapi-typescript";

import { Server } from "./support.mjs";

const FOLDER = new URL("generated/", import.meta.url);

/** From the server at this address. @param {string} url */
export async function writeTypes(url) {
  const document = await (await fetch(`${url}/openapi.json`)).json();
  const types = await openapiTS(document, { rootTypes: true, rootTypesNoSchemaPrefix: true });
  await mkdir(FOLDER, { recursive: true });
  await writeFile(new URL("api.d.ts", FOLDER), astToString(types));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.env.SIGNALBOX_BIN ??= fileURLToPath(new URL("../../target/debug/signalbox", import.meta.url));
  const server = await Server.demo();
  await writeTypes(server.url).finally(() => server.dispose());
}
