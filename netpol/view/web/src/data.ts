// The shape of `netpol graph -o json`, which is what the page holds.

export const STATES = [
  "denied",
  "quarantined",
  "new",
  "allowed-used",
  "allowed-unused",
  "not-for-policies",
] as const;
/** What an edge is, the most remarkable first. */
export type State = (typeof STATES)[number];

/** What policies let pass. */
export const ALLOWED: ReadonlySet<State> = new Set<State>(["allowed-used", "new", "allowed-unused"]);

export interface Replicas {
  readonly count: number;
  readonly names: readonly string[];
}

export interface FlowNode {
  readonly id: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly pods: Replicas;
  readonly nodes: readonly string[];
  readonly addresses: readonly string[];
  readonly address_count: number;
  readonly names: readonly string[];
  readonly roles: readonly string[];
  readonly policies: readonly string[];
  readonly isolated: readonly string[];
}

export interface Rule {
  readonly policy: string;
  readonly direction: string;
  readonly rule: number;
}

export interface Seen {
  readonly connections: number;
  readonly packets: number;
  readonly bytes: number;
  readonly first_seen: string;
  readonly last_seen: string;
  /** Inclusive runs of time bins. */
  readonly active: readonly (readonly [number, number])[];
  readonly outcomes: Readonly<Record<string, number>>;
  readonly directions: Readonly<Record<string, number>>;
  readonly midstream: number;
  readonly silent: number;
  readonly shared: number;
  readonly services: readonly string[];
  readonly source_pods: Replicas;
  readonly destination_pods: Replicas;
  readonly nodes: readonly string[];
}

export interface FlowEdge {
  readonly id: string;
  readonly source: string;
  readonly destination: string;
  readonly label: string;
  readonly protocols: readonly string[];
  readonly port: number | null;
  /** Protocol to inclusive ranges. */
  readonly ports: Readonly<Record<string, readonly (readonly [number, number])[]>>;
  readonly state: State;
  readonly reason: string | null;
  readonly directed: boolean;
  readonly verdict: string | null;
  readonly admitted_by: readonly Rule[];
  readonly blocked_by: { readonly direction: string; readonly policies: readonly string[] } | null;
  readonly seen: Seen | null;
}

/** Bytes over time, of a page that `netpol view` serves. */
export interface Traffic {
  /** Milliseconds since the epoch. */
  readonly start: number;
  readonly bin_seconds: number;
  readonly total: readonly number[];
  readonly series: readonly { readonly workload: string; readonly bytes: readonly number[] }[];
}

/** What one client asked DNS. */
export interface Questions {
  readonly who: string;
  readonly asked: number;
  readonly answered: number;
  readonly empty: number;
  readonly no_name: number;
  readonly failed: number;
  readonly names: readonly { readonly name: string; readonly answers: number }[];
  readonly more: number;
}

export interface FlowGraph {
  readonly judged_by: string;
  readonly compared: boolean;
  readonly window: { readonly first_seen: string; readonly last_seen: string } | null;
  readonly time: { readonly start: string; readonly bin_seconds: number; readonly bins: number } | null;
  readonly connections: number;
  readonly learned: number;
  readonly left_out: Readonly<Record<string, number>>;
  readonly unseen: readonly string[];
  readonly unused_dropped: number;
  /** Of a page that is served: how often its server may be asked for news, and which these are. */
  readonly live?: { readonly seconds: number; readonly tag: string };
  readonly traffic?: Traffic | null;
  readonly dns?: readonly Questions[];
  readonly nodes: readonly FlowNode[];
  readonly edges: readonly FlowEdge[];
}

/** The graph that the page was written with. */
export function embedded(): FlowGraph {
  return JSON.parse(document.getElementById("netpol-data")?.textContent ?? "null") as FlowGraph;
}
