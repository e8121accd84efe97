/** What of an OpenAPI document the page reads. */

/**
 * @typedef {object} Schema
 * @property {string} [$ref]
 * @property {string | string[]} [type]
 * @property {string} [format]
 * @property {string} [description]
 * @property {unknown[]} [enum]
 * @property {Schema} [items]
 * @property {Record<string, Schema>} [properties]
 * @property {string[]} [required]
 * @property {Schema[]} [oneOf]
 * @property {Schema[]} [allOf]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [minLength]
 * @property {number} [maxLength]
 * @property {number} [maxItems]
 * @property {unknown} [default]
 */

/**
 * @typedef {object} Parameter
 * @property {string} name
 * @property {"path" | "query" | "header"} in
 * @property {boolean} [required]
 * @property {string} [description]
 * @property {Schema} schema
 */

/** @typedef {{ schema: Schema, example?: unknown, examples?: Record<string, { value: unknown }> }} Content */
/** @typedef {{ $ref?: string, description: string, headers?: Record<string, unknown>, content?: Record<string, Content> }} Answer */

/**
 * @typedef {object} Operation
 * @property {string} operationId
 * @property {string[]} tags
 * @property {string} summary
 * @property {string} [description]
 * @property {Parameter[]} [parameters]
 * @property {{ required?: boolean, content: Record<string, Content> }} [requestBody]
 * @property {Record<string, Answer>} responses
 */

/**
 * @typedef {object} Description
 * @property {{ title: string, version: string, description: string }} info
 * @property {{ name: string, description: string }[]} tags
 * @property {Record<string, Record<string, Operation>>} paths
 * @property {{ schemas: Record<string, Schema>, responses: Record<string, Answer> }} components
 */

/** The last part of a reference. @param {string} reference */
export function nameOf(reference) {
  return decodeURIComponent(reference.slice(reference.lastIndexOf("/") + 1));
}

/** The answer itself, where there is a reference to it. @param {Description} description @param {Answer} answer */
export function resolved(description, answer) {
  return answer.$ref ? description.components.responses[nameOf(answer.$ref)] : answer;
}
