import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Candidate, type LeaseOptions, standForLease, type Term } from '../../src/kubernetes/lease.ts';
import { virtualClock } from '../virtual-clock.ts';
import { type Fate, leaseServer, ownClock, PROMPT } from './lease-server.ts';

const NAME = 'roster-prod-1a2b3c4d';

interface Standing {
  readonly candidate: Candidate;
  readonly terms: Term[];
  readonly told: string[];
  readonly clock: ReturnType<typeof ownClock>;
  valid(): boolean;
  fate: Fate;
}

function stage(random = () => 0.5) {
  const clock = virtualClock();
  const server = leaseServer(clock);
  const stand = (
    identity: string,
    options: Partial<LeaseOptions> & { rate?: number; fates?: () => Fate } = {},
  ): Standing => {
    const own = ownClock(clock, options.rate);
    const terms: Term[] = [];
    const told: string[] = [];
    const standing: Standing = {
      candidate: standForLease({
        client: server.client(identity, own, () => options.fates?.() ?? standing.fate),
        clock: own,
        random,
        wallClock: () => new Date(1_780_000_000_000 + clock.now()),
        namespace: 'roster-system',
        name: NAME,
        identity,
        onTerm(term) {
          terms.push(term);
          told.push(`leads at ${Math.round(clock.now())}`);
        },
        onEnd: (why) => told.push(`ended: ${why}`),
        onHolder: (holder) => told.push(`holder ${holder ?? 'nobody'}`),
        onError: ({ status }) => told.push(`error ${status}`),
        ...options,
      }),
      terms,
      told,
      clock: own,
      valid: () => terms.at(-1)?.isValid() === true,
      fate: PROMPT,
    };
    return standing;
  };
  const until = async (what: () => boolean, limitMs: number): Promise<number> => {
    const began = clock.now();
    while (!what()) {
      assert.ok(clock.now() - began < limitMs, `not within ${limitMs} ms`);
      await clock.advance(50);
    }
    return clock.now() - began;
  };
  return { clock, server, stand, until };
}

const forever = new AbortController().signal;

