import { AsyncLocalStorage } from 'node:async_hooks';
import type { Change } from '../../src/mirror/change.ts';
import type { Instance } from '../../src/mirror/instance.ts';

const run = `conf-${process.pid.toString(36)}-${Date.now().toString(36)}`;
let made = 0;
let unswept: string[] = [];
const ofTest = new AsyncLocalStorage<string[]>();

/** A cluster name that no other test and no other run uses, and none of them begins with: what keeps tests on one server apart. */
export function freshCluster(): string {
  const cluster = `${run}-${(made++).toString(36).padStart(4, '0')}`;
  (ofTest.getStore() ?? unswept).push(cluster);
  return cluster;
}

/** Runs a test; `clusters` gets the names given to it, and {@link clustersToSweep} does not. */
export const notingClusters = (clusters: string[], test: () => Promise<void>): Promise<void> =>
  ofTest.run(clusters, test);

/** The names given since the last call. */
export function clustersToSweep(): readonly string[] {
  const clusters = unswept;
  unswept = [];
  return clusters;
}

/** The first of a service named after the cluster, so that consumers' views are apart too. */
export function sampleOf(cluster: string, over: Partial<Instance> & { readonly number?: number } = {}): Instance {
  const { number = 1, ...rest } = over;
  const address = `10.1.${Math.floor(number / 250)}.${number % 250}`;
  return {
    id: `${cluster}/shop/web/${address}:8080`,
    service: `${cluster}-web`,
    address,
    port: 8080,
    health: 'healthy',
    liveness: 'persistent',
    weight: 100,
    tags: ['v2', 'web'],
    metadata: { team: 'shop' },
    marks: { cluster, owner: 'shop/web', registration: 'ServiceRegistration/shop/web', retained: false },
    ...rest,
  };
}

export const samplesOf = (cluster: string, count: number): readonly Instance[] =>
  Array.from({ length: count }, (_, number) => sampleOf(cluster, { number: number + 1 }));

export const register = (instance: Instance): Change => ({ action: 'register', instance, reason: 'EndpointAdded' });

export const update = (instance: Instance, previous: Instance): Change => ({
  action: 'update',
  instance,
  previous,
  reason: 'Changed',
});

export const deregister = (instance: Instance): Change => ({
  action: 'deregister',
  instance,
  reason: 'EndpointRemoved',
});

/** Instances that something along the way might not bear. Each is refused by the rule of a registry, or comes back as it went. */
export const nastySamples = (cluster: string): ReadonlyMap<string, Instance> => {
  const of = (over: Partial<Instance>) => sampleOf(cluster, over);
  const metadata = (key: string, value = 'x') => of({ metadata: { [key]: value } });
  const name = (text: string) => of({ service: text });
  return new Map<string, Instance>([
    ['IPv6', of({ id: `${cluster}/shop/web/[fd00::7]:8080`, address: 'fd00::7' })],
    ['a host name', of({ address: 'web.example.org' })],
    ['the address 0.0.0.0', of({ address: '0.0.0.0' })],
    ['the address ::', of({ address: '::' })],
    ['the address 127.0.0.1', of({ address: '127.0.0.1' })],
    ['draining', of({ health: 'draining' })],
    ['unhealthy', of({ health: 'unhealthy' })],
    ['weight 0', of({ weight: 0 })],
    ['weight 0, draining', of({ weight: 0, health: 'draining' })],
    ['weight 0, unhealthy', of({ weight: 0, health: 'unhealthy' })],
    ['weight 1', of({ weight: 1 })],
    ['weight 10000', of({ weight: 10_000 })],
    ['port 1', of({ port: 1 })],
    ['port 65535', of({ port: 65_535 })],
    ['port 65536', of({ port: 65_536 })],
    ['retained', of({ marks: { ...sampleOf(cluster).marks, retained: true } })],
    [
      'of a cluster-wide registration',
      of({ marks: { ...sampleOf(cluster).marks, registration: 'ClusterServiceRegistration//all' } }),
    ],
    ['no tags, no metadata', of({ tags: [], metadata: {} })],
    [
      'tags for other programs',
      of({ tags: ['traefik.enable=true', 'urlprefix-/web strip=/web', 'version=1.2'].sort() }),
    ],
    ['a tag in Greek', of({ tags: ['ετικέτα'] })],
    ['a tag of half a character', of({ tags: ['\ud83d'] })],
    ['an empty metadata value', metadata('empty', '')],
    ['a metadata value of 512 bytes', metadata('long', 'é'.repeat(256))],
    ['a metadata value of 513 bytes', metadata('long', `${'é'.repeat(256)}x`)],
    ['a metadata value with everything in it', metadata('odd', ' "\'\\/<>&\u0000\u0001\n\t\u2028\u{1f600}')],
    ['a metadata value of half a character', metadata('half', '\udc00')],
    ['a metadata key of 128 characters', metadata('k'.repeat(128))],
    ['a metadata key of 129 characters', metadata('k'.repeat(129))],
    ['an empty metadata key', metadata('')],
    ['a metadata key with a space', metadata('a b')],
    ['a metadata key in Greek', metadata('κλειδί')],
    ['a metadata key __proto__', of({ metadata: JSON.parse('{"__proto__":"x","constructor":"y"}') })],
    ['a label key', metadata('app.kubernetes.io/name')],
    ['two keys that differ in a dot', of({ metadata: { 'a.b': '1', 'a-b': '2' } })],
    ['a key that is our mark', metadata('roster-owner', 'other/web')],
    ['a key that is our mark once rewritten', metadata('managed.by', 'other')],
    ['a key of Consul', metadata('consul-x')],
    ['58 metadata pairs', of({ metadata: Object.fromEntries(Array.from({ length: 58 }, (_, n) => [`k${n}`, 'v'])) })],
    ['59 metadata pairs', of({ metadata: Object.fromEntries(Array.from({ length: 59 }, (_, n) => [`k${n}`, 'v'])) })],
    ['a name of 63 characters', name('n'.repeat(63))],
    ['a name of 64 characters', name('n'.repeat(64))],
    ['an empty name', name('')],
    ['a name with a dot', name('web.shop')],
    ['a name with a slash', name('shop/web')],
    ['a name with a space', name('web shop')],
    ['a name in Greek', name('ιστός')],
    ['a name that ends in a dash', name('web-')],
    ['a name with a placeholder', name('{unknown}')],
  ]);
};
