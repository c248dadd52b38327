// What a scenario comes to in one registry. Scenarios are in no registry's words: what differs between registries is predicted by what the
// adapter says of itself (`normalise`, `capabilities`), and by nothing else.
import assert from 'node:assert/strict';
import type { Instance } from '../../src/mirror/instance.ts';
import { instanceId } from '../../src/mirror/naming.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import type { Json, Target } from '../e2e/kube.ts';
import type { ExpectedEntry, ExpectedStatus, Step } from './scenario-file.ts';

export type Rules = Pick<ServiceRegistry, 'normalise' | 'capabilities'>;

/** What must be seen after a step, and nothing else. */
export interface Expected {
  readonly entries: readonly ExpectedEntry[];
  readonly statuses: readonly ExpectedStatus[];
}

/** For each step. What the registry does not take is refused with the registration that asks for it, and what stood of it before stays. */
export function expectations(steps: readonly Step[], rules: Rules): readonly Expected[] {
  let standing: readonly ExpectedEntry[] = [];
  return steps.map(({ entries, statuses }) => {
    const judged = entries.map((entry) => ({ entry, stored: asStored(entry, rules) }));
    const refused = new Set(judged.flatMap(({ entry, stored }) => (stored === undefined ? [cause(entry)] : [])));
    standing = [
      ...standing.filter((entry) => refused.has(cause(entry))),
      ...judged.flatMap(({ entry, stored }) => (stored === undefined || refused.has(cause(entry)) ? [] : [stored])),
    ];
    const registrations = new Set([...refused].map((one) => one.slice(one.indexOf(' ') + 1)));
    return {
      entries: standing,
      statuses: statuses.map((status) =>
        registrations.has(idOf(status.target)) ? refusal(status) : inWordsOf(rules, status),
      ),
    };
  });
}

/** Who asks for an entry, and for which Service: what is refused of it is refused as a whole. */
const cause = ({ owner, registration }: ExpectedEntry): string => `${owner} ${registration}`;

function asStored(entry: ExpectedEntry, { normalise, capabilities }: Rules): ExpectedEntry | undefined {
  if (entry.liveness === 'leased' && !capabilities.leased) return undefined;
  const stored = normalise(instanceOf(entry));
  return stored.ok ? shown(stored.instance) : undefined;
}

function instanceOf({ owner, registration, retained, ...rest }: ExpectedEntry): Instance {
  const id = instanceId('any', owner, rest.address, rest.port);
  return { id, ...rest, marks: { cluster: 'any', owner, registration, retained } };
}

const shown = ({ id: _, marks: { cluster: __, ...marks }, ...rest }: Instance): ExpectedEntry => ({
  ...rest,
  ...marks,
});

const idOf = ({ kind, namespace, name }: Target): string =>
  namespace === undefined ? `${kind}/${name}` : `${kind}/${namespace}/${name}`;

const refusal = ({ target }: ExpectedStatus): ExpectedStatus => ({
  target,
  conditions: {
    Ready: 'False InvalidSpec',
    Accepted: 'False InvalidSpec',
    Stalled: 'True InvalidSpec',
    Reconciling: undefined,
  },
  names: [],
  failures: ['NameNotAllowed'],
});

/** Names as they stand in the registry. */
function inWordsOf(rules: Rules, status: ExpectedStatus): ExpectedStatus {
  if (status.names === undefined) return status;
  const names = status.names.flatMap((service) => asStored({ ...ANY, service }, rules)?.service ?? []);
  return { ...status, names: names.sort() };
}

const ANY: ExpectedEntry = {
  owner: 'any/any',
  registration: 'ServiceRegistration/any/any',
  retained: false,
  service: 'any',
  address: '192.0.2.1',
  port: 1,
  health: 'healthy',
  liveness: 'persistent',
  weight: 100,
  tags: [],
  metadata: {},
};

/** Asserts that exactly this stands, and that the objects say so. */
export function assertExpected(
  { entries, statuses }: Expected,
  standing: readonly Instance[],
  objects: ReadonlyMap<Target, Json | undefined>,
): void {
  assert.deepEqual(standing.map(shown).map(sorted).sort(byPlace), entries.map(sorted).toSorted(byPlace));
  for (const status of statuses) {
    const { target, ...rest } = status;
    const told = toldBy(objects.get(target), status);
    const { failures, names } = rest;
    const expected = {
      ...rest,
      ...(names && { names: names.toSorted() }),
      ...(failures && { failures: failures.toSorted() }),
      isCurrent: true,
    };
    assert.deepEqual(told, expected, difference(idOf(target), told, expected));
  }
}

/** As much of the status as is expected of it. */
function toldBy(object: Json | undefined, { target: _, conditions, ...rest }: ExpectedStatus): object {
  const { status, metadata } = object ?? {};
  const condition = (type: string) => {
    const found = status?.conditions?.find((one: Json) => one.type === type);
    return found === undefined ? undefined : `${found.status} ${found.reason}`;
  };
  const fields = Object.keys(rest).map((field) => {
    const value = status?.[field];
    return [field, field === 'failures' ? value?.map(({ code }: Json) => code).sort() : value] as const;
  });
  return {
    conditions: Object.fromEntries(Object.keys(conditions).map((type) => [type, condition(type)])),
    ...Object.fromEntries(fields),
    isCurrent: status !== undefined && status.observedGeneration === metadata?.generation,
  };
}

function difference(of: string, told: object, expected: object): string {
  const text = (value: object) => JSON.stringify(value, undefined, 1);
  return `the status of ${of} is\n${text(told)}\nwhere this is expected\n${text(expected)}`;
}

const sorted = (entry: ExpectedEntry): ExpectedEntry => ({
  ...entry,
  tags: entry.tags.toSorted(),
  metadata: Object.fromEntries(Object.entries(entry.metadata).sort(([a], [b]) => (a < b ? -1 : 1))),
});

const place = ({ owner, address, port, service }: ExpectedEntry): string => `${owner} ${address} ${port} ${service}`;
const byPlace = (a: ExpectedEntry, b: ExpectedEntry): number => (place(a) < place(b) ? -1 : 1);
