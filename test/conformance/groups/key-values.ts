import assert from 'node:assert/strict';
import type { KeyValue } from '../../../src/registries/registry.ts';
import { assertSame, failureOf, never, using } from '../expectations.ts';
import type { Collect, Subject } from '../harness.ts';
import { freshCluster } from '../samples.ts';
import { watching } from '../watching.ts';
import { following } from './following.ts';

/** Text beside the instances of a service, where it is claimed. */
export function keyValues({ capabilities, open }: Subject, it: Collect): void {
  if (!capabilities.kv) return;

  it('a value comes back as it went, to every client, until it is replaced or removed', () =>
    withKeys(open, async ({ kv, service, put }) => {
      assert.equal(await kv.get(service, 'key', never), undefined);
      for (const value of [
        'value',
        '',
        ' "\\\n\u0000\u2028\u{1f600}',
        JSON.stringify({ a: ['1'] }),
        'x'.repeat(20_000),
      ]) {
        await put('key', value);
        assert.equal(await kv.get(service, 'key', never), value);
        await using(open, async (other) => assert.equal(await other.kv.get(service, 'key', never), value));
      }
      await put('key', undefined);
      assert.equal(await kv.get(service, 'key', never), undefined);
      await put('key', undefined);
    }));

  it('a key is one of its service alone, and whatever is in it is either kept or refused', () =>
    withKeys(open, async ({ kv, service, put }) => {
      const keys = [
        'key',
        'KEY',
        'key/below',
        'a b',
        'a.b',
        'a%2Fb',
        'κλειδί',
        '__proto__',
        '../key',
        'k'.repeat(200),
        '',
      ];
      const kept = new Map<string, string>();
      for (const key of keys) {
        try {
          await put(key, `of ${key}`);
          kept.set(key, `of ${key}`);
        } catch (error) {
          assert.match((await failureOf(Promise.reject(error))).code, /^(invalid|too-large)$/);
        }
      }
      assert.ok(kept.has('key'));
      for (const [key, value] of kept) {
        assert.equal(await kv.get(service, key, never), value);
        assert.equal(await kv.get(`${service}-2`, key, never), undefined);
      }
    }));

  it('pairs make no instance of their service', () =>
    withKeys(open, async ({ registry, service, put }) => {
      await put('key', 'value');
      assertSame(await registry.discover(service, never), []);
    }));

  it('who watches a key, and reads after each hint alone, misses no change of it, whoever makes it', () =>
    withKeys(open, async ({ kv, service, put }) => {
      const watch = (onHint: () => void, signal: AbortSignal) => kv.watch(service, 'key', onHint, signal);
      const view = await following(watch, async () => (await kv.get(service, 'key', never)) ?? 'none');
      await view.reach('none');
      await put('key', 'own');
      await view.reach('own');
      await using(open, (other) => other.kv.put(service, 'key', 'theirs', never));
      await view.reach('theirs');
      await put('key', undefined);
      await view.reach('none');
      view.abort();
      assert.equal((await view.ended).code, 'aborted');
    }));

  it('a watch of a key rejects with closed, and gives no hint any more', () =>
    withKeys(open, async ({ service, put, kv }) => {
      const other = open();
      const ending = await watching((onHint, signal) => other.kv.watch(service, 'key', onHint, signal));
      await other.close();
      assert.equal((await ending.ended).code, 'closed');
      const hints = ending.hints();
      const watch = (onHint: () => void, signal: AbortSignal) => kv.watch(service, 'key', onHint, signal);
      const witness = await following(watch, () => kv.get(service, 'key', never));
      await put('key', 'value');
      await witness.reach('value');
      assert.equal(ending.hints(), hints);
    }));
}

interface Keys {
  readonly registry: ReturnType<Subject['open']>;
  readonly kv: KeyValue;
  readonly service: string;
  /** Whatever it puts is removed after the test. */
  put(key: string, value: string | undefined): Promise<void>;
}

const withKeys = (open: Subject['open'], test: (keys: Keys) => Promise<void>): Promise<void> =>
  using(open, async (registry) => {
    const service = `${freshCluster()}-web`;
    const { kv } = registry;
    const written = new Set<string>();
    const put = async (key: string, value: string | undefined) => {
      await kv.put(service, key, value, never);
      written.add(key);
    };
    try {
      await test({ registry, kv, service, put });
    } finally {
      for (const key of written) await kv.put(service, key, undefined, never);
    }
  });
