// What of a claim no server can be made to show: the moment between two batches of one apply.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createApply as createConsulApply } from '../../src/registries/consul/apply.ts';
import type { Guard as ConsulGuard } from '../../src/registries/consul/claims.ts';
import type { ConsulClient } from '../../src/registries/consul/client.ts';
import { createStanding as createConsulStanding } from '../../src/registries/consul/standing.ts';
import { createApply as createEtcdApply } from '../../src/registries/etcd/apply.ts';
import type { Guard as EtcdGuard } from '../../src/registries/etcd/claims.ts';
import type { EtcdClient } from '../../src/registries/etcd/client.ts';
import { createEntries } from '../../src/registries/etcd/entries.ts';
import { rosterLayout } from '../../src/registries/etcd/layouts/roster.ts';
import { openLeases } from '../../src/registries/etcd/leases.ts';
import { createOwnWrites } from '../../src/registries/etcd/own-writes.ts';
import { createStanding as createEtcdStanding } from '../../src/registries/etcd/standing.ts';
import { register, samplesOf } from '../conformance/samples.ts';

const never = new AbortController().signal;
const changes = samplesOf('prod', 1_000).map(register);

it('Consul: all batches of an apply are compared with what was claimed when it was called', async () => {
  const compared: unknown[] = [];
  let guard = consulGuard('term 1');
  const client = {
    assertUsable() {},
    close() {},
    async call({ send, read }, _signal, _refused) {
      const transaction = {
        async create([first]: readonly unknown[]) {
          compared.push(first);
          guard = consulGuard('term 2');
        },
      };
      // The rest of the package is not asked for.
      await send({ transaction } as never, {} as never);
      return read({ Results: [] }, 0);
    },
  } satisfies ConsulClient;
  const standing = createConsulStanding();
  const apply = createConsulApply({
    client,
    tenant: {},
    leases: { hold: () => assert.fail('nothing is leased'), doubt() {} },
    claims: { guardOf: () => guard },
    standingOf: () => standing,
    async assertTenant() {},
  });
  const results = await apply(changes, never);
  assert.ok(results.every(({ ok }) => ok) && compared.length >= 8);
  assert.deepEqual(
    new Set(compared.map((one) => JSON.stringify(one))),
    new Set([JSON.stringify(consulGuard('term 1').operation)]),
  );
});

it('etcd: all batches of an apply are compared with what was claimed when it was called', async () => {
  const compared: string[] = [];
  let guard = etcdGuard('us 1');
  const client = {
    assertUsable() {},
    close() {},
    call({ send }) {
      const kv = {
        async txn({ compare: [first] }: { compare: readonly { readonly value?: Buffer }[] }) {
          compared.push(String(first?.value));
          guard = etcdGuard('us 2');
          return { succeeded: true, header: { revision: '7' }, responses: [] };
        },
      };
      // The rest of the package is not asked for.
      return send({ kv } as never, {});
    },
  } satisfies EtcdClient;
  const standing = createEtcdStanding();
  const apply = createEtcdApply({
    client,
    entries: createEntries('/services', rosterLayout('/services')),
    leases: openLeases(client, 60_000),
    claims: { guardOf: () => guard },
    own: createOwnWrites(),
    standingOf: () => standing,
  });
  const results = await apply(changes, never);
  assert.ok(results.every(({ ok }) => ok) && compared.length >= 8);
  assert.deepEqual(new Set(compared), new Set(['us 1']));
});

const consulGuard = (CheckID: string): ConsulGuard => ({
  cluster: 'prod',
  operation: { Check: { Verb: 'get', Check: { Node: 'roster-prod-claim', CheckID } } },
});

const etcdGuard = (value: string): EtcdGuard => ({ cluster: 'prod', key: '/services/.owner/prod', value });
