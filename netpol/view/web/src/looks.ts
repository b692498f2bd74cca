// How each state looks: the colours of Okabe and Ito ("Color Universal Design", 2008) and the line's pattern say the same.

import type { State } from "./data";

export interface Look {
  readonly words: string;
  readonly light: string;
  readonly dark: string;
  readonly width: number;
  /** Lengths of strokes and gaps; none for a solid line. */
  readonly dash: readonly number[];
}

export const LOOKS: Readonly<Record<State, Look>> = {
  denied: { words: "denied", light: "#d55e00", dark: "#d55e00", width: 2.5, dash: [10, 5] },
  quarantined: { words: "quarantined", light: "#cc79a7", dark: "#cc79a7", width: 2, dash: [9, 3, 2, 3] },
  new: { words: "new in this change", light: "#0072b2", dark: "#56b4e9", width: 4, dash: [] },
  "allowed-used": { words: "allowed and used", light: "#009e73", dark: "#009e73", width: 1.6, dash: [] },
  "allowed-unused": { words: "allowed but unused", light: "#777777", dark: "#999999", width: 1.6, dash: [2, 4] },
  "not-for-policies": {
    words: "no policy speaks of it",
    light: "#909090",
    dark: "#888888",
    width: 1,
    dash: [1, 6],
  },
};

export type Theme = "light" | "dark";

/** The colours of the picture that are no state's. */
export const PALETTES: Readonly<Record<Theme, Readonly<Record<"page" | "box" | "node" | "line" | "text" | "faint" | "focus", string>>>> = {
  light: {
    page: "#ffffff",
    box: "#f2f4f7",
    node: "#ffffff",
    line: "#8a94a3",
    text: "#1b2330",
    faint: "#566070",
    focus: "#e69f00",
  },
  dark: {
    page: "#14181f",
    box: "#1c222c",
    node: "#262e3b",
    line: "#77839a",
    text: "#e7ebf2",
    faint: "#a8b3c4",
    focus: "#f0c24b",
  },
};
