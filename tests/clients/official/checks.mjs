/** Comparisons for tests that run in Node and in a page alike. */

/** Fails unless both values are the same in all their parts. */
export function equal(actual, expected, what = "") {
  const [left, right] = [actual, expected].map((value) => JSON.stringify(plain(value)));
  if (left !== right) throw new Error(`${what || "a value"}: ${left} is not ${right}`);
}

/** Fails unless the text has this form. */
export function matches(text, pattern, what = "a text") {
  if (!pattern.test(text)) throw new Error(`${what}: ${JSON.stringify(text)} does not match ${pattern}`);
}

/**
 * Fails unless the promise is rejected with this text.
 *
 * @param {Promise<unknown>} promise
 * @param {string | RegExp} expected
 */
export async function rejects(promise, expected) {
  const outcome = await promise.then((value) => ({ value }), (error) => ({ error }));
  if (!("error" in outcome)) throw new Error(`succeeded with ${JSON.stringify(plain(outcome.value))} in place of ${expected}`);
  if (expected instanceof RegExp) matches(outcome.error.message, expected, "the error's text");
  else equal(outcome.error.message, expected, "the error's text");
}

/** The value in a form whose JSON says all of it. */
function plain(value) {
  if (value === undefined) return { undefined: true };
  if (value instanceof Uint8Array) return { bytes: [...value] };
  if (value instanceof Date) return { date: value.getTime() };
  if (value instanceof Error) return { error: value.message };
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).sort().map(([name, part]) => [name, plain(part)]));
}
