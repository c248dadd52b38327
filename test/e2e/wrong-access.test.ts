// Registries that cannot be used as they are configured: each is told in its own conditions and in those of its registrations, in one sentence without a secret,
// and none hinders another or ends the operator. Corrected, they are used without a restart.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { openConsul } from '../servers/consul.ts';
import { openEtcd } from '../servers/etcd.ts';
import { openNacos } from '../servers/nacos.ts';
import { openZooKeeper } from '../servers/zookeeper.ts';
import { clusterRegistry, registration, secret, service, slice } from './objects.ts';
import { openScenario } from './scenario.ts';
import { OPERATOR_NAMESPACE, openStage, testTraces } from './stage.ts';

const [guarded, users, encrypted, logins, zooKeeper, stage] = await Promise.all([
  openConsul({ acl: true }),
  openEtcd({ fsync: false, auth: true }),
  openEtcd({ fsync: false, tls: true }),
  openNacos({ auth: true }),
  openZooKeeper({ fsync: false, tls: true }),
  openStage(),
]);
for (const server of [guarded, users, encrypted, logins, zooKeeper]) after(() => server.stop());
const root = users.root ?? assert.fail();
const hostOf = (address: string): string => address.replace(/^https?:\/\//, '');
const withTls = (address: string): string => `https://${hostOf(address)}`;

const WRONG = 'grumbling-otter-4711';
/** The name of a Secret that the spec refers to, with the keys of all types. */
type Spec = (secretName: string) => object;
const ref = (name: string, key: string) => ({ namespace: OPERATOR_NAMESPACE, name, key });
const userRefs = (name: string) => ({
  usernameSecretRef: ref(name, 'username'),
  passwordSecretRef: ref(name, 'password'),
});

interface Refusal {
  readonly title: string;
  readonly spec: Spec;
  /** Reason of `Reachable=False`. */
  readonly reason: 'Unauthorized' | 'RegistryUnreachable';
  readonly message: RegExp;
  /** What the Secret should have held. Absent: the spec is what is wrong. */
  readonly right?: Readonly<Record<string, string>>;
}

const etcd =
  (endpoint: string, tls?: object): Spec =>
  (name) => ({
    type: 'Etcd',
    etcd: { endpoints: [endpoint], ...userRefs(name), ...(tls && { tls }) },
  });
const consul =
  (address: string, over: object = {}): Spec =>
  (name) => ({
    type: 'Consul',
    consul: { address, tokenSecretRef: ref(name, 'token'), ...over },
  });
const nacos =
  (address: string, over: object = {}): Spec =>
  (name) => ({
    type: 'Nacos',
    nacos: { addresses: [address], ...userRefs(name), ...over },
  });
const zoo =
  (host: string, over: object = {}): Spec =>
  () => ({ type: 'ZooKeeper', zookeeper: { connectString: host, ...over } });

const REFUSALS: readonly Refusal[] = [
  {
    title: 'Consul with a token that it does not know',
    spec: consul(guarded.address),
    reason: 'Unauthorized',
    message: /token/,
    right: { token: guarded.token ?? '' },
  },
  {
    title: 'Consul over TLS on a port without',
    spec: consul(withTls(guarded.address)),
    reason: 'RegistryUnreachable',
    message: /TLS|http or https/,
  },
  {
    title: 'Consul at the port of etcd',
    spec: consul(users.address),
    reason: 'RegistryUnreachable',
    message: /Consul/,
  },
  {
    title: 'etcd with a wrong password',
    spec: etcd(users.address),
    reason: 'Unauthorized',
    message: /password/,
    right: root,
  },
  {
    title: 'etcd over TLS on a port without',
    spec: etcd(withTls(users.address)),
    reason: 'RegistryUnreachable',
    message: /TLS|http or https/,
  },
  {
    title: 'etcd without TLS on a port with it',
    spec: etcd(`http://${hostOf(encrypted.address)}`),
    reason: 'RegistryUnreachable',
    message: /http or https/,
  },
  {
    title: 'etcd with an authority that did not sign its certificate',
    spec: etcd(encrypted.address, {}),
    reason: 'RegistryUnreachable',
    message: /certificate/,
  },
  {
    title: 'etcd at the port of Consul',
    spec: etcd(guarded.address),
    reason: 'RegistryUnreachable',
    message: /etcd|HTTP/,
  },
  {
    title: 'Nacos with a wrong password',
    spec: nacos(logins.address),
    reason: 'Unauthorized',
    message: /password|user/,
    right: { username: 'nacos', password: 'nacos' },
  },
  {
    title: 'Nacos over TLS on a port without',
    spec: nacos(withTls(logins.address)),
    reason: 'RegistryUnreachable',
    message: /TLS|http or https/,
  },
  {
    title: 'Nacos at its port of gRPC',
    spec: nacos(`http://127.0.0.1:${logins.grpcPort}`),
    reason: 'RegistryUnreachable',
    message: /Nacos/,
  },
  {
    title: 'Nacos at the port of Consul',
    spec: nacos(guarded.address),
    reason: 'RegistryUnreachable',
    message: /Nacos/,
  },
  {
    title: 'ZooKeeper at the port of Consul',
    spec: zoo(hostOf(guarded.address)),
    reason: 'RegistryUnreachable',
    message: /ZooKeeper/,
  },
  {
    title: 'ZooKeeper over TLS on a port without',
    spec: zoo(zooKeeper.address, { tls: {} }),
    reason: 'RegistryUnreachable',
    message: /TLS/,
  },
  {
    title: 'ZooKeeper without TLS on a port with it',
    spec: zoo(zooKeeper.tls?.address ?? ''),
    reason: 'RegistryUnreachable',
    message: /TLS/,
  },
];

describe('a registry that cannot be used as it is configured', { concurrency: true }, () => {
  for (const { title, spec, reason, message, right } of REFUSALS) {
    test(`${title} is told, hinders no other${right === undefined ? '' : ', and is used once the Secret is corrected'}`, async () => {
      const s = await openScenario(stage, 'Memory');
      const { namespace: ns, id } = s;
      const name = `wrong-${id}`;
      await s.apply(
        secret(OPERATOR_NAMESPACE, name, { token: WRONG, username: 'nobody', password: WRONG }),
        clusterRegistry(name, { ...spec(name), timeouts: { connectSeconds: 2, requestSeconds: 5 } }),
        service(ns, `web-${id}`),
        slice(ns, `web-${id}`, ['10.1.0.1']),
        registration(ns, 'refused', name, { serviceRef: { name: `web-${id}` } }),
        registration(ns, 'other', s.registry, { serviceRef: { name: `web-${id}` } }),
      );
      await s.says('ServiceRegistration', 'other', { Ready: 'True Synced' });
      await s.stands([`passing web-${id} 10.1.0.1:8080`]);
      const status = await s.says('ClusterRegistry', name, {
        Ready: `${reason === 'Unauthorized' ? 'False' : 'Unknown'} ${reason}`,
        Reachable: `False ${reason}`,
      });
      const { message: told } = status.conditions.find(({ type }: { type: string }) => type === 'Reachable');
      assert.match(told, message);
      assert.ok(!told.includes('\n') && told.length < 400, told);
      await s.says('ServiceRegistration', 'refused', { Ready: 'Unknown RegistryUnreachable' });
      assert.ok(!(await stage.operator.output()).includes(WRONG), 'a secret is in the log');
      if (right === undefined) return;
      await s.apply(secret(OPERATOR_NAMESPACE, name, right));
      await s.says('ClusterRegistry', name, { Ready: 'True Ready', Reachable: 'True Reachable' });
      await s.says(
        'ServiceRegistration',
        'refused',
        { Ready: 'True Synced' },
        { instances: { desired: 1, registered: 1, healthy: 1 } },
      );
    });
  }
});

testTraces(stage);
