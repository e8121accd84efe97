/**
 * Making and arranging elements. Text always goes in as text: nothing here, or
 * anywhere in the page, turns a string into markup.
 */

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * The element of that id, which the page is known to have.
 *
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element "${id}"`);
  return found;
}

/**
 * A new element. Attributes that are null, undefined or false are left out.
 *
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter(isShown));
  return made;
}

/**
 * Makes these the parent's children, in this order. What is in place already is not
 * touched, so that focus and scrolling survive.
 *
 * @param {Element} parent
 * @param {Element[]} wanted
 */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) {
    if (!keep.has(child)) child.remove();
  }
  let place = parent.firstElementChild;
  for (const child of wanted) {
    if (child === place) {
      place = place.nextElementSibling;
    } else {
      parent.insertBefore(child, place);
    }
  }
}

/**
 * Shows the text, or hides the element when there is none.
 *
 * @param {HTMLElement} target
 * @param {string | null} text
 */
export function showText(target, text) {
  // Writing the same text again would make a screen reader say it again.
  if (target.textContent !== (text ?? "")) target.textContent = text ?? "";
  target.hidden = !text;
}

/**
 * @param {Child} child
 * @returns {child is Node | string}
 */
function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}
