import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Evidence } from '../../src/mirror/change.ts';
import { desired } from '../../src/mirror/desired.ts';
import { planChanges } from '../../src/mirror/plan.ts';
import type { View } from '../../src/mirror/view.ts';
import { endpoint, instance, registration, service, slice, view } from './objects.ts';

const SELF = 'ServiceRegistration/shop/web';
const OTHER = 'ServiceRegistration/shop/other';
const stray = instance('10.9.9.9');
const going = service('shop/web', { meta: { deletionTimestamp: '2026-02-01T00:00:00Z' } });
const optedOut = service('shop/web', { meta: { annotations: { 'roster.dev/register': 'false' } } });

/** `reason evidence` of the one removal. */
function told(changes: Partial<View>): string | undefined {
  const given = view({ observed: [stray], ...changes });
  const plan = planChanges(
    given,
    desired(given, (one) => ({ ok: true, instance: one })),
  );
  const [removal, ...others] = plan.changes.flatMap((change) => (change.action === 'deregister' ? [change] : []));
  assert.deepEqual(others, []);
  return removal === undefined ? undefined : `${removal.reason} ${removal.evidence}`;
}

describe('what shows that an entry may go', () => {
  const of = (state: View['registrations'][string]) => ({
    covering: [],
    registrations: { [SELF]: state },
    policies: {},
  });
  const rows: readonly [name: string, changes: Partial<View>, told: `${string} ${Evidence}` | undefined][] = [
    ['newer slices without the address', {}, 'EndpointRemoved NewerVersion'],
    ['slices that are gone', { slices: [] }, 'EndpointRemoved NewerVersion'],
    ['an endpoint that was seen to terminate', { terminated: ['10.9.9.9'] }, 'EndpointRemoved ObjectDeleted'],
    ['another endpoint that was', { terminated: ['10.9.9.8'] }, 'EndpointRemoved NewerVersion'],
    [
      'an entry that was written while its Pod was being deleted',
      { observed: [instance('10.9.9.9', { health: 'draining' })] },
      'EndpointRemoved ObjectDeleted',
    ],
    [
      'an entry that was not healthy',
      { observed: [instance('10.9.9.9', { health: 'unhealthy' })] },
      'EndpointRemoved NewerVersion',
    ],
    ['a Service that was seen to be deleted', { service: { state: 'deleted' } }, 'ServiceDeleted ObjectDeleted'],
    ['a Service that was proved absent', { service: { state: 'proved-absent' } }, 'ServiceDeleted AbsenceProved'],
    [
      'a Service that is being deleted, as its endpoints go',
      { service: { state: 'present', object: going } },
      'EndpointRemoved ObjectDeleted',
    ],
    ['a Service that opted out', { service: { state: 'present', object: optedOut } }, 'OptedOut NewerVersion'],
    ['a registration that does not ask any more', of('elsewhere'), 'NotSelected NewerVersion'],
    ['a registration that is being deleted', of('deleting'), 'RegistrationDeleted ObjectDeleted'],
    ['a registration that was seen to be deleted', of('deleted'), 'RegistrationDeleted ObjectDeleted'],
    ['a registration that was proved absent', of('proved-absent'), 'RegistrationDeleted AbsenceProved'],
    [
      'a deletion that was seen, whatever was proved besides',
      { ...of('deleted'), service: { state: 'proved-absent' } },
      'RegistrationDeleted ObjectDeleted',
    ],
    [
      'a Service that was seen to be deleted, whatever was proved besides',
      { ...of('proved-absent'), service: { state: 'deleted' } },
      'ServiceDeleted ObjectDeleted',
    ],
    ['nothing, of a Service that is only missing', { service: { state: 'missing' } }, undefined],
    ['nothing, of a registration that is only missing', of('missing'), undefined],
  ];
  for (const [name, changes, expected] of rows) it(`is ${name}`, () => assert.equal(told(changes), expected));

  it('is looked for where the entry says: in the registration that it names', () => {
    const observed = [instance('10.9.9.9', { marks: { registration: OTHER } })];
    assert.equal(told({ observed, registrations: { [OTHER]: 'deleted' } }), 'RegistrationDeleted ObjectDeleted');
    assert.equal(
      told({ observed, registrations: { [OTHER]: 'proved-absent' }, covering: [registration()] }),
      'RegistrationDeleted AbsenceProved',
    );
  });

  it('is no reason to remove what is wanted', () => {
    const given = { observed: [instance('10.0.0.1')], slices: [slice([endpoint('10.0.0.1')])] };
    assert.equal(told({ ...given, terminated: ['10.0.0.1'] }), undefined);
  });
});
