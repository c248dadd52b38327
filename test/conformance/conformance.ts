import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { type Clock, systemClock } from '../../src/clock.ts';
import { withLayers } from '../../src/registries/layers/layers.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { never, using } from './expectations.ts';
import { ambiguity } from './groups/ambiguity.ts';
import { cancellation } from './groups/cancellation.ts';
import { concurrency } from './groups/concurrency.ts';
import { convergence } from './groups/convergence.ts';
import { drift } from './groups/drift.ts';
import { faults } from './groups/faults.ts';
import { fencing } from './groups/fencing.ts';
import { honesty } from './groups/honesty.ts';
import { idempotence } from './groups/idempotence.ts';
import { keyValues } from './groups/key-values.ts';
import { leases } from './groups/leases.ts';
import { lifecycle } from './groups/lifecycle.ts';
import { ownership } from './groups/ownership.ts';
import { partialFailure } from './groups/partial-failure.ts';
import { roundTrip } from './groups/round-trip.ts';
import { size } from './groups/size.ts';
import { watches } from './groups/watches.ts';
import type { Collect, Group, Harness, Subject } from './harness.ts';
import { clustersToSweep, notingClusters } from './samples.ts';
import { readPage, SHOWN_IN, type Support, type SupportedRegistry } from './support-page.ts';

export const GROUPS = {
  'round trip': [roundTrip, keyValues],
  idempotence: [idempotence],
  convergence: [convergence],
  ownership: [ownership],
  fencing: [fencing],
  'partial failure': [partialFailure],
  ambiguity: [ambiguity],
  cancellation: [cancellation],
  faults: [faults],
  lifecycle: [lifecycle, leases],
  drift: [drift, watches],
  honesty: [honesty],
  size: [size],
  concurrency: [concurrency],
} satisfies Record<string, readonly Group[]>;

export type GroupName = keyof typeof GROUPS;

const ALL_GROUPS = Object.keys(GROUPS) as readonly GroupName[];

/**
 * Groups whose tests run beside each other, since they wait for the server most of the time: none of them disturbs a connection, or counts hints,
 * which others' entries may give too.
 */
const SIDE_BY_SIDE: ReadonlySet<GroupName> = new Set([
  'round trip',
  'idempotence',
  'convergence',
  'ownership',
  'partial failure',
  'honesty',
]);
const WIDTH = 6;

const FORMS = {
  bare: (harness: Harness) => harness,
  'inside its layers': (harness: Harness) => dressed(harness, (client) => layered(client, harness.name)),
};

interface Choice {
  readonly groups?: readonly GroupName[];
  readonly forms?: readonly (keyof typeof FORMS)[];
  /** The column of the support matrix that must say what is shown here. */
  readonly support?: SupportedRegistry;
}

/** The contract of `ServiceRegistry`, sentence by sentence, on one registry: bare, and as the operator uses it. */
export function registryConformance(
  harness: Harness,
  { groups = ALL_GROUPS, forms = ['bare', 'inside its layers'], support }: Choice = {},
): void {
  const tested = new Set<GroupName>();
  for (const form of forms) {
    describe(`${harness.name}, ${form}`, () => {
      const dressed = FORMS[form](harness);
      const client = dressed.open();
      after(() => client.close());
      const { capabilities } = client;
      const subject: Subject = { ...dressed, capabilities, told: form === 'bare' ? undefined : harness.name };
      for (const name of groups) {
        const collect: Collect = (title, test) => {
          tested.add(name);
          // Where a failure is told, often nothing but the name of the test is.
          return it(`${harness.name}, ${form}: ${title}`, async (context) => {
            const clusters: string[] = [];
            context.after(() => sweepAll(harness, clusters));
            await notingClusters(clusters, test);
          });
        };
        describe(name, { concurrency: SIDE_BY_SIDE.has(name) ? WIDTH : 1 }, () => {
          for (const group of GROUPS[name]) group(subject, collect);
        });
      }
    });
  }
  it(`${harness.name}: what it claims, and what was tested`, (context) => summary(harness, tested, support, context));
}

/** What a registry does not claim is told, and whatever it does is held against what README.md says of it. */
async function summary(
  harness: Harness,
  tested: ReadonlySet<GroupName>,
  support: SupportedRegistry | undefined,
  context: TestContext,
): Promise<void> {
  await using(harness.open, async (registry) => {
    const { leased, watch, kv, fenced } = registry.capabilities;
    const { version } = await registry.check(never);
    const shown: Support = {
      server: version,
      claims: { leased, watch, kv, fenced },
      groups: ALL_GROUPS.filter((name) => tested.has(name)),
    };
    const unclaimed = Object.entries(shown.claims).flatMap(([claim, isMade]) => (isMade ? [] : [claim]));
    const untested = ALL_GROUPS.filter((name) => !tested.has(name));
    context.diagnostic(
      `${harness.name}: not claimed: ${unclaimed.join(', ') || 'nothing'}; without tests: ${untested.join(', ') || 'nothing'}`,
    );
    if (support === undefined) return;
    const directory = process.env[SHOWN_IN];
    if (directory !== undefined) writeFileSync(join(directory, `${support}.json`), JSON.stringify(shown));
    else
      assert.deepEqual(
        shown,
        readPage()[support],
        `docs/support.json is stale: run \`make conformance REGISTRY=${support.toLowerCase()}\` and commit the result`,
      );
  });
}

/** A server shared with other files must not grow with every test. */
export const sweepAfter = (harness: Harness): Promise<void> => sweepAll(harness, clustersToSweep());

async function sweepAll(harness: Harness, clusters: readonly string[]): Promise<void> {
  for (const cluster of clusters) await harness.sweep(cluster);
}

/** With something around every client that the suite gets. */
export function dressed(harness: Harness, dress: (client: ServiceRegistry) => ServiceRegistry): Harness {
  const { open, openWith, link, faults: bareFaults, leasing } = harness;
  return {
    ...harness,
    open: () => dress(open()),
    ...(openWith !== undefined && { openWith: (secret: string) => dress(openWith(secret)) }),
    link: link === undefined ? undefined : { ...link, open: () => dress(link.open()) },
    faults: bareFaults.map((fault) => ({
      ...fault,
      open: async () => {
        const opened = await fault.open();
        return { ...opened, registry: dress(opened.registry) };
      },
    })),
    ...(leasing !== undefined && { leasing: { ...leasing, open: () => dress(leasing.open()) } }),
  };
}

/** As `createRegistry` does it, with deadlines so long that no test meets them: the faults of the suite are the adapter's to tell. */
const layered = (adapter: ServiceRegistry, type: string): ServiceRegistry =>
  withLayers(adapter, {
    clock: hasty,
    deadlines: { batchMs: 60_000 * HASTE, listMs: 60_000 * HASTE, discoverMs: 60_000 * HASTE, checkMs: 60_000 * HASTE },
    context: { type },
    retry: Math.random,
    maxInFlight: 16,
    observe: () => {},
  });

/** What waits for another try waits a hundredth as long. */
const HASTE = 100;
const hasty: Clock = { now: systemClock.now, setTimer: (ms, fire) => systemClock.setTimer(ms / HASTE, fire) };
