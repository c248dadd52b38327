import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually } from './eventually.ts';
import type { Json, Target } from './kube.ts';
import { clusterRegistry, registration, secret, service, slice } from './objects.ts';
import { brief } from './registry-truth.ts';
import { openScenario, REGISTRY_TYPES, type RegistryType, type Scenario, specOf } from './scenario.ts';
import { OPERATOR_NAMESPACE, openStage, testTraces } from './stage.ts';

const stage = await openStage();

interface BadInput {
  readonly title: string;
  /** Absent: each. */
  readonly type?: RegistryType;
  /** Further fields of the ClusterRegistry's spec. */
  readonly registrySpec?: object;
  /** `web` stands before this. */
  readonly spoil: (s: Scenario) => Promise<unknown>;
  /** Of the ServiceRegistration `name`; absent: that of `web`. */
  readonly name?: (s: Scenario) => string;
  readonly says: Readonly<Record<string, string | undefined>>;
  /** What a condition or a failure says: what is wrong, where, or what to do. */
  readonly told: RegExp;
  /** What another object says meanwhile. */
  readonly also?: (s: Scenario) => Promise<unknown>;
  readonly heal: (s: Scenario) => Promise<unknown>;
  /** What stands in the end beside `web`. */
  readonly more?: (s: Scenario) => readonly string[];
}

const notAccepted = (reason: string) => ({
  Ready: `False ${reason}`,
  Accepted: `False ${reason}`,
  Stalled: `True ${reason}`,
  Reconciling: undefined,
});
const webIs = (spec: object) => (s: Scenario) => s.patch('ServiceRegistration', `web-${s.id}`, { spec });
const extra = ({ id }: Scenario) => `extra-${id}`;
const extraService = ({ namespace: ns, id }: Scenario) => [
  service(ns, `extra-${id}`),
  slice(ns, `extra-${id}`, ['10.40.2.1']),
];
const extraStands = ({ id }: Scenario) => [`passing extra-${id} 10.40.2.1:8080`];
/** A registration through another registry than that of `web`. */
const through = (s: Scenario, registry: string) =>
  s.apply(...extraService(s), registration(s.namespace, extra(s), registry));

const inputs: readonly BadInput[] = [
  {
    title: 'a Service that does not exist',
    spoil: (s) => s.apply(registration(s.namespace, extra(s), s.registry)),
    name: extra,
    says: notAccepted('ServiceNotFound'),
    told: /Service ns-\w+\/extra-\w+ does not exist; create it/,
    heal: (s) => s.apply(...extraService(s)),
    more: extraStands,
  },
  {
    title: 'a port that the Service does not have',
    spoil: webIs({ ports: ['nope'] }),
    says: notAccepted('PortNotFound'),
    told: /has no port "nope"; it has: http/,
    heal: webIs({ ports: ['http'] }),
  },
  {
    title: 'an addressType of a later version',
    spoil: webIs({ addressType: 'ClusterIP' }),
    says: notAccepted('NotYetSupported'),
    told: /addressType ClusterIP is not supported by this version; use Endpoints/,
    heal: webIs({ addressType: 'Endpoints' }),
  },
  {
    title: 'a registry that does not exist',
    type: 'Consul',
    spoil: (s) => through(s, `later-${s.id}`),
    name: extra,
    says: notAccepted('RegistryNotFound'),
    told: /ClusterRegistry\/later-\w+ does not exist; create it/,
    heal: (s) => s.apply(clusterRegistry(`later-${s.id}`, specOf('Consul', stage.consul))),
    more: extraStands,
  },
  {
    title: 'a Secret that does not exist, and then lacks the key',
    type: 'Consul',
    async spoil(s) {
      const tokenSecretRef = { namespace: OPERATOR_NAMESPACE, name: `token-${s.id}`, key: 'token' };
      const consul = { address: stage.consul.address, tokenSecretRef };
      await s.apply(clusterRegistry(`secret-${s.id}`, { type: 'Consul', consul }));
      await through(s, `secret-${s.id}`);
    },
    name: extra,
    says: { Ready: 'Unknown RegistryUnreachable', Synced: 'Unknown RegistryUnreachable' },
    told: /Secret roster-system\/token-\w+/,
    async also(s) {
      const registry = `secret-${s.id}`;
      await s.says('ClusterRegistry', registry, { Ready: 'False SecretNotFound', Stalled: 'True SecretNotFound' });
      await s.apply(secret(OPERATOR_NAMESPACE, `token-${s.id}`, { other: 'x' }));
      await s.says('ClusterRegistry', registry, { Ready: 'False SecretKeyNotFound' });
    },
    heal: (s) => s.apply(secret(OPERATOR_NAMESPACE, `token-${s.id}`, { token: 'any' })),
    more: extraStands,
  },
  {
    title: 'a name that Consul cannot hold',
    type: 'Consul',
    spoil: webIs({ name: 'no_{service}' }),
    says: notAccepted('InvalidSpec'),
    told: /"no_web-\w+" cannot be a service name in Consul: 1 to 63 letters, digits and dashes/,
    heal: webIs({ name: '{service}' }),
  },
  {
    title: 'metadata that Consul cannot hold',
    type: 'Consul',
    spoil: webIs({ metadata: { story: 'x'.repeat(513) } }),
    says: notAccepted('InvalidSpec'),
    told: /metadata key "story" is longer than the 512 bytes that Consul takes/,
    heal: webIs({ metadata: null }),
  },
  {
    title: 'a registry without room',
    type: 'Memory',
    registrySpec: { memory: { capacity: 3 } },
    spoil: (s) =>
      s.apply(
        ...extraService(s),
        slice(s.namespace, `extra-${s.id}`, ['10.40.2.1', '10.40.2.2']),
        registration(s.namespace, extra(s), s.registry),
      ),
    name: extra,
    says: { Ready: 'False PartiallySynced', Synced: 'False PartiallySynced', Stalled: 'True PartiallySynced' },
    told: /TooLarge.*raise spec.memory.capacity/,
    heal: (s) => s.patch('ClusterRegistry', s.registry, { spec: { memory: { capacity: 9 } } }),
    more: (s) => [...extraStands(s), `passing extra-${s.id} 10.40.2.2:8080`],
  },
];

