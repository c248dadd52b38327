import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { RegistryObject, RegistryStatus } from '../../src/api/kinds.generated.ts';
import { type RegistryFacts, registryStatus } from '../../src/mirror/registry-status.ts';
import { brokenRules, kstatus } from './condition-rules.ts';
import { clusterRegistry, NOW, registry } from './objects.ts';

const LATER = '2026-02-01T00:05:00Z';
const UP = { state: 'up', version: '1.22.3' } as const;

const facts = (changes: Partial<RegistryFacts> = {}): RegistryFacts => ({
  registry: clusterRegistry(),
  link: UP,
  owned: 5,
  now: NOW,
  ...changes,
});

function told(changes: Partial<RegistryFacts>): Readonly<Record<string, string>> {
  const given = facts(changes);
  const status = registryStatus(given);
  assert.deepEqual(brokenRules({ ...given.registry, status }), []);
  return Object.fromEntries((status.conditions ?? []).map(({ type, status, reason }) => [type, `${status} ${reason}`]));
}

describe('the conditions of a registry', () => {
  const down = (needs?: 'Unauthorized' | 'AddressNotAllowed') =>
    ({ state: 'down', message: 'it says no', ...(needs !== undefined && { needs }) }) as const;
  const problem = { reason: 'SecretNotFound', message: 'create the Secret' } as const;
  const rows: readonly [name: string, changes: Partial<RegistryFacts>, conditions: Readonly<Record<string, string>>][] =
    [
      ['it answers', {}, { Ready: 'True Ready', Reachable: 'True Reachable' }],
      [
        'it was not asked yet',
        { link: { state: 'opening' } },
        { Ready: 'Unknown Progressing', Reconciling: 'True Progressing', Reachable: 'Unknown Progressing' },
      ],
      [
        'it does not answer',
        { link: down() },
        {
          Ready: 'Unknown RegistryUnreachable',
          Reconciling: 'True RegistryUnreachable',
          Reachable: 'False RegistryUnreachable',
        },
      ],
      [
        'it does not take our credentials',
        { link: down('Unauthorized') },
        { Ready: 'False Unauthorized', Stalled: 'True Unauthorized', Reachable: 'False Unauthorized' },
      ],
      [
        'it may not be reached where it is',
        { link: down('AddressNotAllowed') },
        {
          Ready: 'False AddressNotAllowed',
          Stalled: 'True AddressNotAllowed',
          Reachable: 'False AddressNotAllowed',
        },
      ],
      [
        'another operator writes there',
        { link: { state: 'contested', reason: 'OwnedByAnother', message: 'another one writes here', owner: 'other' } },
        { Ready: 'False OwnedByAnother', Stalled: 'True OwnedByAnother', Reachable: 'True Reachable' },
      ],
      [
        'it cannot be configured so',
        { problem, link: { state: 'opening' } },
        { Ready: 'False SecretNotFound', Stalled: 'True SecretNotFound', Reachable: 'Unknown Progressing' },
      ],
      [
        'it cannot be configured so any more, and answers',
        { problem },
        { Ready: 'False SecretNotFound', Stalled: 'True SecretNotFound', Reachable: 'True Reachable' },
      ],
    ];
  for (const [name, changes, expected] of rows) it(`when ${name}`, () => assert.deepEqual(told(changes), expected));
});

describe('the status of a registry', () => {
  it('has its version and our entries', () => {
    const { server, instances } = registryStatus(facts());
    assert.deepEqual([server, instances], [{ version: '1.22.3' }, { owned: 5 }]);
  });

  it('does not invent numbers while they are unknown', () => {
    const { owned: _, ...unknown } = facts({ link: { state: 'opening' } });
    assert.equal('instances' in registryStatus(unknown), false);
  });

  it('remembers the version that last answered', () => {
    const before: RegistryStatus = { observedGeneration: 1, server: { version: '1.20.0' } };
    const status = registryStatus(
      facts({ registry: { ...clusterRegistry(), status: before }, link: { state: 'opening' } }),
    );
    assert.deepEqual(status.server, { version: '1.20.0' });
  });

  const anyFacts = fc
    .record({
      object: fc.constantFrom<RegistryObject>(clusterRegistry(), registry(), clusterRegistry({}, { generation: 7 })),
      problem: fc.option(
        fc.constantFrom(
          { reason: 'SecretNotFound' as const, message: 'create it' },
          { reason: 'NotYetSupported' as const, message: 'not yet' },
        ),
        { nil: undefined },
      ),
      link: fc.constantFrom<RegistryFacts['link']>(
        { state: 'opening' },
        UP,
        { state: 'up', version: '2' },
        { state: 'down', message: 'no route' },
        { state: 'down', message: 'denied', needs: 'Unauthorized' },
        { state: 'down', message: 'not there', needs: 'AddressNotAllowed' },
      ),
      owned: fc.option(fc.nat(9), { nil: undefined }),
    })
    .map(
      ({ object, problem, owned, link }): RegistryFacts => ({
        registry: object,
        link,
        now: NOW,
        ...(problem === undefined ? {} : { problem }),
        ...(owned === undefined ? {} : { owned }),
      }),
    );

  it('keeps the rules, whatever is known, and so after any other', () => {
    fc.assert(
      fc.property(fc.array(anyFacts, { minLength: 1, maxLength: 4 }), (sequence) => {
        let status: RegistryStatus | undefined;
        let previous: unknown;
        sequence.forEach((given, index) => {
          const object = {
            ...clusterRegistry({}, { generation: 1 + index }),
            ...(status === undefined ? {} : { status }),
          };
          const now = new Date(Date.parse(NOW) + index * 1_000).toISOString().replace(/\.\d+Z$/, 'Z');
          status = registryStatus({ ...given, registry: object, now });
          const written = { ...object, status };
          assert.deepEqual(brokenRules(written, { previous }), []);
          previous = written;
        });
      }),
      { numRuns: 300 },
    );
  });

  it('is the same for the same facts at another time, so nothing is written', () => {
    fc.assert(
      fc.property(anyFacts, (given) => {
        const status = registryStatus(given);
        assert.deepEqual(registryStatus({ ...given, registry: { ...given.registry, status }, now: LATER }), status);
      }),
    );
  });

  it('is read by kstatus as Current only when it is Ready', () => {
    fc.assert(
      fc.property(anyFacts, (given) => {
        const status = registryStatus(given);
        const isReady = status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
        assert.equal(kstatus({ ...given.registry, status }) === 'Current', isReady);
      }),
    );
  });
});
