import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Etcd3, IRangeRequest, IRangeResponse } from 'etcd3';
import { RegistryError } from '../../src/registries/error.ts';
import type { Call, EtcdClient } from '../../src/registries/etcd/client.ts';
import { createEntries } from '../../src/registries/etcd/entries.ts';
import { failureOf } from '../../src/registries/etcd/failure.ts';
import { goZeroLayout } from '../../src/registries/etcd/layouts/go-zero.ts';
import { readOwned } from '../../src/registries/etcd/read.ts';

const entries = createEntries('/services', goZeroLayout('/services'));
const never = new AbortController().signal;
const isHeld = () => false;

/** A server that answers ranges by this function, and its revision, which moves with every request. */
function serverWith(answer: (request: IRangeRequest, nth: number) => { keys: string[]; more?: boolean } | string) {
  const asked: IRangeRequest[] = [];
  const range = async (request: IRangeRequest): Promise<Partial<IRangeResponse>> => {
    asked.push(request);
    const answered = answer(request, asked.length);
    if (typeof answered === 'string') {
      const failed = { operation: 'list', writes: false, origin: 'http://127.0.0.1:2379' };
      throw failureOf({ code: 11, details: answered }, failed);
    }
    const kvs = answered.keys.map((key) => ({
      key: Buffer.from(key),
      value: Buffer.from('text'),
      mod_revision: '5',
      create_revision: '5',
      version: '1',
      lease: '0',
    }));
    const header = { cluster_id: '1', member_id: '1', revision: String(100 + asked.length), raft_term: '1' };
    return { header, kvs, more: answered.more ?? false };
  };
  const client: EtcdClient = {
    call: <T>(call: Call<T>) => call.send({ kv: { range } } as unknown as Etcd3, {}),
    assertUsable: () => {},
    close: () => {},
  };
  return { client, asked };
}

it('all pages of all ranges are of the revision of the first one, and each begins behind the last key of the one before', async () => {
  const { client, asked } = serverWith((_, nth) =>
    nth < 3 ? { keys: [`/services/k${nth}`], more: true } : { keys: [] },
  );
  await readOwned(client, entries, 'prod', isHeld, never);
  assert.deepEqual(
    asked.map(({ revision }) => revision),
    [undefined, '101', '101', '101', '101'],
  );
  assert.deepEqual(
    asked.slice(0, 3).map(({ key }) => key?.toString()),
    ['/services/', '/services/k1\0', '/services/k2\0'],
  );
  assert.ok(asked.every(({ limit }) => Number(limit) === 1_000));
});

it('a list begins again when the history that it reads is compacted, and says so when that goes on', async () => {
  const compacted = 'etcdserver: mvcc: required revision has been compacted';
  const once = serverWith((_, nth) => (nth === 2 ? compacted : { keys: [`/services/k${nth}`], more: nth === 1 }));
  await readOwned(once.client, entries, 'prod', isHeld, never);
  assert.deepEqual(
    once.asked.map(({ revision }) => revision),
    [undefined, '101', undefined, '103', '103'],
  );

  const always = serverWith(({ revision }) =>
    revision === undefined ? { keys: ['/services/k'], more: true } : compacted,
  );
  await assert.rejects(
    readOwned(always.client, entries, 'prod', isHeld, never),
    (error) => error instanceof RegistryError && error.code === 'conflict' && /compact/.test(error.message),
  );
  assert.equal(always.asked.length, 6);
});

it('pages become smaller until the answers fit, and a value that never fits is told', async () => {
  const tooLarge = 'Received message larger than max (20000000 vs 16777216)';
  const some = serverWith(({ limit }) => (Number(limit) > 20 ? tooLarge : { keys: [] }));
  await readOwned(some.client, entries, 'prod', isHeld, never);
  assert.deepEqual(
    some.asked.slice(0, 4).map(({ limit }) => limit),
    [1_000, 250, 63, 16],
  );
  const none = serverWith(() => tooLarge);
  await assert.rejects(
    readOwned(none.client, entries, 'prod', isHeld, never),
    (error) => error instanceof RegistryError && error.code === 'too-large',
  );
});
