/** Types in words: what a schema lets through, with links to those that have names. */

import { element } from "../dom.js";
import { nameOf } from "./description.js";
import { paragraphs } from "./prose.js";

/** @typedef {import("./description.js").Schema} Schema */

/** A schema's type in a few words. @param {Schema} schema @returns {HTMLElement} */
export function typeOf(schema) {
  if (schema.$ref) {
    const name = nameOf(schema.$ref);
    return element("a", { href: `#type-${encodeURIComponent(name)}` }, name);
  }
  const variants = schema.oneOf ?? schema.allOf;
  if (variants) {
    const between = schema.oneOf ? " or " : " with ";
    const parts = variants.flatMap((variant, index) => (index ? [between, typeOf(variant)] : [typeOf(variant)]));
    return element("span", {}, ...parts);
  }
  if (schema.items) return element("span", {}, "list of ", typeOf(schema.items), bounds(schema));
  if (schema.enum) return element("span", {}, schema.enum.map((value) => JSON.stringify(value)).join(", "));
  const type = [schema.type ?? "anything"].flat().join(" or ");
  return element("span", {}, type, schema.format ? `, ${schema.format}` : "", bounds(schema));
}

/** @param {Schema} schema */
function bounds({ minimum, maximum, minLength, maxLength, maxItems, default: unsaid }) {
  const from = minimum ?? minLength;
  const to = maximum ?? maxLength ?? maxItems;
  const range = to === undefined ? (from === undefined ? "" : `, at least ${from}`) : `, ${from === undefined ? "at most" : `${from} to`} ${to}`;
  return unsaid === undefined ? range : `${range}, ${unsaid} unless said`;
}

/** The fields of an object, or the type of what is none. @param {Schema} schema */
export function fields(schema) {
  if (!schema.properties) return element("p", {}, typeOf({ ...schema, description: undefined }));
  const rows = Object.entries(schema.properties).map(([name, field]) => {
    const isRequired = schema.required?.includes(name);
    return element(
      "div", { class: "field" },
      element("dt", {}, element("code", {}, name), isRequired ? null : element("span", { class: "optional" }, " optional")),
      element("dd", {}, typeOf(field), ...paragraphs(field.description ?? "")),
    );
  });
  return element("dl", { class: "fields-of" }, ...rows);
}
