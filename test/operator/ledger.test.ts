import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Change } from '../../src/mirror/change.ts';
import { canonical, type Instance } from '../../src/mirror/instance.ts';
import { createLedger, type Ledger } from '../../src/operator/registry/ledger.ts';
import { instance } from '../mirror/objects.ts';

const OWNERS = ['shop/web', 'shop/api', 'other/web'];
const register = (one: Instance): Change => ({ action: 'register', instance: one, reason: 'EndpointAdded' });
const deregister = (one: Instance): Change => ({ action: 'deregister', instance: one, reason: 'EndpointRemoved' });

const contents = (ledger: Ledger): readonly string[] =>
  [...ledger.owners()]
    .flatMap((owner) => ledger.owned(owner))
    .map(canonical)
    .sort();

describe('the ledger', () => {
  it('knows nothing before the first complete list, and says so', () => {
    const ledger = createLedger();
    assert.equal(ledger.loaded, false);
    const take = ledger.beginList();
    assert.equal(ledger.loaded, false);
    assert.deepEqual(take([]), []);
    assert.equal(ledger.loaded, true);
  });

  it('tells which Services differ from what was known', () => {
    const ledger = createLedger();
    const [a, b, c] = [
      instance('10.0.0.1'),
      instance('10.0.0.1', {}, 'shop/api'),
      instance('10.0.0.1', {}, 'other/web'),
    ];
    assert.deepEqual([...ledger.beginList()([a, b])].sort(), ['shop/api', 'shop/web']);
    assert.deepEqual(ledger.beginList()([b, a]), []);
    assert.deepEqual([...ledger.beginList()([{ ...a, weight: 1 }, c])].sort(), ['other/web', 'shop/api', 'shop/web']);
    assert.deepEqual(ledger.owned('shop/api'), []);
    assert.equal(ledger.has('shop/api'), false);
  });

  it('believes an acknowledgement more than a list that was asked for before it', () => {
    const ledger = createLedger();
    const [old, fresh] = [instance('10.0.0.1'), instance('10.0.0.1', { weight: 1 })];
    ledger.beginList()([old]);
    const take = ledger.beginList();
    ledger.acknowledge({ action: 'update', instance: fresh, previous: old, reason: 'Changed' });
    assert.deepEqual(take([old]), []);
    assert.deepEqual(ledger.owned('shop/web'), [fresh]);
  });

  it('believes a list more than an acknowledgement from before it was asked for', () => {
    const ledger = createLedger();
    ledger.beginList()([]);
    ledger.acknowledge(register(instance('10.0.0.1')));
    assert.deepEqual(ledger.beginList()([]), ['shop/web']);
    assert.deepEqual(contents(ledger), []);
  });

  it('does not bring back what was removed while the list was on its way', () => {
    const ledger = createLedger();
    const one = instance('10.0.0.1');
    ledger.beginList()([one]);
    const take = ledger.beginList();
    ledger.acknowledge(deregister(one));
    take([one]);
    assert.deepEqual(contents(ledger), []);
    assert.equal(ledger.size, 0);
  });

  it('is not confused by a list that failed', () => {
    const ledger = createLedger();
    ledger.beginList()([instance('10.0.0.1')]);
    ledger.beginList();
    ledger.acknowledge(register(instance('10.0.0.2')));
    assert.deepEqual(ledger.beginList()([]), ['shop/web']);
    assert.equal(ledger.size, 0);
  });

  it('keeps a removal of what is not there, and a second registration, for what they are', () => {
    const ledger = createLedger();
    ledger.acknowledge(deregister(instance('10.0.0.1')));
    ledger.acknowledge(register(instance('10.0.0.2')));
    ledger.acknowledge(register(instance('10.0.0.2', { weight: 1 })));
    assert.equal(ledger.size, 1);
    assert.equal(ledger.countOf('ServiceRegistration/shop/web'), 1);
  });

  const anyInstance = fc
    .record({
      owner: fc.constantFrom(...OWNERS),
      address: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3'),
      weight: fc.constantFrom(1, 2),
      registration: fc.constantFrom('A/x', 'A/y'),
      retained: fc.boolean(),
    })
    .map(({ owner, address, weight, registration, retained }) =>
      instance(address, { weight, marks: { registration, retained } }, owner),
    );
  const command = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constantFrom('register' as const, 'deregister' as const), anyInstance) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom('drift' as const, 'vanish' as const), anyInstance) },
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom('ask' as const, 'answer' as const), anyInstance) },
  );

  // The registry answers a list with what stood at some moment between the question and the answer; `ask` is that moment here.
  it('equals the registry after a list in any interleaving with acknowledgements, and its counts always equal a recount', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const ledger = createLedger();
        const truth = new Map<string, Instance>();
        let asked: { take: ReturnType<Ledger['beginList']>; answer: readonly Instance[] } | undefined;
        const list = () => ({ take: ledger.beginList(), answer: [...truth.values()] });
        for (const [what, one] of commands) {
          if (what === 'register' || what === 'drift') truth.set(one.id, one);
          if (what === 'deregister' || what === 'vanish') truth.delete(one.id);
          if (what === 'register') ledger.acknowledge(register(one));
          if (what === 'deregister') ledger.acknowledge(deregister(one));
          if (what === 'ask') asked ??= list();
          if (what === 'answer' && asked !== undefined) {
            asked.take(asked.answer);
            asked = undefined;
          }
          recount(ledger);
        }
        asked?.take(asked.answer);
        const before = new Map(OWNERS.map((owner) => [owner, ledger.owned(owner).map(canonical).sort().join()]));
        const { take, answer } = list();
        const changed = take(answer);
        recount(ledger);
        assert.deepEqual(contents(ledger), [...truth.values()].map(canonical).sort());
        for (const owner of OWNERS) {
          const after = ledger.owned(owner).map(canonical).sort().join();
          assert.equal(
            changed.includes(owner),
            before.get(owner) !== after,
            `${owner} is told exactly when it differs`,
          );
        }
      }),
      { numRuns: 300 },
    );
  });

  it('knows exactly what stands when nobody else writes, whenever lists come and go', () => {
    const own = command.filter(([what]) => what !== 'drift' && what !== 'vanish');
    fc.assert(
      fc.property(fc.array(own, { maxLength: 40 }), (commands) => {
        const ledger = createLedger();
        ledger.beginList()([]);
        const truth = new Map<string, Instance>();
        let asked: { take: ReturnType<Ledger['beginList']>; answer: readonly Instance[] } | undefined;
        for (const [what, one] of commands) {
          if (what === 'register') truth.set(one.id, one);
          if (what === 'deregister') truth.delete(one.id);
          if (what === 'register') ledger.acknowledge(register(one));
          if (what === 'deregister') ledger.acknowledge(deregister(one));
          if (what === 'ask') asked ??= { take: ledger.beginList(), answer: [...truth.values()] };
          if (what === 'answer' && asked !== undefined) {
            assert.deepEqual(asked.take(asked.answer), [], 'no drift is seen where there is none');
            asked = undefined;
          }
          assert.deepEqual(contents(ledger), [...truth.values()].map(canonical).sort());
        }
      }),
      { numRuns: 300 },
    );
  });
});

function recount(ledger: Ledger): void {
  const all = [...ledger.owners()].flatMap((owner) => ledger.owned(owner));
  assert.equal(ledger.size, all.length);
  for (const registration of ['A/x', 'A/y', 'A/z']) {
    const mine = all.filter(({ marks }) => marks.registration === registration);
    assert.equal(ledger.countOf(registration), mine.length);
    assert.equal(ledger.unretainedOf(registration), mine.filter(({ marks }) => !marks.retained).length);
  }
  for (const owner of OWNERS) assert.equal(ledger.has(owner), ledger.owned(owner).length > 0);
}
