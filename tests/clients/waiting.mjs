/** Waiting with a limit, in Node and in a page alike. */

/** How long anything may take before a test fails. */
export const TIME_LIMIT_MS = 15000;

/** How long to wait between two looks at a condition that announces nothing. */
const LOOK_AGAIN_MS = 20;

/**
 * The promise's value, or a failure that says what did not happen in time.
 *
 * @template T
 * @param {string} what
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export async function within(what, promise, limitMs = TIME_LIMIT_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${limitMs} ms: ${what}`)), limitMs);
    // Nobody has to stay for what a test does not wait for in the end; in a page it is a number.
    timer.unref?.();
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Looks until the condition answers something true; answers that.
 *
 * @template T
 * @param {string} what
 * @param {() => T | Promise<T>} condition
 * @returns {Promise<T>}
 */
export async function until(what, condition, limitMs = TIME_LIMIT_MS) {
  const end = Date.now() + limitMs;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

/** A promise with its two ends at hand. */
export function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return /** @type {{ promise: Promise<any>, resolve: (value?: any) => void, reject: (error: any) => void }} */ (made);
}

/**
 * The promise; a test that fails before it looks at it is not ended by it.
 *
 * @template {Promise<any>} P
 * @param {P} promise
 * @returns {P}
 */
export function handled(promise) {
  promise.catch(() => {});
  return promise;
}
