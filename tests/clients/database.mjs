/**
 * The database of a server under test, of the kind that the tests run on: a file in the
 * server's folder, or a database named after the folder on the PostgreSQL that
 * `scripts/with-services` started.
 */

import { execFileSync } from "node:child_process";
import { basename, join } from "node:path";

/** `sqlite`, the default, or `postgres`. */
const KIND = process.env.SIGNALBOX_TEST_DATABASE ?? "sqlite";

/** The databases that these tests made, by the folder that each belongs to. @type {Map<string, string>} */
const made = new Map();

/** The URL of the folder's database; on PostgreSQL it is made at the first call. @param {string} folder */
export function databaseUrl(folder) {
  if (KIND === "sqlite") return `sqlite://${join(folder, "signalbox.db")}`;
  if (KIND !== "postgres") throw new Error(`SIGNALBOX_TEST_DATABASE is sqlite or postgres, not ${KIND}`);
  const name = basename(folder);
  if (!made.has(folder)) {
    administer(`CREATE DATABASE "${name}"`);
    made.set(folder, name);
  }
  const url = new URL(serverUrl());
  url.pathname = `/${name}`;
  return url.href;
}

/** Removes the folder's database where it has one on a server. @param {string} folder */
export function dropDatabase(folder) {
  const name = made.get(folder);
  if (name && made.delete(folder)) administer(`DROP DATABASE "${name}" WITH (FORCE)`);
}

/** @param {string} statement */
function administer(statement) {
  execFileSync("psql", [serverUrl(), "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--command", statement]);
}

function serverUrl() {
  const url = process.env.SIGNALBOX_TEST_POSTGRES_URL;
  if (!url) throw new Error("run these tests with scripts/with-services, which starts a PostgreSQL");
  return url;
}
