// What every link that knows calls must do, shown with the adapter of its registry as the client.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { assertOk, failureIn, never, stored } from '../conformance/expectations.ts';
import { deregister, freshCluster, register, sampleOf, update } from '../conformance/samples.ts';
import { until } from '../servers/until.ts';
import type { Call, CallHandler, CallKind, Fate } from './call.ts';
import { type CallLink, openCallLink, type RealRegistry } from './call-link.ts';

export interface LinkedRegistry {
  readonly type: RealRegistry;
  /** What of it, in the names of the tests. */
  readonly by?: string;
  readonly address: string;
  /** A client of the bare adapter. */
  open(address: string): ServiceRegistry;
  /** What a list asks that is no question for entries. */
  readonly beside?: readonly string[];
  /** How a {@link Touch} names it. */
  entryOf(instance: Instance): string;
}

interface Noted {
  readonly call: Call;
  readonly accepted: boolean | undefined;
}

interface Scene {
  readonly client: ServiceRegistry;
  readonly cluster: string;
  readonly link: CallLink;
  /** What became known of calls, in order. */
  readonly noted: readonly Noted[];
  /** Straight from the server. */
  standing(): Promise<readonly Instance[]>;
}

const owner = 'roster/links';

export function callLinkTests(registry: LinkedRegistry): void {
  const { type, by = type, beside = [], entryOf } = registry;

  async function play(handler: Partial<CallHandler>, act: (scene: Scene) => Promise<void>): Promise<void> {
    const noted: Noted[] = [];
    const link = await openCallLink(type, registry.address, {
      async asked(call) {
        noted.push({ call, accepted: undefined });
        return (await handler.asked?.(call)) ?? 'pass';
      },
      async answered(call, accepted) {
        await handler.answered?.(call, accepted);
        noted.push({ call, accepted });
      },
    });
    const client = registry.open(link.address);
    const direct = registry.open(registry.address);
    const cluster = freshCluster();
    try {
      await act({ client, cluster, link, noted, standing: () => direct.list(cluster, never) });
    } finally {
      await client.close();
      await direct.close();
      await link.close();
    }
  }

  /** For the first write. */
  const firstWrite = (fate: Fate | (() => Promise<Fate>)) => ({
    asked: (call: Call) => {
      if (call.kind !== 'write' || call.number !== 1) return 'pass' as const;
      return typeof fate === 'function' ? fate() : fate;
    },
  });

  const standsSoon = ({ standing }: Scene, count: number) =>
    until(`${count} entries`, async () => ((await standing()).length === count ? true : undefined));

  describe(`a link to ${by} that knows calls`, () => {
    it('tells claims, writes and reads apart, and what each write did', () =>
      play({}, async (scene) => {
        const { client, cluster, noted, standing } = scene;
        const [one, two] = [1, 2].map((number) => stored(client, sampleOf(cluster, { number })));
        assert.ok(one !== undefined && two !== undefined);
        const other = stored(client, { ...two, metadata: { team: 'other' } });

        await client.claim({ cluster, owner }, never);
        assert.deepEqual(numbersOf(noted, 'read'), []);
        const claims = takenOf(noted, 'claim');
        assert.deepEqual(
          claims.map(({ number, touches }) => ({ number, touches })),
          [{ number: 1, touches: [] }],
        );
        assert.deepEqual(takenOf(noted, 'write'), []);

        const puts = await touchesOf(noted, async () => assertOk(await client.apply([one, two].map(register), never)));
        assert.deepEqual(puts, [`put ${entryOf(one)}`, `put ${entryOf(two)}`].sort());
        const again = await touchesOf(noted, async () => assertOk(await client.apply([update(other, two)], never)));
        assert.deepEqual(again, [`put ${entryOf(two)}`]);
        const gone = await touchesOf(noted, async () => assertOk(await client.apply([deregister(one)], never)));
        assert.deepEqual(gone, [`remove ${entryOf(one)}`]);
        await standsSoon(scene, 1);
        assert.deepEqual(await standing(), [other]);

        const before = noted.length;
        assert.equal((await client.list(cluster, never)).length, 1);
        const asked = noted.slice(before).map(({ call }) => call);
        assert.ok(asked.some(({ kind }) => kind === 'read'));
        const others = asked.filter(({ kind, name }) => kind !== 'read' && !beside.includes(name));
        assert.deepEqual(others, []);
        for (const kind of ['claim', 'write', 'read', 'other'] as const) {
          const numbers = numbersOf(noted, kind);
          assert.deepEqual(
            numbers,
            numbers.map((_, index) => index + 1),
          );
        }
      }));

    it('sees what was done to leased entries, as to others', () =>
      play({}, async ({ client, cluster, noted }) => {
        if (!client.capabilities.leased) return;
        const service = `${cluster}-leased`;
        const [one, two, three] = [1, 2, 3].map((number) =>
          stored(client, sampleOf(cluster, { number, service, liveness: 'leased' })),
        );
        assert.ok(one !== undefined && two !== undefined && three !== undefined);
        const other = stored(client, { ...two, metadata: { team: 'other' } });
        const puts = await touchesOf(noted, async () => assertOk(await client.apply([one, two].map(register), never)));
        assert.deepEqual(puts, [`put ${entryOf(one)}`, `put ${entryOf(two)}`].sort());
        const changes = [deregister(one), update(other, two), register(three)];
        const changed = await touchesOf(noted, async () => assertOk(await client.apply(changes, never)));
        const expected = [`remove ${entryOf(one)}`, `put ${entryOf(two)}`, `put ${entryOf(three)}`];
        assert.deepEqual(changed, expected.sort());
        const gone = await touchesOf(noted, async () =>
          assertOk(await client.apply([other, three].map(deregister), never)),
        );
        assert.deepEqual(gone, [`remove ${entryOf(two)}`, `remove ${entryOf(three)}`].sort());
      }));

    it('refuses a write: the client hears so, and the server has seen nothing', () =>
      play(firstWrite('refuse'), async (scene) => {
        const { client, cluster, standing } = scene;
        const entry = stored(client, sampleOf(cluster));
        const { code } = failureIn((await client.apply([register(entry)], never))[0]);
        assert.equal(code, 'unreachable');
        assert.deepEqual(await standing(), []);
        assertOk(await client.apply([register(entry)], never));
        await standsSoon(scene, 1);
      }));

    it('loses an answer: the server has done it, and the client cannot know', () =>
      play(firstWrite('lose'), async (scene) => {
        const { client, cluster, noted } = scene;
        const entry = stored(client, sampleOf(cluster));
        const { ambiguous } = failureIn((await client.apply([register(entry)], never))[0]);
        assert.equal(ambiguous, true);
        assert.ok(noted.some(({ call, accepted }) => call.kind === 'write' && accepted === true));
        await standsSoon(scene, 1);
      }));

    it('limits a write: the client is told to come again later, and nothing was written', () =>
      play(firstWrite('limit'), async ({ client, cluster, standing }) => {
        const { code, ambiguous } = failureIn(
          (await client.apply([register(stored(client, sampleOf(cluster)))], never))[0],
        );
        assert.deepEqual({ code, ambiguous }, { code: 'rate-limited', ambiguous: false });
        assert.deepEqual(await standing(), []);
      }));

    it('delays a write, which is done all the same', () =>
      play(firstWrite({ delayMs: 300 }), async (scene) => {
        const { client, cluster } = scene;
        const start = performance.now();
        assertOk(await client.apply([register(stored(client, sampleOf(cluster)))], never));
        assert.ok(performance.now() - start >= 299);
        await standsSoon(scene, 1);
      }));

    it('holds a write until it is released, long after its client is gone', async () => {
      const held = Promise.withResolvers<Fate>();
      const arrived = Promise.withResolvers<void>();
      const handler = firstWrite(() => {
        arrived.resolve();
        return held.promise;
      });
      await play(handler, async (scene) => {
        const { client, cluster, standing } = scene;
        const applied = client.apply([register(stored(client, sampleOf(cluster)))], never);
        const rejected = assert.rejects(applied, { code: 'closed' });
        await arrived.promise;
        await client.close();
        await rejected;
        assert.deepEqual(await standing(), []);
        held.resolve('pass');
        await standsSoon(scene, 1);
      });
    });

    it('keeps an answer back while the server has done it already', async () => {
      const release = Promise.withResolvers<void>();
      const answered = Promise.withResolvers<void>();
      const handler = {
        answered: ({ kind }: Call) => {
          if (kind !== 'write') return undefined;
          answered.resolve();
          return release.promise;
        },
      };
      await play(handler, async (scene) => {
        const { client, cluster } = scene;
        let isTold = false;
        const applied = client.apply([register(stored(client, sampleOf(cluster)))], never).finally(() => {
          isTold = true;
        });
        await answered.promise;
        await standsSoon(scene, 1);
        assert.equal(isTold, false);
        release.resolve();
        assertOk(await applied);
      });
    });

    it('refuses a claim, which can be made again', () => {
      const handler = {
        asked: ({ kind, number }: Call) => (kind === 'claim' && number === 1 ? 'refuse' : 'pass'),
      } as const;
      return play(handler, async ({ client, cluster, noted }) => {
        // Some adapters look whether the record is theirs all the same, and write it again by themselves.
        await client.claim({ cluster, owner }, never).catch(() => client.claim({ cluster, owner }, never));
        assert.deepEqual(numbersOf(noted, 'claim'), [1, 2]);
        assert.equal(takenOf(noted, 'claim').length, 1);
        assertOk(await client.apply([register(stored(client, sampleOf(cluster)))], never));
      });
    });

    it('sees that the server refuses a write of a client that is fenced off', () =>
      play({}, async ({ client, cluster, noted }) => {
        const successor = registry.open(registry.address);
        try {
          await client.claim({ cluster, owner }, never);
          await successor.claim({ cluster, owner }, never);
          if (!client.capabilities.fenced) return;
          const { code } = failureIn((await client.apply([register(stored(client, sampleOf(cluster)))], never))[0]);
          assert.equal(code, 'fenced');
          assert.deepEqual(takenOf(noted, 'write'), []);
          assert.ok(noted.some(({ accepted }) => accepted === false));
        } finally {
          await successor.close();
        }
      }));

    it('breaks connections, and takes new ones', () =>
      play({}, async ({ client, cluster, link }) => {
        assert.deepEqual(await client.list(cluster, never), []);
        link.breakConnections();
        await until('an answer over a new connection', () => client.list(cluster, never).catch(() => undefined));
      }));

    it('tells whoever closes it that the handler failed', async () => {
      const failing = { asked: () => Promise.reject(new Error('a mistake of the test')) };
      const link = await openCallLink(type, registry.address, failing);
      const client = registry.open(link.address);
      await assert.rejects(client.list(freshCluster(), never));
      await client.close();
      await assert.rejects(link.close(), /a mistake of the test/);
    });
  });
}

const takenOf = (noted: readonly Noted[], kind: CallKind): readonly Call[] =>
  noted.filter(({ call, accepted }) => call.kind === kind && accepted === true).map(({ call }) => call);

const numbersOf = (noted: readonly Noted[], kind: CallKind): readonly number[] =>
  noted.filter(({ call, accepted }) => call.kind === kind && accepted === undefined).map(({ call }) => call.number);

/** What was done to entries meanwhile, as text. */
async function touchesOf(noted: readonly Noted[], act: () => Promise<void>): Promise<readonly string[]> {
  const before = takenOf(noted, 'write').length;
  await act();
  const calls = takenOf(noted, 'write').slice(before);
  return calls.flatMap(({ touches }) => touches.map(({ does, entry }) => `${does} ${entry}`)).sort();
}
