import type { StandingCheck, StandingEntry } from './entry.ts';

/** Answers of Consul, read once at the edge. What does not have the shape of Consul's answer throws {@link NotConsul}. */

export class NotConsul extends Error {
  override readonly name = 'NotConsul';
}

export interface StandingNode {
  readonly Node: string;
  readonly Address: string;
  readonly Meta: Readonly<Record<string, string>>;
}

export interface NodeContent {
  readonly node: StandingNode;
  readonly entries: readonly StandingEntry[];
}

export const readNodes = (body: unknown): readonly StandingNode[] => list(body).map(node);

/** `/v1/catalog/node/:node`; undefined for a node that does not exist, which Consul answers with `null`. */
export function readNodeContent(body: unknown): NodeContent | undefined {
  if (body === null) return undefined;
  const content = record(body);
  return { node: node(content['Node']), entries: Object.values(record(content['Services'] ?? {})).map(entry) };
}

/** The node itself in the same answer. */
export function readNodeRecord(
  body: unknown,
): (Pick<StandingNode, 'Meta'> & { readonly ModifyIndex: number }) | undefined {
  if (body === null) return undefined;
  const { Meta, ModifyIndex } = record(record(body)['Node']);
  return { Meta: pairs(Meta), ModifyIndex: number(ModifyIndex) };
}

export const readChecks = (body: unknown): readonly StandingCheck[] => list(body).map(check);

export interface HealthEntry {
  readonly node: StandingNode;
  readonly entry: StandingEntry;
  readonly checks: readonly StandingCheck[];
}

/** `/v1/health/service/:service` */
export const readHealth = (body: unknown): readonly HealthEntry[] =>
  list(body).map((one) => {
    const { Node, Service, Checks } = record(one);
    return { node: node(Node), entry: entry(Service), checks: readChecks(Checks ?? []) };
  });

/** `/v1/session/node/:node`: the ids of its sessions. */
export const readSessions = (body: unknown): readonly string[] => list(body).map((one) => text(record(one)['ID']));

/** `/v1/session/create` */
export const readSession = (body: unknown): string => text(record(body)['ID']);

/** `/v1/kv/:key`, as the package decodes it; undefined for a key that is not there. */
export function readPair(body: unknown): { readonly value: string; readonly index: number } | undefined {
  if (body === undefined) return undefined;
  const { Value, ModifyIndex } = record(body);
  return { value: text(Value ?? ''), index: number(ModifyIndex) };
}

/** The index of each service that a transaction set, by id. */
export function readCommitted(body: unknown): ReadonlyMap<string, number> {
  const services = list(record(body)['Results'] ?? []).flatMap((one) => {
    const { Service } = record(one);
    return Service === undefined ? [] : [record(Service)];
  });
  return new Map(services.map(({ ID, ModifyIndex }) => [text(ID), number(ModifyIndex)]));
}

export interface TxnError {
  /** The operation that was refused. */
  readonly index: number;
  /** Consul's own words; they quote values, so they go into no message. */
  readonly what: string;
}

/** Answer 409: every operation that was refused. All others were rolled back. */
export const readTxnErrors = (body: unknown): readonly TxnError[] =>
  list(record(body)['Errors']).map((one) => {
    const { OpIndex, What } = record(one);
    return { index: number(OpIndex), what: text(What) };
  });

export function readVersion(body: unknown): string {
  const { Version } = record(record(body)['Config']);
  return text(Version);
}

function node(value: unknown): StandingNode {
  const { Node, Address, Meta } = record(value);
  return { Node: text(Node), Address: text(Address), Meta: pairs(Meta) };
}

function entry(value: unknown): StandingEntry {
  const { ID, Service, Address, Port, Tags, Meta, Weights, ModifyIndex } = record(value);
  const { Passing, Warning } = record(Weights ?? { Passing: 1, Warning: 1 });
  return {
    ID: text(ID),
    Service: text(Service),
    Address: text(Address),
    // Left out of some answers when 0.
    Port: number(Port ?? 0),
    Tags: list(Tags ?? []).map(text),
    Meta: pairs(Meta),
    Weights: { Passing: number(Passing), Warning: number(Warning) },
    ModifyIndex: number(ModifyIndex),
  };
}

function check(value: unknown): StandingCheck {
  const { Node, CheckID, ServiceID, Status, Output, ModifyIndex } = record(value);
  return {
    Node: text(Node),
    CheckID: text(CheckID),
    ServiceID: text(ServiceID),
    Status: text(Status),
    Output: text(Output),
    ModifyIndex: number(ModifyIndex),
  };
}

function pairs(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(record(value ?? {})).map(([key, one]) => [key, text(one)]));
}

function record(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new NotConsul('expected an object');
  return { ...value };
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new NotConsul('expected a list');
  return value;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new NotConsul('expected a text');
  return value;
}

function number(value: unknown): number {
  if (typeof value !== 'number') throw new NotConsul('expected a number');
  return value;
}
