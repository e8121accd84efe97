/** A form that makes a request as it is described, and shows what came back. */

import { element } from "../dom.js";
import { paragraphs } from "./prose.js";
import { typeOf } from "./types.js";

/** @typedef {import("./description.js").Operation} Operation */
/** @typedef {import("./description.js").Parameter} Parameter */

/** Bytes of an answer that are shown. */
const SHOWN_MAX = 20000;

/**
 * @param {string} method
 * @param {string} path
 * @param {Operation} operation
 * @param {() => string} token
 */
export function trial(method, path, operation, token) {
  const name = operation.operationId;
  const parameters = (operation.parameters ?? []).map((parameter) => ({ parameter, ...parameterField(name, parameter) }));
  const body = operation.requestBody ? bodyField(name, operation) : null;
  const outcome = element("div", { class: "outcome", role: "status", "aria-live": "polite", "data-testid": "outcome" });
  const send = element("button", { class: "button primary", "data-testid": "send" }, "Send");
  const form = element(
    "form", { class: "trial", "aria-label": `Try ${operation.summary}` },
    ...parameters.map(({ field }) => field), body?.field, send, outcome,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = parameters.map(({ parameter, input }) => ({ parameter, value: input.value }));
    const { url, headers } = target(path, values);
    if (token()) headers.set("Authorization", `Bearer ${token()}`);
    if (body) headers.set("Content-Type", "application/json");
    outcome.replaceChildren(element("p", {}, "Sending…"));
    outcome.replaceChildren(...(await answered(url, { method: method.toUpperCase(), headers, body: body?.input.value })));
  });
  return form;
}

/** @param {string} name @param {Parameter} parameter */
function parameterField(name, parameter) {
  const id = `${name}-${parameter.name}`;
  const input = /** @type {HTMLInputElement} */ (element("input", {
    id, required: parameter.required, autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-hint`, "data-parameter": parameter.name,
  }));
  const field = element(
    "div", {},
    element("label", { for: id }, element("code", {}, parameter.name), parameter.required ? null : element("span", { class: "optional" }, " optional")),
    input,
    element("div", { class: "hint", id: `${id}-hint` }, typeOf(parameter.schema), ...paragraphs(parameter.description ?? "")),
  );
  return { field, input };
}

/** @param {string} name @param {Operation} operation */
function bodyField(name, operation) {
  const [content] = Object.values(operation.requestBody?.content ?? {});
  const id = `${name}-body`;
  const example = JSON.stringify(content.example ?? {}, null, 2);
  const input = /** @type {HTMLTextAreaElement} */ (element("textarea", {
    id, rows: Math.min(12, example.split("\n").length + 1), spellcheck: "false", "aria-describedby": `${id}-hint`, "data-testid": "body",
  }, example));
  const field = element(
    "div", {},
    element("label", { for: id }, "Body", operation.requestBody?.required ? null : element("span", { class: "optional" }, " optional")),
    input,
    element("p", { class: "hint", id: `${id}-hint` }, typeOf(content.schema)),
  );
  return { field, input };
}

/**
 * Where the request goes, and its headers. What is left empty is left out.
 *
 * @param {string} path
 * @param {{ parameter: Parameter, value: string }[]} values
 */
function target(path, values) {
  const url = new URL(location.origin);
  const headers = new Headers();
  url.pathname = path;
  for (const { parameter: { name, in: place }, value } of values) {
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value && place === "query") url.searchParams.set(name, value);
    else if (value) headers.set(name, value);
  }
  url.pathname = path;
  return { url, headers };
}

/** What came back, in words. @param {URL} url @param {RequestInit} request */
async function answered(url, request) {
  const began = performance.now();
  try {
    const response = await fetch(url, request);
    const text = await response.text();
    const took = `${Math.round(performance.now() - began)} ms`;
    const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    return [
      element("p", { "data-testid": "status" }, element("strong", {}, `${response.status} ${response.statusText}`), ` after ${took}`),
      readable("Answer's headers", headers),
      readable("Answer", pretty(text)),
    ];
  } catch (error) {
    return [element("p", { class: "problem" }, `No answer came: ${error instanceof Error ? error.message : error}.`)];
  }
}

/** @param {string} label @param {string} text */
function readable(label, text) {
  return element("pre", { tabindex: 0, role: "group", "aria-label": label, "data-testid": label }, text);
}

/** JSON with its lines broken; other text as it is. @param {string} text */
function pretty(text) {
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // It is no JSON, as metrics are not.
  }
  return shown.length > SHOWN_MAX ? `${shown.slice(0, SHOWN_MAX)}\n…` : shown;
}
