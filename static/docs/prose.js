/** The few marks of Markdown that descriptions have: paragraphs, lists, and code. */

import { element } from "../dom.js";

/** @param {string} text @returns {HTMLElement[]} */
export function paragraphs(text) {
  const blocks = text.split(/\n\n+/).filter((block) => block.trim());
  return blocks.map((block) => {
    if (!block.startsWith("- ")) return element("p", {}, ...spans(block));
    const items = block.slice(2).split(/\n- /);
    return element("ul", {}, ...items.map((item) => element("li", {}, ...spans(item))));
  });
}

/** Text, and code between backticks. @param {string} text */
function spans(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}
