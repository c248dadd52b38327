import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { byPrecedence, type Claim, createClaimIndex, heldBy } from '../../src/mirror/claims.ts';

const claim = (owner: string, changes: Partial<Claim> = {}): Claim => ({
  owner,
  registration: `ServiceRegistration/${owner}`,
  registrationCreated: '2026-01-01T00:00:00Z',
  serviceCreated: '2026-01-01T00:00:00Z',
  mergeName: false,
  ...changes,
});

const EARLIER = '2025-01-01T00:00:00Z';

describe('a name that two Services claim', () => {
  const holderOf = (...claims: readonly Claim[]) => [...claims].sort(byPrecedence)[0]?.owner;

  const table: readonly [name: string, a: Claim, b: Claim, holder: string][] = [
    ['the older registration', claim('shop/b', { registrationCreated: EARLIER }), claim('shop/a'), 'shop/b'],
    [
      'the older Service of one registration',
      claim('shop/b', { registration: 'X/y', serviceCreated: EARLIER }),
      claim('shop/a', { registration: 'X/y' }),
      'shop/b',
    ],
    [
      'the older registration, whatever the age of the Services',
      claim('shop/b', { registrationCreated: EARLIER }),
      claim('shop/a', { serviceCreated: EARLIER }),
      'shop/b',
    ],
    [
      'the older Service of registrations of one second',
      claim('shop/b', { serviceCreated: EARLIER }),
      claim('shop/a'),
      'shop/b',
    ],
    ['the first by name of one second', claim('shop/a'), claim('shop/b'), 'shop/a'],
  ];
  for (const [name, a, b, holder] of table) {
    it(`is kept by ${name}`, () => {
      assert.equal(holderOf(a, b), holder);
      assert.equal(holderOf(b, a), holder);
    });
  }

  it('is nobody else’s for its holder, and the holder’s for the others', () => {
    const claims = [claim('shop/a'), claim('shop/b')].sort(byPrecedence);
    assert.equal(heldBy('shop/a', claims), undefined);
    assert.equal(heldBy('shop/b', claims)?.owner, 'shop/a');
    assert.equal(heldBy('shop/a', []), undefined);
  });

  it('is shared only when both say so', () => {
    for (const [first, second] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      const claims = [claim('shop/a', { mergeName: first }), claim('shop/b', { mergeName: second })];
      assert.equal(heldBy('shop/b', claims) === undefined, first && second);
    }
  });

  it('is not shared with one that says so, past one that does not', () => {
    const claims = [claim('shop/a'), claim('shop/b', { mergeName: true }), claim('shop/c', { mergeName: true })];
    assert.equal(heldBy('shop/c', claims)?.owner, 'shop/a');
  });

  it('belongs to a Service that is not among the claimants of it to nobody of them', () => {
    assert.equal(heldBy('shop/z', [claim('shop/a', { mergeName: true })])?.owner, 'shop/a');
  });
});

describe('the index of claims', () => {
  const owner = fc.constantFrom('shop/a', 'shop/b', 'shop/c', 'other/a');
  const name = fc.constantFrom('web', 'api', 'db', '__proto__');
  const claims = fc.dictionary(
    name,
    fc.record({
      registration: fc.constantFrom('X/1', 'X/2'),
      registrationCreated: fc.constantFrom(EARLIER, '2026-01-01T00:00:00Z'),
      serviceCreated: fc.constantFrom(EARLIER, '2026-01-01T00:00:00Z'),
      mergeName: fc.boolean(),
    }),
    { maxKeys: 3 },
  );
  const updates = fc.array(fc.tuple(owner, claims), { maxLength: 20 });
  const NAMES = ['web', 'api', 'db', '__proto__'];

  const asMap = (of: string, given: Readonly<Record<string, Omit<Claim, 'owner'>>>): ReadonlyMap<string, Claim> =>
    new Map(Object.entries(given).map(([key, value]) => [key, { owner: of, ...value }]));

  it('says after any updates what a recomputation says', () => {
    fc.assert(
      fc.property(updates, (steps) => {
        const index = createClaimIndex();
        const all = new Map<string, ReadonlyMap<string, Claim>>();
        for (const [of, given] of steps) {
          all.set(of, asMap(of, given));
          index.update(of, asMap(of, given));
        }
        for (const one of NAMES) {
          const expected = [...all.values()].flatMap((held) => held.get(one) ?? []).sort(byPrecedence);
          assert.deepEqual(index.on(one), expected);
        }
      }),
    );
  });

  it('does not depend on the order in which Services were looked at', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(owner, claims), { selector: ([of]) => of }),
        fc.infiniteStream(fc.nat()),
        (steps, dice) => {
          const [one, other] = [createClaimIndex(), createClaimIndex()];
          const shuffled = steps.map((step) => [dice.next().value, step] as const).sort(([a], [b]) => a - b);
          for (const [of, given] of steps) one.update(of, asMap(of, given));
          for (const [, [of, given]] of shuffled) other.update(of, asMap(of, given));
          for (const key of NAMES) assert.deepEqual(other.on(key), one.on(key));
        },
      ),
    );
  });

  it('names every other Service for which the holder of a name changes', () => {
    fc.assert(
      fc.property(updates, owner, claims, (steps, of, given) => {
        const index = createClaimIndex();
        for (const [step, what] of steps) index.update(step, asMap(step, what));
        const verdicts = () =>
          new Map(
            NAMES.flatMap((key) =>
              index.on(key).map((one) => [`${one.owner} ${key}`, heldBy(one.owner, index.on(key))?.owner] as const),
            ),
          );
        const before = verdicts();
        const touched = index.update(of, asMap(of, given));
        const after = verdicts();
        assert.ok(!touched.includes(of));
        for (const [key, holder] of after) {
          const [other = ''] = key.split(' ');
          if (other !== of && before.get(key) !== holder) assert.ok(touched.includes(other), `${other} is not told`);
        }
        assert.deepEqual(index.update(of, asMap(of, given)), [], 'the same claims again touch nobody');
      }),
    );
  });
});
