/** The described API, to read and to try: loads the description, and lays it out. */

import { byId, element, showText } from "../dom.js";
import { operation } from "./operation.js";
import { paragraphs } from "./prose.js";
import { fields } from "./types.js";

/** @typedef {import("./description.js").Description} Description */

const METHODS = ["get", "post", "put", "delete"];

/** @param {Description} description */
function show(description) {
  showText(byId("title"), `${description.info.title} API ${description.info.version}`);
  byId("about").append(...paragraphs(description.info.description));
  byId("operations").append(...description.tags.map((tag) => section(description, tag)));
  for (const [name, schema] of Object.entries(description.components.schemas)) {
    const about = paragraphs(schema.description ?? "");
    byId("types").append(
      element("details", { id: `type-${name}` }, element("summary", {}, element("code", {}, name)), ...about, fields(schema)),
    );
  }
}

/** The operations of a tag. @param {Description} description @param {{ name: string, description: string }} tag */
function section(description, tag) {
  const title = `tag-${tag.name}`;
  const made = element("section", { "aria-labelledby": title }, element("h2", { id: title }, tag.name), ...paragraphs(tag.description));
  for (const [path, item] of Object.entries(description.paths)) {
    for (const method of METHODS.filter((name) => item[name]?.tags.includes(tag.name))) {
      made.append(operation(description, method, path, item[method], () => byId("token").value.trim()));
    }
  }
  return made;
}

/** Opens what the address names. */
function openNamed() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(named instanceof HTMLDetailsElement)) return;
  named.open = true;
  named.scrollIntoView();
}

/** @returns {Promise<import("signalbox-api").Persona[]>} none outside the demo */
async function personas() {
  const response = await fetch("/demo/personas");
  return response.ok ? (await response.json()).personas : [];
}

/** Where the demo lets anybody in, a person is chosen instead of a token being pasted. */
async function offerPersonas() {
  const people = await personas();
  if (people.length === 0) return;
  const options = people.map(({ id, name, role }) => element("option", { value: id }, `${name}, ${role}`));
  byId("persona").append(element("option", { value: "" }, "Nobody"), ...options);
  byId("persona-field").hidden = false;
  byId("persona").addEventListener("change", async () => {
    // A token of now, also where the page has been open since yesterday.
    const chosen = (await personas()).find(({ id }) => id === byId("persona").value);
    byId("token").value = chosen?.token ?? "";
  });
}

async function start() {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  show(await response.json());
  await offerPersonas();
}

byId("caller").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
addEventListener("hashchange", openNamed);
try {
  await start();
  byId("docs").dataset.state = "ready";
  openNamed();
} catch (error) {
  showText(byId("failure"), `The description could not be loaded: ${error instanceof Error ? error.message : error}.`);
  byId("docs").dataset.state = "failed";
}
