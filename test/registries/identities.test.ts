// Clusters that share a registry: no two instances have one identity there, and what bears the mark of another cluster is not touched.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { Change } from '../../src/mirror/change.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import { instanceId } from '../../src/mirror/naming.ts';
import { checkEntry, serviceEntry } from '../../src/registries/consul/entry.ts';
import { nodeName } from '../../src/registries/consul/shards.ts';
import { createEntries } from '../../src/registries/etcd/entries.ts';
import { goMicroLayout } from '../../src/registries/etcd/layouts/go-micro.ts';
import { goZeroLayout } from '../../src/registries/etcd/layouts/go-zero.ts';
import { grpcLayout } from '../../src/registries/etcd/layouts/grpc.ts';
import { kratosLayout } from '../../src/registries/etcd/layouts/kratos.ts';
import { rosterLayout } from '../../src/registries/etcd/layouts/roster.ts';
import { decide } from '../../src/registries/nacos/apply-decide.ts';
import { hostOf, idOf, isOurs, placeOf } from '../../src/registries/nacos/entry.ts';
import { nodeOf } from '../../src/registries/zookeeper/paths.ts';

/** What stands for an instance in a registry, each by the name under which there is room for one. */
const identities: Readonly<Record<string, (instance: Instance) => readonly string[]>> = {
  'the id of an instance': ({ id }) => [id],
  // Ids are compared within a node, whose name goes without regard to case.
  'the service and check of Consul': (instance) => {
    const node = nodeName(instance.marks.cluster, instance.service).toLowerCase();
    const check = checkEntry({ ...instance, health: 'unhealthy' });
    return [`${node} service ${serviceEntry(instance).ID}`, `${node} check ${check?.CheckID}`];
  },
  ...Object.fromEntries(
    Object.entries({
      Roster: rosterLayout('/services'),
      Grpc: grpcLayout('/services'),
      GoMicro: goMicroLayout(),
      Kratos: kratosLayout(),
      GoZero: goZeroLayout('/services'),
    }).map(([name, layout]) => {
      const entries = createEntries('/services', layout);
      return [
        `the keys of etcd, layout ${name}`,
        (instance: Instance) => entries.empty(instance).map(({ key }) => key),
      ];
    }),
  ),
  'the path of ZooKeeper, which all layouts share': ({ service, id }) => [`/services/${service}/${nodeOf(id)}`],
  // Where two want one place in Nacos, one of them is refused: see below.
  'the place and mark of Nacos': (instance) => {
    const host = hostOf(instance, 'DEFAULT');
    return [`${instance.service} ${placeOf(host)} ${idOf(host)}`];
  },
};

/** As many of each cluster, with the same Services, addresses and ports in all of them. */
function* fleet(clusters: readonly string[], count: number): Generator<Instance> {
  for (const cluster of clusters) {
    for (let n = 0; n < count; n++) {
      const [high, low] = [Math.floor(n / 250) % 250, n % 250];
      const owner = `shop-${n % 7}/web-${Math.floor(n / 62_500)}`;
      const address = n % 3 === 0 ? `fd00::${high.toString(16)}:${low.toString(16)}` : `10.1.${high}.${low}`;
      yield entryOf({ cluster, owner, address, port: n % 2 === 0 ? 8080 : 80, service: 'web' });
    }
  }
}

interface Described {
  readonly cluster: string;
  readonly owner: string;
  readonly address: string;
  readonly port: number;
  readonly service: string;
}

const entryOf = ({ cluster, owner, address, port, service }: Described): Instance => ({
  id: instanceId(cluster, owner, address, port),
  service,
  address,
  port,
  health: 'healthy',
  liveness: 'persistent',
  weight: 1,
  tags: [],
  metadata: {},
  marks: { cluster, owner, registration: `ServiceRegistration/${owner}`, retained: false },
});

function assertApart(instances: readonly Instance[]): void {
  for (const [name, identify] of Object.entries(identities)) {
    const seen = new Set<string>();
    let given = 0;
    for (const instance of instances) {
      for (const identity of identify(instance)) {
        seen.add(identity);
        given++;
      }
    }
    assert.ok(given > 0);
    assert.equal(seen.size, given, `${given - seen.size} of ${given} collide: ${name}`);
  }
}

it('three clusters of 150,000 instances, the same in each, have no identity in common in any registry', () => {
  assertApart([...fleet(['prod', 'prod-1', 'prod1'], 150_000)]);
});

/** As Kubernetes takes them: near to each other in all that could be mistaken for a part of an id, a key or a path. */
const label = fc
  .array(fc.constantFrom('a', 'b', '1', '-', '2f', '000', 'l01', 'owner'), { minLength: 1, maxLength: 4 })
  .map((parts) => `a${parts.join('')}a`);
const described: fc.Arbitrary<Described> = fc.record({
  cluster: label,
  owner: fc.tuple(label, label).map((names) => names.join('/')),
  address: fc.constantFrom('10.0.0.1', '10.0.0.11', 'fd00::1', 'fd00::11', '0.0.0.1'),
  port: fc.constantFrom(1, 80, 8080, 180),
  service: label,
});

it('whatever clusters, namespaces, Services and names are called, no identity is one of another instance', () => {
  const selector = ({ cluster, owner, address, port, service }: Described) =>
    JSON.stringify([cluster, owner, address, port, service]);
  fc.assert(
    fc.property(fc.uniqueArray(described, { selector, minLength: 2, maxLength: 60 }), (all) => {
      const instances = all.map(entryOf);
      // One Service under two names is two entries with one id, which never stand at once.
      const ids = new Map(instances.map((instance) => [instance.id, instance]));
      assertApart([...ids.values()]);
    }),
    { numRuns: 300 },
  );
});

it('in Nacos, which has one entry for an address of a service, another cluster is refused the place, and takes nothing away', () => {
  const asHost = (instance: Instance) => hostOf(instance, 'DEFAULT');
  fc.assert(
    fc.property(
      fc.array(described, { maxLength: 20 }),
      described,
      described,
      fc.constantFrom('register', 'update', 'deregister'),
      (standing, wanted, before, action) => {
        const { cluster } = wanted;
        const all = standing.map(entryOf);
        const hosts = (service: string) => all.filter((one) => one.service === service).map(asHost);
        const instance = entryOf(wanted);
        const previous = entryOf({ ...before, cluster });
        const change: Change =
          action === 'update'
            ? { action, instance, previous, reason: 'Changed' }
            : action === 'register'
              ? { action, instance, reason: 'EndpointAdded' }
              : { action, instance, reason: 'EndpointRemoved' };
        const decision = decide(change, hosts, asHost);
        const isTaken = hosts(instance.service).some(
          (host) => placeOf(host) === placeOf(asHost(instance)) && !isOurs(host, cluster),
        );
        if (decision.kind === 'refuse') return;
        assert.ok(action === 'deregister' || !isTaken);
        for (const { service, host } of decision.remove) {
          const there = hosts(service).filter((one) => placeOf(one) === placeOf(host));
          assert.ok(there.every((one) => isOurs(one, cluster)));
        }
      },
    ),
    { numRuns: 3_000 },
  );
});
