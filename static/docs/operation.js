/** An operation: what it takes, what it answers, and a form that tries it. */

import { element } from "../dom.js";
import { resolved } from "./description.js";
import { paragraphs } from "./prose.js";
import { trial } from "./trial.js";
import { typeOf } from "./types.js";

/** @typedef {import("./description.js").Description} Description */
/** @typedef {import("./description.js").Operation} Operation */
/** @typedef {import("./description.js").Answer} Answer */

/**
 * @param {Description} description
 * @param {string} method
 * @param {string} path
 * @param {Operation} operation
 * @param {() => string} token what to try it with; empty for none
 */
export function operation(description, method, path, operation, token) {
  const answers = Object.entries(operation.responses).map(([status, answer]) => answerRow(status, resolved(description, answer)));
  return element(
    "details", { class: "operation", id: operation.operationId, "data-testid": operation.operationId },
    element("summary", {},
      element("span", { class: "method", "data-method": method }, method.toUpperCase()), " ",
      element("code", { class: "path" }, path), " ",
      element("span", { class: "dim" }, operation.summary)),
    ...paragraphs(operation.description ?? ""),
    trial(method, path, operation, token),
    element("h3", {}, "Answers"),
    element("dl", { class: "answers" }, ...answers),
  );
}

/** @param {string} status @param {Answer} answer */
function answerRow(status, answer) {
  const [type, content] = Object.entries(answer.content ?? {})[0] ?? [];
  const examples = content?.examples ? Object.values(content.examples).map(({ value }) => value) : [content?.example];
  const headers = Object.keys(answer.headers ?? {});
  return element(
    "div", { class: "field" },
    element("dt", {}, element("code", {}, status)),
    element("dd", {},
      ...paragraphs(answer.description),
      content ? element("p", {}, element("code", {}, type ?? ""), ": ", typeOf(content.schema)) : null,
      headers.length > 0 ? element("p", { class: "hint" }, `Headers: ${headers.join(", ")}`) : null,
      ...examples.filter((example) => example !== undefined).map(shown)),
  );
}

/** @param {unknown} example */
function shown(example) {
  // Wide ones scroll, which the keyboard has to reach.
  return element("pre", { tabindex: 0, role: "group", "aria-label": "Example" }, JSON.stringify(example, null, 2));
}
