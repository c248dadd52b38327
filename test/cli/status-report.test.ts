import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition, RegistrationStatus } from '../../src/api/kinds.generated.ts';
import { parseClusterServiceRegistration, parseServiceRegistration } from '../../src/api/parse.ts';
import { renderStatus, type StatusLine, statusLine } from '../../src/cli/status-report.ts';
import { text } from './fixtures.ts';

const condition = (type: string, status: Condition['status'], reason: string, message = 'x'): Condition => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: '2026-11-22T20:00:00Z',
  observedGeneration: 2,
});

const meta = (name: string, namespace?: string) => ({
  name,
  ...(namespace !== undefined && { namespace }),
  uid: `uid-${name}`,
  resourceVersion: '1',
  generation: 2,
  creationTimestamp: '2026-11-22T20:00:00Z',
});

function sreg(name: string, status?: Partial<RegistrationStatus>, registryKind = 'ClusterRegistry'): StatusLine {
  const parsed = parseServiceRegistration({
    apiVersion: 'roster.dev/v1alpha1',
    kind: 'ServiceRegistration',
    metadata: meta(name, 'shop'),
    spec: { registryRef: { kind: registryKind, name: 'consul' }, serviceRef: { name } },
    ...(status !== undefined && { status: { observedGeneration: 2, ...status } }),
  });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return statusLine(parsed.value);
}

function csreg(name: string): StatusLine {
  const parsed = parseClusterServiceRegistration({
    apiVersion: 'roster.dev/v1alpha1',
    kind: 'ClusterServiceRegistration',
    metadata: meta(name),
    spec: { registryRef: { name: 'memory' }, namespaceSelector: {}, selector: {} },
  });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return statusLine(parsed.value);
}

const synced = sreg('web', {
  conditions: [condition('Ready', 'True', 'Synced'), condition('Synced', 'True', 'Synced')],
  services: { matched: 1, synced: 1 },
  instances: { desired: 3, registered: 3, healthy: 2 },
  names: ['web', 'web-public'],
});
const refused = sreg('api', {
  conditions: [condition('Ready', 'False', 'PortNotFound', 'Service shop/api\nhas no port "http"')],
});

const at = (seconds: number) => Date.parse('2026-11-22T20:00:00Z') + seconds * 1000;

test('status is a table of desired, registered, healthy, age and the last error', () => {
  assert.equal(
    renderStatus([synced, refused, csreg('all')], 'table', { nowMs: at(45), showNamespaces: true }),
    text(`
      NAMESPACE   NAME        REGISTRY   READY     DESIRED   REGISTERED   HEALTHY   AGE   LAST ERROR
      <none>      csreg/all   memory     Unknown   0         0            0         45s   <none>
      shop        sreg/api    consul     False     0         0            0         45s   PortNotFound: Service shop/api has no port "http"
      shop        sreg/web    consul     True      3         3            2         45s   <none>
      `),
  );
});

test('without -A there is no column for the namespace, and wide adds liveness, Services and names', () => {
  assert.equal(
    renderStatus([synced], 'wide', { nowMs: at(3 * 86_400), showNamespaces: false }),
    text(`
      NAME       REGISTRY   READY   DESIRED   REGISTERED   HEALTHY   LIVENESS     SERVICES   NAMES            AGE   LAST ERROR
      sreg/web   consul     True    3         3            2         Persistent   1/1        web,web-public   3d    <none>
      `),
  );
});

test('JSON is an object with the lines as items', () => {
  const { items } = JSON.parse(renderStatus([synced], 'json', { nowMs: 0, showNamespaces: false }));
  assert.deepEqual(items, [synced]);
});

test('a Registry is named with its namespace', () => {
  assert.equal(sreg('web', undefined, 'Registry').registry, 'shop/consul');
});

test('a status of an older generation is not taken for the present one', () => {
  assert.equal(
    sreg('web', { observedGeneration: 1, conditions: [condition('Ready', 'True', 'Synced')] }).ready,
    'Unknown',
  );
});

test('held deletions are the gravest error, then refusals, then single failures', () => {
  const blocked = condition('DeletionBlocked', 'True', 'GuardTripped', '40 removals held back');
  const unreachable = condition('Synced', 'False', 'RegistryUnreachable', 'no connection');
  const failures = [{ service: 'shop/web', code: 'invalid', message: 'name too long' }];
  assert.equal(sreg('a', { conditions: [unreachable, blocked] }).lastError, 'GuardTripped: 40 removals held back');
  assert.equal(sreg('a', { conditions: [unreachable], failures }).lastError, 'RegistryUnreachable: no connection');
  assert.equal(sreg('a', { failures }).lastError, 'invalid: shop/web: name too long');
  assert.equal(sreg('a', { conditions: [condition('DeletionBlocked', 'False', 'NothingHeld')] }).lastError, '');
});
