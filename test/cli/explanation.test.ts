import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explanation, renderExplanation } from '../../src/cli/explanation.ts';
import type { Inspection } from '../../src/operator/reporting/inspect.ts';
import { instance, text } from './fixtures.ts';

const inspection: Inspection = {
  keys: [
    {
      registry: 'own',
      service: 'shop/web',
      compared: true,
      plan: { changes: [], leftAlone: [] },
      leased: 0,
      endpoints: [],
      problems: [{ code: 'RegistryNotFound', message: 'there is no Registry shop/own' }],
    },
    {
      registry: 'consul',
      service: 'shop/web',
      compared: true,
      plan: {
        changes: [{ action: 'register', instance: instance('shop/web', '10.0.0.7'), reason: 'EndpointAdded' }],
        leftAlone: [],
      },
      leased: 2,
      endpoints: [
        { address: '10.0.0.7', port: 8080, family: 'IPv4', included: true, rule: 'ready' },
        { address: 'fd00::8', port: 8080, family: 'IPv6', included: false, rule: 'not ready, and health is ReadyOnly' },
      ],
      problems: [],
    },
    {
      registry: 'consul',
      service: 'shop/api',
      compared: true,
      plan: { changes: [], leftAlone: [] },
      leased: 0,
      endpoints: [],
      problems: [],
    },
  ],
};

test('each endpoint is shown as in or out, with the rule, for each registry, and what would change', () => {
  assert.equal(
    renderExplanation(explanation('shop/web', inspection), 'table'),
    text(`
      Service shop/web in registry consul

      ENDPOINT         FAMILY   DECISION   RULE
      10.0.0.7:8080    IPv4     in         ready
      [fd00::8]:8080   IPv6     out        not ready, and health is ReadyOnly

      Leased: 2, which vanish when no operator keeps them alive

      ACTION     SERVICE    NAME   ENDPOINT        REGISTRY   REASON
      register   shop/web   web    10.0.0.7:8080   consul     EndpointAdded

      1 to register, 0 to update, 0 to deregister, 0 left alone

      Service shop/web in registry own

      It has no endpoints.

      Problems:
        RegistryNotFound: there is no Registry shop/own

      0 to register, 0 to update, 0 to deregister, 0 left alone
      `),
  );
});

test('a Service that nothing covers is said to be so', () => {
  assert.equal(
    renderExplanation(explanation('shop/cart', inspection), 'table'),
    'No registration covers Service shop/cart, and no registry holds entries of it.\n',
  );
});

test('JSON holds one entry for each registry', () => {
  const json = JSON.parse(renderExplanation(explanation('shop/web', inspection), 'json'));
  assert.equal(json.service, 'shop/web');
  assert.deepEqual(
    json.registries.map(({ registry }: { registry: string }) => registry),
    ['consul', 'own'],
  );
  assert.deepEqual(json.registries[0].endpoints[1], {
    endpoint: '[fd00::8]:8080',
    family: 'IPv6',
    included: false,
    rule: 'not ready, and health is ReadyOnly',
  });
  assert.deepEqual(json.registries[0].plan.summary, {
    register: 1,
    update: 0,
    deregister: 0,
    leftAlone: 0,
    notCompared: 0,
  });
});
