// What the person looking has chosen, in one value; parts of the page are told when it changes.

import { EVERYTHING, type Filter } from "./filter";
import type { Theme } from "./looks";

export type Question =
  | { readonly kind: "from" | "to"; readonly node: string }
  | { readonly kind: "path"; readonly node: string; readonly other: string };

export interface Choice {
  readonly filter: Filter;
  /** Groups whose members are shown. */
  readonly open: ReadonlySet<string>;
  readonly folded: boolean;
  /** Ids of edges. */
  readonly edges: ReadonlySet<string>;
  readonly node: string | null;
  readonly group: string | null;
  readonly question: Question | null;
  readonly theme: Theme;
}

export const NOTHING_CHOSEN = { edges: new Set<string>(), node: null, group: null } as const;

export type Listener = (choice: Choice, before: Choice) => void;

export class Store {
  private listeners: Listener[] = [];
  choice: Choice;

  constructor(theme: Theme) {
    this.choice = { filter: EVERYTHING, open: new Set(), folded: true, ...NOTHING_CHOSEN, question: null, theme };
  }

  /** Is told of every change after it was made, in the order in which they subscribed. */
  subscribe(listener: Listener): void {
    this.listeners.push(listener);
  }

  set(change: Partial<Choice>): void {
    const before = this.choice;
    this.choice = { ...before, ...change };
    for (const listener of this.listeners) listener(this.choice, before);
  }

  filter(change: Partial<Filter>): void {
    this.set({ filter: { ...this.choice.filter, ...change } });
  }

  selectNode(node: string | null): void {
    this.set({ ...NOTHING_CHOSEN, node });
  }

  selectGroup(group: string): void {
    this.set({ ...NOTHING_CHOSEN, group });
  }

  selectEdges(edges: Iterable<string>): void {
    this.set({ ...NOTHING_CHOSEN, edges: new Set(edges) });
  }

  toggleGroup(group: string): void {
    const open = new Set(this.choice.open);
    if (!open.delete(group)) open.add(group);
    this.set({ open });
  }
}
