// Names as they are shown: each agent keeps one colour, the operator is "you", and every name is isolated text.

import { html } from "./page.js";
import { EVERYONE, OPERATOR } from "./store.js";
import { visible } from "./text.js";

const HUES = 8;
const WORDS = { [OPERATOR]: "you", [EVERYONE]: "everyone" };

function hue(name) {
  let sum = 0;
  for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 9973;
  return sum % HUES;
}

/** A name in its colour. */
export const Name = ({ name }) =>
  name in WORDS || name === "system" || name === "reminder"
    ? html`<span class="name plain" title=${name}>${WORDS[name] ?? name}</span>`
    : html`<span class="name hue-${hue(name)}" dir="auto">${visible(name)}</span>`;