describe('a candidate for a Lease', () => {
  it('makes one that is not there, readable for other tools, with its labels and annotations', async () => {
    const { clock, server, stand } = stage();
    const metadata = {
      labels: { 'app.kubernetes.io/name': 'roster' },
      annotations: { 'roster.dev/registry': 'consul' },
    };
    const a = stand('a', { metadata });
    await clock.advance(100);
    assert.ok(a.valid());
    const { metadata: stored, spec } = server.leases.get(NAME) ?? {};
    assert.deepEqual([stored?.['labels'], stored?.['annotations']], [metadata.labels, metadata.annotations]);
    assert.match(String(spec?.['renewTime']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.deepEqual(spec, {
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: spec?.['renewTime'],
      renewTime: spec?.['renewTime'],
      leaseTransitions: 0,
    });
  });

  it('renews it about every 2 s, keeps what others wrote on it, and says since when it holds it', async () => {
    const { clock, server, stand } = stage();
    const a = stand('a');
    await clock.advance(100);
    const { acquireTime } = server.leases.get(NAME)?.spec ?? {};
    const { metadata, spec } = server.leases.get(NAME) ?? {};
    server.put(NAME, { ...metadata, labels: { team: 'x' } }, spec);
    await clock.advance(60_000);
    assert.ok(a.valid());
    assert.equal(a.terms.length, 1);
    const after = server.leases.get(NAME);
    assert.deepEqual([after?.spec['acquireTime'], after?.metadata['labels']], [acquireTime, { team: 'x' }]);
    const writes = server.requests.filter(({ method }) => method === 'PUT').length;
    assert.ok(writes >= 25 && writes <= 35, `${writes} writes`);
  });

  it('does not take one that another holds, for however long', async () => {
    const { clock, stand } = stage();
    const a = stand('a');
    await clock.advance(100);
    const b = stand('b');
    await clock.advance(600_000);
    assert.deepEqual([a.valid(), b.valid(), b.candidate.holder], [true, false, 'a']);
    assert.equal(b.terms.length, 0);
  });

  it('takes it at the latest 17 s after its holder crashed, and counts the change of holder', async () => {
    const { clock, server, stand, until } = stage();
    const a = stand('a');
    await clock.advance(100);
    const b = stand('b');
    await clock.advance(31_234);
    a.clock.stop();
    const ms = await until(() => b.valid(), 30_000);
    assert.ok(ms > 10_000 && ms <= 17_000, `${ms} ms`);
    assert.equal(server.leases.get(NAME)?.spec['leaseTransitions'], 1);
    assert.ok(!a.valid());
  });

  it('takes it within 1 s when its holder leaves, which gives up its term before it says so', async () => {
    const { clock, server, stand, until } = stage();
    const a = stand('a');
    await clock.advance(100);
    const b = stand('b');
    await clock.advance(5_000);
    const leaving = a.candidate.leave('release', forever);
    const ms = await until(() => {
      if (server.holder(NAME) !== 'a') assert.ok(!a.valid());
      return b.valid();
    }, 5_000);
    await leaving;
    assert.ok(ms <= 1_050, `${ms} ms`);
    await clock.advance(60_000);
    assert.deepEqual([a.terms.length, a.valid(), b.valid()], [1, false, true]);
  });

  it('leaves a Lease that nobody holds to others for as long as it is asked to', async () => {
    const { clock, stand, until } = stage();
    let held = 4;
    const a = stand('a', { reluctanceMs: () => held * 250 });
    await clock.advance(400);
    assert.ok(!a.valid());
    held = 2;
    const ms = await until(() => a.valid(), 2_000);
    assert.ok(ms >= 100, `${ms} ms`);
  });

  it('removes its Lease only while it holds it', async () => {
    const { clock, server, stand } = stage();
    const a = stand('a');
    await clock.advance(100);
    const b = stand('b');
    await clock.advance(2_500);
    await Promise.all([b.candidate.leave('remove', forever), clock.advance(100)]);
    assert.equal(server.holder(NAME), 'a');
    await Promise.all([a.candidate.leave('remove', forever), clock.advance(100)]);
    assert.equal(server.leases.size, 0);
  });
});

describe('an API server that fails', () => {
  it('makes nobody leader, and ends the term 10 s after the last renewal', async () => {
    const { clock, stand, until } = stage();
    const a = stand('a');
    await clock.advance(100);
    const b = stand('b');
    await clock.advance(10_000);
    for (const one of [a, b]) one.fate = { ...PROMPT, end: 'refused' };
    const ms = await until(() => !a.valid(), 20_000);
    assert.ok(ms > 7_500 && ms <= 10_050, `${ms} ms`);
    assert.equal(a.terms[0]?.signal.aborted, true);
    await clock.advance(120_000);
    assert.deepEqual([a.valid(), b.valid()], [false, false]);
    assert.ok(b.told.includes('error 503'));
  });

  it('for less than that changes nothing', async () => {
    const { clock, stand } = stage();
    const a = stand('a');
    await clock.advance(100);
    const b = stand('b');
    await clock.advance(10_000);
    for (const end of ['refused', 'lost', 'unheard'] as const) {
      for (const one of [a, b]) one.fate = { ...PROMPT, end };
      await clock.advance(4_000);
      for (const one of [a, b]) one.fate = PROMPT;
      await clock.advance(10_000);
    }
    assert.deepEqual([a.terms.length, a.valid(), b.terms.length], [1, true, 0]);
  });

  it('and comes back after longer lets the holder go on at once, since nobody else has had the Lease', async () => {
    const { clock, stand, until } = stage();
    const a = stand('a');
    await clock.advance(2_500);
    a.fate = { ...PROMPT, end: 'unheard' };
    await clock.advance(60_000);
    assert.ok(!a.valid());
    a.fate = PROMPT;
    const ms = await until(() => a.valid(), 10_000);
    assert.ok(ms < 5_500, `${ms} ms`);
    assert.deepEqual(
      a.told.filter((line) => line.startsWith('holder')),
      ['holder a'],
    );
  });

  it('and loses the answer to the one who took the Lease keeps nobody waiting for its expiry', async () => {
    const { clock, server, stand, until } = stage();
    let asked = 0;
    const a = stand('a', { fates: () => ({ ...PROMPT, end: ++asked === 2 ? 'lost' : 'answered' }) });
    await clock.advance(100);
    assert.deepEqual([server.holder(NAME), a.valid()], ['a', false]);
    const ms = await until(() => a.valid(), 10_000);
    assert.ok(ms <= 5_000, `${ms} ms`);
  });
});

describe('a Lease that somebody else touches', () => {
  it('is given up by its holder at the next renewal when another name stands in it', async () => {
    const { clock, server, stand } = stage();
    const a = stand('a');
    await clock.advance(100);
    const { metadata, spec } = server.leases.get(NAME) ?? {};
    server.put(NAME, { ...metadata }, { ...spec, holderIdentity: 'somebody' });
    await clock.advance(2_300);
    assert.deepEqual([a.valid(), a.candidate.holder], [false, 'somebody']);
    await clock.advance(12_000);
    assert.equal(a.terms.length, 1);
    await clock.advance(5_000);
    assert.ok(a.valid());
  });

  it('is not free for who has seen its holder when it is deleted, and the holder makes it again', async () => {
    const { clock, server, stand } = stage();
    const a = stand('a');
    await clock.advance(100);
    const b = stand('b');
    await clock.advance(1_000);
    server.leases.delete(NAME);
    await clock.advance(30_000);
    assert.deepEqual([a.valid(), a.terms.length, b.terms.length, server.holder(NAME)], [true, 1, 0, 'a']);
  });

  it('with our own name from an older time, as after a restore, is waited for like that of anybody', async () => {
    const { clock, server, stand, until } = stage();
    const a = stand('a');
    await clock.advance(100);
    await clock.advance(5_000);
    const b = stand('b');
    a.clock.stop();
    const old = server.leases.get(NAME);
    await until(() => b.valid(), 30_000);
    a.clock.goOn();
    await clock.advance(3_000);
    server.put(NAME, { ...old?.metadata }, old?.spec);
    const ms = await until(() => !b.valid(), 5_000);
    assert.ok(ms <= 2_500);
    assert.ok(!a.valid());
    await until(() => a.valid() || b.valid(), 20_000);
  });
});

describe('the question whether the term still stands', () => {
  const asked = async (disturb: (all: ReturnType<typeof stage>, a: Standing) => void) => {
    const all = stage();
    const a = all.stand('a');
    await all.clock.advance(100);
    disturb(all, a);
    const answer = a.candidate.confirm();
    await all.clock.advance(7_000);
    return answer;
  };

  it('is answered by renewing it', async () => assert.equal(await asked(() => {}), 'leading'));

  it('is answered although somebody labelled the Lease', async () => {
    const answer = await asked(({ server }) => {
      const { metadata, spec } = server.leases.get(NAME) ?? {};
      server.put(NAME, { ...metadata, labels: { team: 'x' } }, spec);
    });
    assert.equal(answer, 'leading');
  });

  it('is answered with no when another holds it', async () => {
    const answer = await asked(({ server }) => {
      const { metadata, spec } = server.leases.get(NAME) ?? {};
      server.put(NAME, { ...metadata }, { ...spec, holderIdentity: 'b' });
    });
    assert.equal(answer, 'lost');
  });

  it('has no answer while the API server gives none', async () => {
    const answer = await asked((_, a) => {
      a.fate = { ...PROMPT, end: 'unheard' };
    });
    assert.equal(answer, 'unknown');
  });
});

describe('two or three candidates, whatever happens to their requests and to themselves', () => {
  const fate: fc.Arbitrary<Fate> = fc.record({
    thereMs: fc.oneof({ weight: 4, arbitrary: fc.nat(50) }, { weight: 1, arbitrary: fc.nat(20_000) }),
    backMs: fc.oneof({ weight: 4, arbitrary: fc.nat(50) }, { weight: 1, arbitrary: fc.nat(20_000) }),
    end: fc.oneof(
      { weight: 12, arbitrary: fc.constant('answered' as const) },
      { weight: 1, arbitrary: fc.constantFrom('refused' as const, 'lost' as const, 'unheard' as const) },
    ),
  });
  const happening = fc.record({
    after: fc.nat(12_000),
    who: fc.nat(2),
    what: fc.constantFrom('stop', 'goOn', 'goOn', 'leave', 'label', 'confirm'),
  });
  const story = fc.record({
    // A clock that runs a tenth too slow against one that runs a tenth too fast.
    rates: fc.array(fc.double({ min: 0.9, max: 1.1, noNaN: true }), { minLength: 2, maxLength: 3 }),
    fates: fc.array(fate, { minLength: 1, maxLength: 40 }),
    happenings: fc.array(happening, { maxLength: 25 }),
    random: fc.double({ min: 0, max: 0.999, noNaN: true }),
  });

  it('never have two valid terms at once, and one of them leads again when all is well', async () => {
    await fc.assert(
      fc.asyncProperty(story, async ({ rates, fates, happenings, random }) => {
        const { clock, server, stand, until } = stage(() => random);
        let next = 0;
        let well = false;
        const draw = (): Fate => (well ? PROMPT : (fates[next++ % fates.length] ?? PROMPT));
        const all = rates.map((rate, index) => stand(`c${index}`, { rate, fates: draw }));
        const left = new Set<Standing>();
        const check = () => assert.ok(all.filter((one) => one.valid()).length <= 1, 'two valid terms at once');
        const pass = async (ms: number) => {
          for (let passed = 0; passed < ms; passed += 250) {
            await clock.advance(250);
            check();
          }
        };
        for (const { after, who, what } of happenings) {
          await pass(after);
          const one = all[who % all.length];
          const lease = server.leases.get(NAME);
          if (one === undefined) continue;
          if (what === 'label' && lease)
            server.put(NAME, { ...lease.metadata, labels: { at: next } }, { ...lease.spec });
          else if (what === 'confirm') void one.candidate.confirm();
          else if (what === 'leave' && left.size + 1 < all.length) {
            left.add(one);
            void one.candidate.leave('release', forever);
          } else if (what === 'stop' || what === 'goOn') one.clock[what]();
          check();
        }
        well = true;
        for (const one of all) one.clock.goOn();
        await pass(25_000);
        await until(() => all.some((one) => one.valid()), 45_000);
        check();
        assert.ok(all.filter((one) => one.valid()).every((one) => !left.has(one)));
        await Promise.all([...all.map((one) => one.candidate.leave('silently', forever)), clock.advance(60_000)]);
      }),
      { numRuns: 150 },
    );
  });
});
