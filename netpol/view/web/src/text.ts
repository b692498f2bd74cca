// How text is shown. Names, labels and addresses come from whoever could put them on the wire.

import type { FlowEdge, FlowNode, Rule } from "./data";

const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

/** The text with control, formatting and bidirectional characters escaped: nobody shall read another order. */
export function plain(text: string): string {
  return text.replace(HIDDEN, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16);
    return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`;
  });
}

/** Cut in the middle where it is too long for a picture. */
export function short(text: string, longest = 28): string {
  if (text.length <= longest) return text;
  const half = Math.floor((longest - 1) / 2);
  return `${text.slice(0, half)}\u2026${text.slice(text.length - half)}`;
}

const NUMBERS = new Intl.NumberFormat("en");

export const number = (value: number): string => NUMBERS.format(value);

export const counted = (value: number, word: string, many = `${word}s`): string =>
  `${number(value)} ${value === 1 ? word : many}`;

const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"];

export function bytes(value: number): string {
  let unit = 0;
  let rest = value;
  while (rest >= 1000 && unit < UNITS.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? rest : rest.toPrecision(3)} ${UNITS[unit]}`;
}

/** `2026-11-22 03:08:05`, in UTC as everything here. */
export const moment = (time: string): string => plain(time).replace("T", " ").replace(/(\.\d+)?Z$/, "");

export const rule = (one: Rule): string => plain(`${one.policy}:${one.direction}[${one.rule}]`);

/** `admitted by ...`, `denied by ...`, or why nothing can be said. */
export function decision(edge: FlowEdge): string {
  if (edge.blocked_by) {
    const who = edge.blocked_by.policies.map(plain).join(", ");
    return `${edge.blocked_by.direction} denied${who ? ` by ${who}` : ""}`;
  }
  if (edge.admitted_by.length > 0) return edge.admitted_by.map(rule).join(", ");
  return edge.verdict === "allowed" ? "no policy restricts it" : "";
}

/** What stands in a box: without its namespace, which is the box around it. */
export function nodeLabel(node: FlowNode): string {
  const named = node.names[0];
  if (named !== undefined) {
    const more = node.names.length > 1 ? ` and ${node.names.length - 1} more` : "";
    return short(plain(named)) + more;
  }
  return short(plain(node.name.replace(/^external /, "") || node.id));
}
