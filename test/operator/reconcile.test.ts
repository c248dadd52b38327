import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Registration } from '../../src/api/kinds.generated.ts';
import type { Change } from '../../src/mirror/change.ts';
import { createClaimIndex } from '../../src/mirror/claims.ts';
import type { View } from '../../src/mirror/view.ts';
import type { Guard } from '../../src/operator/deletion-guards.ts';
import { confirmClaims, reconcile, type Seen, withClaims } from '../../src/operator/reconcile.ts';
import { createLedger } from '../../src/operator/registry/ledger.ts';
import type { RegistryWorker } from '../../src/operator/registry/registry-worker.ts';
import { RegistryError, type RegistryErrorCode } from '../../src/registries/error.ts';
import type { ChangeResult } from '../../src/registries/registry.ts';
import { endpoint, instance, registration, service, slice, view } from '../mirror/objects.ts';

const OLD = '2025-01-01T00:00:00Z';

/** A Service under the name `fixed`, by a registration of its own. */
const seen = (
  owner: string,
  of: readonly Registration[] = [registration({ name: 'fixed' }, { name: owner.split('/')[1] ?? '' })],
): Seen => view({ owner, service: { state: 'present', object: service(owner) }, covering: of });

describe('the claims of Services that are looked at one after the other', () => {
  const older = registration({ name: 'fixed', serviceRef: { name: 'api' } }, { name: 'api', creationTimestamp: OLD });
  const holderOf = (of: View) => of.claims['fixed']?.[0]?.owner;

  it('are brought up to date, and those that they touch look again', () => {
    const index = createClaimIndex();
    const touched: string[] = [];
    withClaims(seen('shop/web'), index, (owner) => touched.push(owner));
    assert.equal(touched.length, 0);
    const after = withClaims(seen('shop/api', [older]), index, (owner) => touched.push(owner));
    assert.deepEqual(touched, ['shop/web']);
    assert.equal(holderOf(after), 'shop/api');
  });

  it('are lost only to what the holder claims now, not to what it claimed when it was looked at last', () => {
    const index = createClaimIndex();
    const touched: string[] = [];
    withClaims(seen('shop/api', [older]), index, () => {});
    const mine = withClaims(seen('shop/web'), index, () => {});
    assert.equal(holderOf(mine), 'shop/api');
    const now = (owner: string) => seen(owner, []);
    const confirmed = confirmClaims(mine, index, (owner) => touched.push(owner), now);
    assert.equal(holderOf(confirmed), 'shop/web');
    assert.deepEqual(touched, [], 'the one that asks needs no second look');
  });

  it('are lost to a holder that claims the same now', () => {
    const index = createClaimIndex();
    withClaims(seen('shop/api', [older]), index, () => {});
    const mine = withClaims(seen('shop/web'), index, () => {});
    let looks = 0;
    const confirmed = confirmClaims(
      mine,
      index,
      () => {},
      (owner) => {
        looks++;
        return seen(owner, [older]);
      },
    );
    assert.equal(holderOf(confirmed), 'shop/api');
    assert.equal(looks, 1);
  });

  it('pass to the next holder when the first has given up, and that one is asked too', () => {
    const index = createClaimIndex();
    const second = registration(
      { name: 'fixed', serviceRef: { name: 'db' } },
      { name: 'db', creationTimestamp: '2025-06-01T00:00:00Z' },
    );
    withClaims(seen('shop/api', [older]), index, () => {});
    withClaims(seen('shop/db', [second]), index, () => {});
    const mine = withClaims(seen('shop/web'), index, () => {});
    const asked: string[] = [];
    const touched: string[] = [];
    const confirmed = confirmClaims(
      mine,
      index,
      (owner) => touched.push(owner),
      (owner) => {
        asked.push(owner);
        return owner === 'shop/db' ? seen(owner, [second]) : seen(owner, []);
      },
    );
    assert.equal(holderOf(confirmed), 'shop/db');
    assert.deepEqual([asked, touched], [['shop/api', 'shop/db'], ['shop/db']]);
  });

  it('need nobody’s word when nothing is lost', () => {
    const index = createClaimIndex();
    const mine = withClaims(seen('shop/web'), index, () => {});
    confirmClaims(
      mine,
      index,
      () => {},
      () => assert.fail('nobody is to be asked'),
    );
  });
});

