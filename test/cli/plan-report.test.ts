import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { driftIn, planReport, renderPlan } from '../../src/cli/plan-report.ts';
import type { InspectedKey, Inspection } from '../../src/operator/reporting/inspect.ts';
import { instance, text } from './fixtures.ts';

const key = (registry: string, service: string, rest: Partial<InspectedKey> = {}): InspectedKey => ({
  registry,
  service,
  compared: true,
  plan: { changes: [], leftAlone: [] },
  leased: 0,
  endpoints: [],
  problems: [],
  ...rest,
});

const web = instance('shop/web', '10.0.0.7');
const six = instance('shop/web', 'fd00::7');
const api = instance('shop/api', '10.0.0.9');

const inspection: Inspection = {
  keys: [
    key('consul', 'shop/web', {
      plan: {
        changes: [
          { action: 'register', instance: web, reason: 'EndpointAdded' },
          { action: 'register', instance: six, reason: 'EndpointAdded' },
        ],
        leftAlone: [],
      },
    }),
    key('consul', 'shop/api', {
      plan: {
        changes: [
          {
            action: 'update',
            previous: { ...api, liveness: 'leased', metadata: { team: 'a' } },
            instance: { ...api, health: 'unhealthy', metadata: { zone: 'z1' } },
            reason: 'Changed',
          },
          {
            action: 'deregister',
            instance: instance('shop/api', '10.0.0.10'),
            reason: 'EndpointRemoved',
            evidence: 'NewerVersion',
          },
        ],
        leftAlone: [
          {
            instance: instance('shop/api', '10.0.0.11'),
            because: 'unconfirmed',
            message: 'its absence is being confirmed',
          },
        ],
      },
    }),
    key('consul', 'shop/cart', {
      problems: [{ code: 'PortNotFound', message: 'Service shop/cart has no port "http";\nname one of: grpc' }],
    }),
  ],
};

test('a plan shows each change with its reason, what is left alone and why, problems, and the sum', () => {
  assert.equal(
    renderPlan(planReport(inspection), 'table'),
    text(`
      ACTION       SERVICE    NAME   ENDPOINT         REGISTRY   REASON
      update       shop/api   api    10.0.0.9:8080    consul     Changed: health healthy -> unhealthy, liveness leased -> persistent, metadata.team "a" -> (none), metadata.zone (none) -> "z1"
      deregister   shop/api   api    10.0.0.10:8080   consul     EndpointRemoved (NewerVersion)
      register     shop/web   web    10.0.0.7:8080    consul     EndpointAdded
      register     shop/web   web    [fd00::7]:8080   consul     EndpointAdded
      left alone   shop/api   api    10.0.0.11:8080   consul     unconfirmed: its absence is being confirmed

      Problems:
        shop/cart in consul: PortNotFound: Service shop/cart has no port "http"; name one of: grpc

      2 to register, 1 to update, 1 to deregister, 1 left alone
      `),
  );
});

test('a plan with nothing to do is its last line', () => {
  const report = planReport({ keys: [key('consul', 'shop/web')] });
  assert.equal(renderPlan(report, 'table'), '0 to register, 0 to update, 0 to deregister, 0 left alone\n');
});

test('wide adds the identity of the instance and the registration that asked for it', () => {
  const [only] = inspection.keys;
  assert.ok(only);
  const [heads, first] = renderPlan(planReport({ keys: [only] }), 'wide').split('\n');
  assert.match(heads ?? '', /REGISTRY +INSTANCE +REGISTRATION +REASON$/);
  assert.match(first ?? '', /prod\/shop\/web\/10\.0\.0\.7:8080 +ServiceRegistration\/shop\/web +EndpointAdded$/);
});

test('JSON and YAML hold the same report', () => {
  const report = planReport(inspection);
  assert.deepEqual(JSON.parse(renderPlan(report, 'json')), report);
  assert.deepEqual(parse(renderPlan(report, 'yaml')), report);
  assert.deepEqual(report.summary, { register: 2, update: 1, deregister: 1, leftAlone: 1, notCompared: 0 });
});

test('drift is what Roster would mend, not what it leaves alone', () => {
  assert.equal(driftIn(planReport(inspection)), 'drift');
  const held = inspection.keys.map((each) => ({ ...each, plan: { ...each.plan, changes: [] } }));
  assert.equal(driftIn(planReport({ keys: held })), 'none');
});

test('a registry that did not answer is neither drift nor the lack of it', () => {
  const problems = [{ code: 'RegistryUnreachable', message: 'no connection' }];
  const report = planReport({ keys: [...inspection.keys, key('etcd', 'shop/web', { compared: false, problems })] });
  assert.equal(driftIn(report), 'unknown');
  assert.match(renderPlan(report, 'table'), /, 1 left alone, 1 not compared\n$/);
});

test('text from the cluster cannot move the cursor or break a row', () => {
  const evil = instance('shop/web', '10.0.0.7', { service: 'a\u001b[2J\nb' });
  const plan = { changes: [{ action: 'register', instance: evil, reason: 'EndpointAdded' }], leftAlone: [] } as const;
  const drawn = renderPlan(planReport({ keys: [key('consul', 'shop/web', { plan })] }), 'table');
  assert.ok(!drawn.includes('\u001b'));
  assert.equal(drawn.split('\n').length, 5);
});