describe('with bad input', { concurrency: true }, () => {
  for (const input of inputs) {
    for (const type of input.type === undefined ? REGISTRY_TYPES : [input.type]) {
      test(`${type}: ${input.title} is told, costs no entry, hinders no other, and heals`, () => meet(input, type));
    }
  }

  for (const type of REGISTRY_TYPES) {
    test(`${type}: a namespace that is not admitted any more is told, keeps its entries, and heals`, async () => {
      const s = await openScenario(stage, type);
      const { namespace: ns, id } = s;
      await s.apply(
        service(ns, `web-${id}`),
        slice(ns, `web-${id}`, ['10.41.0.1']),
        registration(ns, `web-${id}`, s.registry),
      );
      await s.stands([`passing web-${id} 10.41.0.1:8080`]);
      await s.patch('ClusterRegistry', s.registry, { spec: { allowedNamespaces: { all: null, names: ['other'] } } });
      await s.says('ServiceRegistration', `web-${id}`, notAccepted('NamespaceNotAllowed'));
      await s.apply(slice(ns, `web-${id}`, ['10.41.0.2']));
      await s.patch('Namespace', ns, { metadata: { labels: { admitted: id } } });
      await s.stands([`passing web-${id} 10.41.0.1:8080`]);
      const selector = { matchLabels: { admitted: id } };
      await s.patch('ClusterRegistry', s.registry, { spec: { allowedNamespaces: { names: null, selector } } });
      await s.says('ServiceRegistration', `web-${id}`, { Ready: 'True Synced', Stalled: undefined });
      await s.stands([`passing web-${id} 10.41.0.2:8080`]);
    });

    test(`${type}: of Services taken by a selector, one without the port is told and left out, the others stand`, async () => {
      const s = await openScenario(stage, type);
      const { namespace: ns, id } = s;
      const labels = { e2e: id };
      await s.apply(
        service(ns, `a-${id}`, { labels }),
        slice(ns, `a-${id}`, ['10.42.0.1']),
        service(ns, `b-${id}`, { labels, ports: [{ name: 'grpc', port: 90 }] }),
        slice(ns, `b-${id}`, ['10.42.0.2']),
        registration(ns, 'some', s.registry, { selector: { matchLabels: labels }, ports: ['http'] }),
      );
      await s.stands([`passing a-${id} 10.42.0.1:8080`]);
      await eventually('the failure tells of it', async () => {
        const { failures } = await s.says('ServiceRegistration', 'some', {
          Ready: 'True Synced',
          Accepted: 'True Accepted',
        });
        assert.deepEqual(
          failures.map((failure: Json) => [failure.service, failure.code]),
          [[`${ns}/b-${id}`, 'PortNotFound']],
        );
      });
      await s.apply(service(ns, `b-${id}`, { labels }));
      await s.stands([`passing a-${id} 10.42.0.1:8080`, `passing b-${id} 10.42.0.2:8080`]);
      await s.says(
        'ServiceRegistration',
        'some',
        { Ready: 'True Synced' },
        { failures: [], services: { matched: 2, synced: 2 } },
      );
    });
  }
});

async function meet(input: BadInput, type: RegistryType): Promise<void> {
  const s = await openScenario(stage, type, { registrySpec: input.registrySpec ?? {} });
  const { namespace: ns, id, registry } = s;
  for (const [index, name] of [`web-${id}`, `api-${id}`].entries()) {
    await s.apply(service(ns, name), slice(ns, name, [`10.40.${index}.1`]), registration(ns, name, registry));
  }
  await s.stands([`passing web-${id} 10.40.0.1:8080`, `passing api-${id} 10.40.1.1:8080`]);
  const target: Target = { kind: 'ServiceRegistration', namespace: ns, name: input.name?.(s) ?? `web-${id}` };

  await input.spoil(s);
  const status = await s.says(target.kind, target.name, input.says);
  assert.match(JSON.stringify([status.conditions, status.failures]).replaceAll('\\"', '"'), input.told);
  await input.also?.(s);
  await s.apply(slice(ns, `api-${id}`, { '10.40.1.1': { ready: false } }));
  const both = [`critical api-${id} 10.40.1.1:8080`, `passing web-${id} 10.40.0.1:8080`];
  await eventually('the other one goes on, and the first stands as it stood', async () => {
    const standing = (await s.entries()).map(brief);
    assert.deepEqual(
      both.filter((one) => standing.includes(one)),
      both,
    );
  });

  await input.heal(s);
  await s.says(target.kind, target.name, { Ready: 'True Synced', Accepted: 'True Accepted', Stalled: undefined });
  await s.stands([...both, ...(input.more?.(s) ?? [])]);
  const removals = (await stage.operator.changes(registry)).filter(({ action }) => action === 'deregister');
  assert.deepEqual(removals, []);
}

testTraces(stage);
