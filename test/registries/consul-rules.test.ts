import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { type Instance, sameInstance } from '../../src/mirror/instance.ts';
import { checkEntry, instanceOf, serviceEntry } from '../../src/registries/consul/entry.ts';
import { normaliseFor, type Rules } from '../../src/registries/consul/rules.ts';
import { isLeaseNode, leaseNodeName, leaseShard, nodeName, SHARDS } from '../../src/registries/consul/shards.ts';
import { instances } from './arbitrary-instance.ts';

const rules: Rules = { prefix: '', healthChecks: true, leasesAll: false };

it('what normalise takes is within the rules of Consul, and what Consul holds of it is read back the same', () => {
  fc.assert(
    fc.property(instances('prod'), (instance) => {
      const answer = normaliseFor(rules, instance);
      if (!answer.ok) {
        assert.match(answer.message, /^\S[^\n]{10,400}$/);
        return;
      }
      const entry = serviceEntry(answer.instance);
      assert.match(entry.Service, /^[A-Za-z0-9-]{1,63}$/);
      assert.ok(Object.keys(entry.Meta).length <= 64);
      for (const [key, value] of Object.entries(entry.Meta)) {
        assert.match(key, /^[A-Za-z0-9_-]{1,128}$/);
        assert.ok(Buffer.byteLength(value) <= 512 && !key.startsWith('consul-'));
      }
      assert.ok(entry.Weights.Passing >= 1 && entry.Weights.Passing <= 65_535);

      const wire = JSON.parse(
        JSON.stringify({ entry: { ...entry, ModifyIndex: 1 }, check: checkEntry(answer.instance) }),
      );
      const { liveness } = answer.instance;
      const back = instanceOf(wire.entry, { check: wire.check && { ...wire.check, Node: '' }, liveness });
      assert.ok(sameInstance(back, answer.instance));
    }),
    { numRuns: 1_000 },
  );
});

it('normalise changes nothing but the name by its prefix and metadata keys by their dots and slashes', () => {
  fc.assert(
    fc.property(instances('prod'), (instance) => {
      const answer = normaliseFor({ ...rules, prefix: 'k8s-' }, instance);
      if (!answer.ok) return;
      const { service, metadata, tags, ...rest } = answer.instance;
      const { service: asked, metadata: given, tags: before, ...untouched } = instance;
      assert.deepEqual(rest, untouched);
      assert.equal(service, `k8s-${asked}`);
      assert.deepEqual(tags, [...new Set(before)].sort());
      const rewritten = Object.entries(given).map(([key, value]) => [
        key.replaceAll('.', '-').replaceAll('/', '-'),
        value,
      ]);
      assert.deepEqual(Object.entries(metadata), rewritten);
    }),
  );
});

it('the prefix counts for the length and the form of a name', () => {
  const of = (prefix: string, service: string) => normaliseFor({ ...rules, prefix }, { ...base, service }).ok;
  assert.ok(of('k8s-', 'n'.repeat(59)));
  assert.ok(!of('k8s-', 'n'.repeat(60)));
  assert.ok(!of('k8s.', 'web'));
});

it('without health checks every instance is stored as healthy, and weight 0 is refused for what it would mean', () => {
  const off: Rules = { prefix: '', healthChecks: false, leasesAll: false };
  for (const health of ['healthy', 'draining', 'unhealthy'] as const) {
    const answer = normaliseFor(off, { ...base, health });
    assert.ok(answer.ok);
    assert.equal(answer.instance.health, 'healthy');
    assert.equal(checkEntry(answer.instance), undefined);
  }
  const refused = normaliseFor(off, { ...base, weight: 0 });
  assert.ok(!refused.ok);
  assert.match(refused.message, /healthChecks/);
});

it('the node of a service is a valid name, the same on every call, and never that of another cluster', () => {
  const clusters = fc.oneof(fc.stringMatching(/^[a-z0-9-]{1,60}$/), fc.string({ unit: 'grapheme', minLength: 1 }));
  fc.assert(
    fc.property(clusters, clusters, fc.string(), fc.string(), (one, other, service, second) => {
      const name = nodeName(one, service);
      assert.match(name, /^roster-[a-z0-9-]{1,52}-\d{3}$/);
      assert.ok(name.length <= 63 && Number(name.slice(-3)) < SHARDS);
      assert.equal(nodeName(one, service), name);
      if (one !== other) assert.notEqual(nodeName(other, second), name);
    }),
    {
      numRuns: 1_000,
      examples: [
        ['a', 'a-001', 'x', 'y'],
        ['prod', 'Prod', 'x', 'x'],
        ['prod', 'prod-', 'x', 'x'],
      ],
    },
  );
});

it('a node of leased entries is a valid name too, and none of persistent ones, whatever the cluster is called', () => {
  const clusters = fc.oneof(fc.stringMatching(/^[a-z0-9-]{1,60}$/), fc.string({ unit: 'grapheme', minLength: 1 }));
  const leases = fc.stringMatching(/^[0-9a-f]{8}$/);
  fc.assert(
    fc.property(clusters, leases, fc.string(), (cluster, lease, service) => {
      const name = leaseNodeName(cluster, lease, leaseShard(service));
      assert.match(name, /^roster-[a-z0-9-]{1,45}-[0-9a-f]{8}-l\d\d$/);
      assert.ok(name.length <= 63 && isLeaseNode(name));
      assert.ok(!isLeaseNode(nodeName(name.slice('roster-'.length), service)));
    }),
    { numRuns: 1_000, examples: [['prod-0000000a-l07', '0000000a', 'x']] },
  );
});

it('with a TTL for everything every entry is leased, and lapsing is no wish', () => {
  const answer = normaliseFor({ ...rules, leasesAll: true }, base);
  assert.ok(answer.ok && answer.instance.liveness === 'leased');
  assert.ok(!normaliseFor(rules, { ...base, liveness: 'lapsing' }).ok);
});

it('the shard of a service is fixed: another one would move its entries', () => {
  assert.deepEqual(
    ['web', 'api', 'shop-web-http'].map((service) => nodeName('prod', service)),
    ['roster-prod-052', 'roster-prod-040', 'roster-prod-148'],
  );
});

it('services spread over all shards, none with more than its share twice', () => {
  const counts = new Map<string, number>();
  for (let number = 0; number < 25_600; number++) {
    const node = nodeName('prod', `service-${number}`);
    counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  assert.equal(counts.size, SHARDS);
  assert.ok(Math.max(...counts.values()) < 200);
});

const base: Instance = {
  id: 'prod/shop/web/10.0.0.7:8080',
  service: 'web',
  address: '10.0.0.7',
  port: 8080,
  health: 'healthy',
  liveness: 'persistent',
  weight: 100,
  tags: [],
  metadata: {},
  marks: { cluster: 'prod', owner: 'shop/web', registration: 'ServiceRegistration/shop/web', retained: false },
};
