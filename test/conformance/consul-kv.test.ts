// Key-value pairs on a real Consul, looked at through the client that its users have.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import ConsulClient from 'consul';
import { sharedConsul } from '../servers/shared.ts';
import { consulHarness } from './consul-harness.ts';
import { failureOf, never, using } from './expectations.ts';
import { freshCluster } from './samples.ts';
import { watching } from './watching.ts';

const server = await sharedConsul();
const harness = await consulHarness(server);
const raw = new ConsulClient({ host: '127.0.0.1', port: Number(new URL(server.address).port) });

describe('key-value pairs', () => {
  const texts = ['', 'plain', '{"a":1}', ' \u0000\u0001\n\r\t"\\/<>&', 'é\u{1f600}\u2028', 'x'.repeat(500_000)];
  const keys = ['routes', 'a/b c?d#e&é', 'a%2fb', ' x', '__proto__', '[fd00::7]:80', 'ключ\u{1f600}', 'k'.repeat(512)];

  it('stand where users look, and come back as they went', () =>
    using(harness.open, async ({ kv }) => {
      const service = `${freshCluster()}-web`;
      for (const text of texts) {
        for (const key of keys) {
          await kv.put(service, key, text, never);
          assert.equal(await kv.get(service, key, never), text);
          const found = await raw.kv.get(`roster/${service}/${key}`);
          assert.equal(found?.Value ?? '', text);
        }
      }
      const standing = (await raw.kv.keys(`roster/${service}/`)) as string[];
      assert.deepEqual(standing.sort(), keys.map((key) => `roster/${service}/${key}`).sort());
      await kv.put(service, 'routes', undefined, never);
      await kv.put(service, 'routes', undefined, never);
      assert.equal(await kv.get(service, 'routes', never), undefined);
      await raw.kv.del({ key: `roster/${service}/`, recurse: true });
    }));

  it('are watched one by one, whoever writes them', () =>
    using(harness.open, async ({ kv }) => {
      const service = `${freshCluster()}-web`;
      const watch = await watching((onHint, signal) => kv.watch(service, 'key', onHint, signal));
      await kv.put(service, 'key', '1', never);
      await watch.reach(2);
      await raw.kv.set(`roster/${service}/key`, '2');
      await watch.reach(3);
      await kv.put(service, 'key-2', '1', never);
      await kv.put(service, 'key', undefined, never);
      await watch.reach(4);
      await delay(300);
      assert.equal(watch.hints(), 4);
      watch.abort();
      assert.equal((await watch.ended).code, 'aborted');
      await raw.kv.del({ key: `roster/${service}/`, recurse: true });
    }));

  const elsewhere = ['', '/a', 'a//b', 'a/', '.', '../other', 'a/./b', '%2e%2e/other'];
  const unreadable = ['\ud83d', 'a\u0000', 'a\nb', 'a\u2028b', 'a\u00a0b', 'a ', 'a%20b'];
  const refused = [...elsewhere, ...unreadable];

  it('that Consul would not take, or would put elsewhere, are refused', () =>
    using(harness.open, async ({ kv }) => {
      const service = `${freshCluster()}-web`;
      const tooLarge = await failureOf(kv.put(service, 'key', 'x'.repeat(512 * 1_024 + 1), never));
      assert.deepEqual([tooLarge.code, tooLarge.ambiguous], ['too-large', false]);
      for (const key of refused) {
        assert.equal((await failureOf(kv.put(service, key, 'x', never))).code, 'invalid');
        assert.equal((await failureOf(kv.get(service, key, never))).code, 'invalid');
        assert.equal((await failureOf(kv.watch(service, key, () => {}, never))).code, 'invalid');
      }
      for (const name of ['', '..', 'a/b']) assert.equal((await failureOf(kv.get(name, 'a', never))).code, 'invalid');
      assert.equal((await failureOf(kv.put(service, 'key', '\ud83d', never))).code, 'invalid');
      assert.deepEqual(await raw.kv.get(`roster/${service}/key`), undefined);
    }));

  it('end with their client and their signal like everything else', async () => {
    const registry = harness.open();
    const { kv } = registry;
    assert.equal((await failureOf(kv.get('web', 'key', AbortSignal.abort()))).code, 'aborted');
    await registry.close();
    for (const call of [
      kv.get('web', 'key', never),
      kv.put('web', 'key', 'x', never),
      kv.watch('web', 'key', () => {}, never),
    ])
      assert.equal((await failureOf(call)).code, 'closed');
  });
});
