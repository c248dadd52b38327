// Whatever a tenant writes into names, templates, annotations and metadata: it is taken as it is or refused in a sentence, never changed in silence, never a throw.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { RegistryConfig } from '../../src/api/kinds.generated.ts';
import { desired, type Normalise } from '../../src/mirror/desired.ts';
import { canonical, sameInstance } from '../../src/mirror/instance.ts';
import { instanceId, renderName } from '../../src/mirror/naming.ts';
import { planChanges } from '../../src/mirror/plan.ts';
import { claimsOf } from '../../src/mirror/ports.ts';
import { createRegistry } from '../../src/registries/create.ts';
import { parseRegistryConfig } from '../../src/registries/parse-config.ts';
import { endpoint, registration, service, slice, view } from './objects.ts';

const SPECIAL = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '/',
  '..',
  '../../x',
  '.',
  '%2F',
  '%',
  '\n',
  '\u0000',
  '\u202e',
  'é',
  'e\u0301',
  '😀',
  '\ud800',
  '{service}',
  '{constructor}',
  '{__proto__}',
  '{{service}}',
  '$\u007bprocess}',
  '{port}{cluster}',
  '$&',
  '$1',
  '@@',
  'a@@b',
  '.owner',
  'managed-by',
  'roster-owner',
  'roster-x',
  '',
  ' ',
];
const hostile = fc.oneof(
  fc.constantFrom(...SPECIAL),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc
    .array(fc.oneof(fc.constantFrom(...SPECIAL), fc.string({ maxLength: 5 })), { maxLength: 4 })
    .map((parts) => parts.join('')),
  fc.integer({ min: 60, max: 5_000 }).map((length) => 'x'.repeat(length)),
);
/** With own keys of any name, `__proto__` too, as JSON makes them. */
const pairs = fc
  .array(fc.tuple(hostile, hostile), { maxLength: 4 })
  .map((entries): Record<string, string> => Object.fromEntries(entries));

const given = fc.record({
  name: hostile,
  tags: fc.array(hostile, { maxLength: 3 }),
  metadata: pairs,
  metadataFromLabels: fc.array(hostile, { maxLength: 3 }),
  labels: pairs,
  annotations: pairs,
  annotated: hostile,
});

const CONFIGS: readonly object[] = [
  { type: 'Memory' },
  { type: 'Consul', consul: { address: 'http://127.0.0.1:1', prefix: 'k8s-' } },
  { type: 'Nacos', nacos: { addresses: ['http://127.0.0.1:1'] } },
  ...['Roster', 'Grpc', 'GoMicro', 'Kratos', 'GoZero'].map((layout) => ({
    type: 'Etcd',
    etcd: { endpoints: ['127.0.0.1:1'], layout },
  })),
  ...['Curator', 'Kratos', 'Plain'].map((layout) => ({
    type: 'ZooKeeper',
    zookeeper: { connectString: '127.0.0.1:1', layout },
  })),
];

/** Marks stand beside the metadata there, and could be taken for it. */
const SHARED = /Consul|Nacos|GoMicro|Kratos|Curator/;

for (const config of CONFIGS) {
  const parsed = parseRegistryConfig(config);
  assert.ok(parsed.ok);
  const registry = createRegistry(parsed.value as RegistryConfig);
  const normalise: Normalise = registry.normalise;

  describe(`hostile texts for ${JSON.stringify(config)}`, () => {
    it('are taken as they are or refused, and what is taken stays the same when it is read again', () => {
      let [taken, refused] = [0, 0];
      fc.assert(
        fc.property(given, ({ name, tags, metadata, metadataFromLabels, labels, annotations, annotated }) => {
          const prefixed = Object.fromEntries(
            Object.entries(annotations).map(([key, value]) => [`roster.dev/metadata-${key}`, value]),
          );
          const meta = { labels, annotations: { ...prefixed, ...annotations, 'roster.dev/name': annotated } };
          const seen = view({
            covering: [registration({ name, tags, metadata, metadataFromLabels })],
            service: { state: 'present', object: service('shop/web', { meta }) },
            slices: [slice([endpoint('10.0.0.1'), endpoint('10.0.0.2')])],
          });
          assert.ok(claimsOf(seen) instanceof Map);
          const [wanted] = desired(seen, normalise);
          assert.ok(wanted !== undefined);
          planChanges(seen, [wanted]);
          if (wanted.problem !== undefined || wanted.unfit.length > 0) {
            refused++;
            const [message] = [...wanted.unfit, wanted.problem].map((one) => one?.message ?? '');
            assert.ok(message !== undefined && message.length > 0);
            return;
          }
          taken++;
          assert.equal(new Set(wanted.instances.map(({ id }) => id)).size, wanted.instances.length);
          for (const instance of wanted.instances) {
            const again = normalise({ ...instance, service: instance.service.replace(/^k8s-/, '') });
            assert.ok(again.ok, again.ok ? '' : again.message);
            assert.equal(canonical(again.instance), canonical(instance));
            assert.ok(sameInstance(again.instance, instance));
            assert.deepEqual([instance.marks.owner, instance.marks.cluster], ['shop/web', seen.cluster]);
            for (const key of Object.keys(instance.metadata)) {
              if (SHARED.test(JSON.stringify(config)))
                assert.ok(key !== 'managed-by' && !key.startsWith('roster-'), key);
            }
          }
        }),
        { numRuns: 400 },
      );
      assert.ok(refused > 0, `${refused} refused`);
      assert.ok(taken > 0, `${taken} taken`);
    });
  });
  await registry.close();
}

describe('hostile names', () => {
  const parts = fc.record({ service: hostile, namespace: hostile, cluster: hostile, port: hostile });

  it('fill a template and nothing of it is filled again, and no other value is reached', () => {
    fc.assert(
      fc.property(parts, hostile, (known, template) => {
        const name = renderName(template, known);
        const filled = template
          .split(/\{(service|namespace|cluster|port)\}/)
          .map((part, n) => (n % 2 === 0 ? part : known[part as keyof typeof known]));
        assert.equal(name, filled.join(''));
        assert.equal(renderName('{service}', known), known.service);
        assert.equal(renderName('{constructor}{__proto__}{toString}', known), '{constructor}{__proto__}{toString}');
      }),
    );
  });

  it('have ids of their own, two that differ anywhere', () => {
    // As the API server takes them: no slash in any.
    const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?$/);
    const identity = fc.tuple(label, label, label, fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65_535 }));
    const idOf = ([cluster, namespace, name, address, port]: readonly [string, string, string, string, number]) =>
      instanceId(cluster, `${namespace}/${name}`, address, port);
    fc.assert(
      fc.property(identity, identity, (a, b) => {
        assert.equal(idOf(a) === idOf(b), JSON.stringify(a) === JSON.stringify(b));
      }),
      { numRuns: 2_000 },
    );
  });
});