describe('a reconcile', () => {
  const error = (code: RegistryErrorCode, details = {}) => new RegistryError(code, `it is ${code}`, details);

  /** Lets everything go but these addresses. */
  const holding = (...addresses: string[]): Guard & { readonly acknowledgedIds: string[] } => {
    const acknowledgedIds: string[] = [];
    return {
      acknowledgedIds,
      judge(_, { changes, leftAlone }) {
        const isHeld = ({ action, instance: one }: Change) =>
          action === 'deregister' && addresses.includes(one.address);
        const held = changes.filter(isHeld).map(({ instance: one }) => one);
        return {
          plan: {
            changes: changes.filter((change) => !isHeld(change)),
            leftAlone: [
              ...leftAlone,
              ...held.map((one) => ({ instance: one, because: 'deletion-guard' as const, message: 'held' })),
            ],
          },
          ...(held.length > 0 ? { againMs: 9_000 } : {}),
        };
      },
      acknowledged: (_, ids) => acknowledgedIds.push(...ids),
    };
  };

  async function run(
    of: Partial<View>,
    answer: (change: Change) => ChangeResult = () => ({ ok: true }),
    guard: Guard = holding(),
  ) {
    const submitted: Change[] = [];
    const reported: string[] = [];
    const queued: string[] = [];
    const worker = {
      ledger: createLedger(),
      claims: createClaimIndex(),
      queue: { add: (owner: string) => queued.push(owner) },
      registry: { normalise: (one: unknown) => ({ ok: true, instance: one }) },
      writer: {
        async submit(changes: readonly Change[]) {
          submitted.push(...changes);
          return changes.map(answer);
        },
      },
      report: (one: RegistryError) => reported.push(one.code),
    } as unknown as RegistryWorker;
    const done = await reconcile(worker, 'shop/web', { look: () => view(of), guard });
    const outcome = done.outcomes.get('ServiceRegistration/shop/web');
    return { ...done, outcome, submitted, reported, queued };
  }
  const two = { slices: [slice([endpoint('10.0.0.1'), endpoint('10.0.0.2')])] };

  it('submits its plan, and is done when all of it was taken', async () => {
    const { submitted, result, outcome } = await run(two);
    assert.deepEqual(
      submitted.map(({ action }) => action),
      ['register', 'register'],
    );
    assert.deepEqual(result, { kind: 'done' });
    assert.deepEqual([outcome?.desired, outcome?.standing, outcome?.refused], [2, 2, []]);
  });

  it('is tried again when something was refused, and tells what', async () => {
    const { result, outcome, reported } = await run(two, ({ instance: { address } }) =>
      address === '10.0.0.2' ? { ok: false, error: error('rate-limited', { retryAfterMs: 7_000 }) } : { ok: true },
    );
    assert.deepEqual(result, { kind: 'retry', afterMs: 7_000 });
    assert.deepEqual(reported, ['rate-limited']);
    assert.deepEqual([outcome?.desired, outcome?.standing], [2, 1]);
    assert.deepEqual(outcome?.refused, [
      { instance: 'prod/shop/web/10.0.0.2:8080', code: 'RateLimited', message: 'it is rate-limited', permanent: false },
    ]);
  });

  const refusals: readonly [code: RegistryErrorCode, failure: string, permanent: boolean][] = [
    ['invalid', 'RegistryRefused', true],
    ['forbidden', 'RegistryRefused', true],
    ['unauthorized', 'RegistryRefused', true],
    ['not-found', 'RegistryRefused', true],
    ['unsupported', 'RegistryRefused', true],
    ['too-large', 'TooLarge', true],
    ['conflict', 'RegistryRefused', false],
    ['rate-limited', 'RateLimited', false],
    ['unreachable', 'RegistryUnreachable', false],
    ['timeout', 'RegistryUnreachable', false],
    ['unavailable', 'RegistryUnreachable', false],
    ['protocol', 'RegistryUnreachable', false],
    ['aborted', 'RegistryUnreachable', false],
    ['closed', 'RegistryUnreachable', false],
  ];
  for (const [code, failure, permanent] of refusals) {
    it(`takes ${code} for ${failure}, ${permanent ? 'for good' : 'for now'}`, async () => {
      const { outcome, result } = await run({}, () => ({ ok: false, error: error(code) }));
      assert.deepEqual(
        outcome?.refused.map((one) => [one.code, one.permanent]),
        [[failure, permanent]],
      );
      assert.equal(result.kind, 'retry');
      assert.equal(
        result.kind === 'retry' && (result.afterMs ?? 0) >= 60_000,
        permanent,
        'what is for good is seldom tried',
      );
    });
  }

  it('looks again in half a minute while an absence is being confirmed', async () => {
    const given = { observed: [instance('10.9.9.9')], service: { state: 'missing' }, slices: [] } as const;
    const { result, outcome } = await run(given);
    assert.deepEqual(result, { kind: 'retry', afterMs: 30_000 });
    assert.match(outcome?.held ?? '', /being confirmed/);
  });

  it('counts what a policy withholds', async () => {
    const { outcome, submitted } = await run({ ...two, covering: [registration({ updatePolicy: 'DryRun' })] });
    assert.deepEqual([outcome?.withheld, outcome?.standing, submitted], [2, 0, []]);
  });

  it('tells a failed removal to the registration that the entry names', async () => {
    const given = { observed: [instance('10.0.0.1'), instance('10.9.9.9')] };
    const { outcome } = await run(given, () => ({ ok: false, error: error('forbidden') }));
    assert.deepEqual(
      outcome?.refused.map((one) => one.instance),
      ['prod/shop/web/10.9.9.9:8080'],
    );
  });

  it('writes what the deletion guard lets go, tells it what was taken, and looks again when more may be free', async () => {
    const given = { observed: [instance('10.0.0.1'), instance('10.9.9.8'), instance('10.9.9.9')] };
    const guard = holding('10.9.9.9');
    const { submitted, result, outcome } = await run(given, undefined, guard);
    assert.deepEqual(
      submitted.map(({ action, instance: { address } }) => `${action} ${address}`),
      ['deregister 10.9.9.8'],
    );
    assert.deepEqual(guard.acknowledgedIds, ['prod/shop/web/10.9.9.8:8080']);
    assert.deepEqual(result, { kind: 'retry', afterMs: 9_000 });
    assert.deepEqual([outcome?.desired, outcome?.standing], [1, 1]);
  });

  it('does not tell the deletion guard of removals that the registry refused', async () => {
    const guard = holding();
    await run(
      { observed: [instance('10.0.0.1'), instance('10.9.9.8')] },
      () => ({ ok: false, error: error('timeout') }),
      guard,
    );
    assert.deepEqual(guard.acknowledgedIds, []);
  });

  it('says of which registration it speaks', async () => {
    const of = registration({}, { uid: 'u', generation: 7, annotations: { 'roster.dev/reconcile-at': 'now' } });
    const { outcome } = await run({ covering: [of] });
    assert.deepEqual([outcome?.uid, outcome?.generation, outcome?.reconcileAt], ['u', 7, 'now']);
  });
});
