/**
 * What every client must be able to do over every transport and protocol. Each feature
 * is a function that gets an environment; Node and the page run the same table.
 */

import { audiences } from "./features/audiences.mjs";
import { calls } from "./features/calls.mjs";
import { clientResults } from "./features/client_results.mjs";
import { connections } from "./features/connections.mjs";
import { errors } from "./features/errors.mjs";
import { streams } from "./features/streams.mjs";

/** @typedef {((env: import("./environment.mjs").Environment) => Promise<void>) & { suits?: (env: any) => boolean }} Feature */

/** By the name that it fails with. @type {Record<string, Feature>} */
export const FEATURES = { ...calls, ...streams, ...errors, ...clientResults, ...audiences, ...connections };

/**
 * Whether the feature can be had there at all.
 *
 * @param {string} name
 * @param {{ transport: string, protocol: string, isBrowser: boolean }} where
 */
export function suits(name, where) {
  return FEATURES[name].suits?.(where) ?? true;
}
