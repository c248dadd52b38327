import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Change } from '../../src/mirror/change.ts';
import type { Instance } from '../../src/mirror/instance.ts';
import type { Term, Terms } from '../../src/operator/leading/terms.ts';
import { openRegistryWorker } from '../../src/operator/registry/registry-worker.ts';
import { ownedByAnother } from '../../src/registries/claim.ts';
import { RegistryError, type RegistryErrorCode } from '../../src/registries/error.ts';
import { instance } from '../mirror/objects.ts';
import { virtualClock } from '../virtual-clock.ts';
import { scriptedRegistry } from './scripted-registry.ts';

const entry = instance('10.0.0.1');
const change: Change = { action: 'register', instance: entry, reason: 'EndpointAdded' };
const error = (code: RegistryErrorCode, ambiguous = false) => new RegistryError(code, `it is ${code}`, { ambiguous });
const FENCED = error('fenced');

/** Terms that begin and end as the test says. */
function scriptedTerms() {
  let running: { readonly term: Term; readonly ending: AbortController; valid: boolean } | undefined;
  const waiting = new Set<() => void>();
  const terms: Terms & { verdict: Awaited<ReturnType<Terms['confirm']>>; asked: number } = {
    verdict: 'leading',
    asked: 0,
    get current() {
      return running?.valid ? running.term : undefined;
    },
    next: (signal) =>
      new Promise((resolve) => {
        waiting.add(() => resolve(running?.term));
        signal.addEventListener('abort', () => resolve(undefined));
      }),
    async confirm() {
      terms.asked++;
      if (terms.verdict === 'lost') end();
      return terms.verdict;
    },
  };
  const end = () => {
    running?.ending.abort();
    running = undefined;
  };
  return {
    terms,
    begin() {
      const ending = new AbortController();
      const mine = {
        ending,
        valid: true,
        term: { signal: ending.signal, isValid: () => mine.valid && !ending.signal.aborted },
      };
      running = mine;
      for (const wake of waiting) wake();
      waiting.clear();
    },
    end,
    /** By the clock it is over, and no timer has fired yet: the process was stopped. */
    expire() {
      if (running !== undefined) running.valid = false;
    },
  };
}

/** Of the cluster, then of the seat. */
async function answerClaims(registry: ReturnType<typeof scriptedRegistry>) {
  await registry.only('claim').answer();
  await registry.only('claim').answer();
}

function stage({ leads = true } = {}) {
  const clock = virtualClock();
  const registry = scriptedRegistry(clock, { claim: true });
  const { terms, begin, end, expire } = scriptedTerms();
  const told: string[] = [];
  const runs: string[] = [];
  let adopt: string | undefined;
  if (leads) begin();
  const worker = openRegistryWorker({
    id: 'ClusterRegistry/consul',
    cluster: 'prod',
    registry,
    clock,
    random: () => 1,
    terms,
    claimant: { seat: 'consul', owner: () => 'uid/roster-system', adopt: () => adopt },
    auditMs: () => 1_000_000,
    async reconcile(owner) {
      runs.push(owner);
      return { kind: 'done' };
    },
    onTerm: () => told.push('term'),
    onFenced: (_, disputed) => told.push(disputed ? 'disputed' : 'fenced'),
    onListed: (owners) => told.push(`listed ${owners ?? 'all'}`),
    onLink: (link) => told.push(link.state === 'down' ? `down ${link.error.code}` : link.state),
    onBlind: () => {},
    onWritten: ({ action }, result) => told.push(`${action} ${result.ok ? 'ok' : result.error.code}`),
    onBatch: () => {},
    onClosed: () => {},
    timing: {},
  });
  /** A claim is taken, and the registry holds this. */
  const claimAndList = async (instances: readonly Instance[] = []) => {
    await clock.advance(0);
    if (registry.open('check').length > 0) await registry.only('check').answer();
    await answerClaims(registry);
    if (registry.open('check').length > 0) await registry.only('check').answer();
    await registry.only('list').answer(instances);
  };
  const asked = () => registry.calls.map(({ operation }) => operation);
  return {
    clock,
    registry,
    worker,
    told,
    runs,
    terms,
    begin,
    end,
    expire,
    claimAndList,
    asked,
    adopt: (owner: string) => {
      adopt = owner;
    },
  };
}

describe('a registry that another replica leads', () => {
  it('is not asked for anything, and keeps what is to be looked at', async () => {
    const { clock, registry, worker, runs, told, begin, claimAndList } = stage({ leads: false });
    worker.queue.add('shop/web');
    await clock.advance(600_000);
    assert.deepEqual([registry.calls, registry.watches, runs, worker.link.state], [[], [], [], 'standby']);
    begin();
    await claimAndList([entry]);
    assert.deepEqual([runs, worker.link.state], [['shop/web'], 'up']);
    assert.deepEqual(told, ['standby', 'opening', 'term', 'listed all', 'up']);
  });

  it('is claimed before the complete list, and both before anything is decided', async () => {
    const { registry, worker, asked, claimAndList } = stage();
    worker.queue.add('shop/web');
    await claimAndList();
    assert.deepEqual(asked(), ['check', 'claim', 'claim', 'list']);
    const mine = { cluster: 'prod', owner: 'uid/roster-system' };
    assert.deepEqual([registry.calls[1]?.claim, registry.calls[2]?.claim], [mine, { ...mine, seat: 'consul' }]);
  });

  it('while this process was suspended between its term and its claim is neither read nor written', async () => {
    const { clock, registry, worker, terms, runs, asked } = stage();
    worker.queue.add('shop/web');
    await registry.only('check').answer();
    // By our own clock the term still runs.
    terms.verdict = 'lost';
    await answerClaims(registry);
    await clock.advance(100_000);
    assert.deepEqual(asked(), ['check', 'claim', 'claim']);
    assert.deepEqual([runs, terms.asked, worker.link.state], [[], 1, 'standby']);
  });

  it('for all that is known is not read before the election has said that we lead, which is asked once a second', async () => {
    const { clock, registry, worker, terms, asked } = stage();
    terms.verdict = 'unknown';
    await registry.only('check').answer();
    await answerClaims(registry);
    for (let second = 0; second < 3; second++) {
      await clock.advance(1_000);
      await registry.only('check').answer();
    }
    assert.deepEqual([terms.asked, asked().includes('list'), worker.link.state], [4, false, 'opening']);
    terms.verdict = 'leading';
    await clock.advance(1_000);
    await registry.only('check').answer();
    await registry.only('list').answer();
    assert.deepEqual([terms.asked, worker.link.state], [5, 'up']);
    await clock.advance(60_000);
    assert.equal(terms.asked, 5);
  });
});

describe('the end of a term', () => {
  it('stops all at once; the next one claims anew though the old claim is gone, and begins with a complete list', async () => {
    const { clock, registry, worker, runs, told, begin, end, claimAndList } = stage();
    await claimAndList([entry]);
    end();
    worker.queue.add('shop/web');
    await clock.advance(100_000);
    assert.deepEqual([runs, worker.link.state], [[], 'standby']);
    const before = registry.calls.length;
    begin();
    await clock.advance(0);
    await registry.only('check').fail(FENCED);
    await answerClaims(registry);
    await registry.only('check').answer();
    assert.deepEqual(runs, []);
    await registry.only('list').answer([entry]);
    assert.deepEqual(runs, ['shop/web']);
    assert.equal(registry.calls.length - before, 5);
    assert.ok(!told.includes('fenced'));
  });

  it('in the middle of a batch ends that, and sends none of what waits behind it', async () => {
    const { clock, registry, worker, end, claimAndList } = stage();
    await claimAndList();
    const many = Array.from({ length: 60 }, (_, n) => ({ ...change, instance: instance(`10.0.1.${n}`) }));
    const submitted = worker.writer.submit(many);
    await clock.advance(0);
    const sent = registry.open('apply').length;
    assert.equal(sent, 4);
    end();
    await clock.advance(10_000);
    const results = await submitted;
    assert.equal(registry.calls.filter(({ operation }) => operation === 'apply').length, sent);
    assert.ok(results.every((result) => !result.ok && result.error.code === 'aborted'));
  });

  it('that only the clock knows yet lets no batch out', async () => {
    const { clock, registry, worker, told, expire, claimAndList } = stage();
    await claimAndList();
    expire();
    const submitted = worker.writer.submit([change]);
    await clock.advance(1_000);
    assert.deepEqual(registry.open('apply'), []);
    assert.ok((await submitted).every(({ ok }) => !ok));
    assert.equal(told.at(-1), 'register aborted');
  });

  it('while the registry is read makes that list count for nothing', async () => {
    const { clock, registry, worker, runs, end } = stage();
    worker.queue.add('shop/web');
    await registry.only('check').answer();
    await answerClaims(registry);
    end();
    await clock.advance(10_000);
    assert.deepEqual([runs, worker.link.state], [[], 'standby']);
  });
});

describe('a claim that is gone', () => {
  const applied = async (all: ReturnType<typeof stage>) => {
    const submitted = all.worker.writer.submit([change]);
    await all.clock.advance(0);
    await all.registry.only('apply').answer([{ ok: false, error: FENCED }]);
    return submitted;
  };

  it('told by a write stops all decisions until the election says that we lead, and all is claimed and read anew', async () => {
    const all = stage();
    const { registry, worker, runs, told, terms, claimAndList } = all;
    await claimAndList();
    told.length = 0;
    const before = terms.asked;
    await applied(all);
    worker.queue.add('shop/web');
    assert.deepEqual([runs, terms.asked - before, worker.link.state], [[], 1, 'opening']);
    await claimAndList([entry]);
    assert.deepEqual([runs, worker.link.state], [['shop/web'], 'up']);
    assert.deepEqual(told, ['opening', 'register fenced', 'fenced', 'listed all', 'up']);
    assert.equal(registry.open('claim').length, 0);
  });

  it('lets nothing out under the next claim that was being decided before it', async () => {
    const { clock, registry, worker, claimAndList } = stage();
    await claimAndList();
    await clock.advance(10_000);
    await registry.only('check').fail(FENCED);
    // Its reconcile had begun, and ends now.
    const early = worker.writer.submit([change]);
    await clock.advance(0);
    assert.deepEqual(registry.open('apply'), [], 'not claimed again yet');
    assert.equal((await early)[0]?.ok, false);
    await registry.only('check').answer();
    await answerClaims(registry);
    const late = worker.writer.submit([change]);
    await clock.advance(0);
    assert.deepEqual(registry.open('apply'), [], 'claimed, and not read yet');
    assert.equal((await late)[0]?.ok, false);
    await registry.only('list').answer([]);
    const after = worker.writer.submit([change]);
    await clock.advance(0);
    await registry.only('apply').answer();
    assert.deepEqual(await after, [{ ok: true }]);
  });

  it('is answered once, however many batches come back with it', async () => {
    const all = stage();
    const { clock, registry, worker, told, terms, claimAndList } = all;
    await claimAndList();
    const before = terms.asked;
    const many = Array.from({ length: 40 }, (_, n) => ({ ...change, instance: instance(`10.0.1.${n}`) }));
    void worker.writer.submit(many);
    await clock.advance(0);
    const batches = registry.open('apply');
    assert.equal(batches.length, 4);
    for (const batch of batches) await batch.answer(batch.changes.map(() => ({ ok: false, error: FENCED })));
    await claimAndList();
    await clock.advance(5_000);
    const fences = told.filter((line) => line === 'fenced').length;
    // Before the claim, and after it.
    assert.deepEqual([terms.asked - before, fences, worker.link.state], [2, 1, 'up']);
  });

  it('is not claimed again when another replica leads by now', async () => {
    const all = stage();
    await all.claimAndList();
    all.terms.verdict = 'lost';
    await applied(all);
    await all.clock.advance(100_000);
    assert.equal(all.worker.link.state, 'standby');
    assert.deepEqual(all.asked().filter((operation) => operation === 'claim').length, 2);
  });

  it('is not claimed again while nobody can say who leads, and the election is asked once a second', async () => {
    const all = stage();
    const { clock, terms, asked, claimAndList } = all;
    await claimAndList();
    terms.verdict = 'unknown';
    const before = terms.asked;
    await applied(all);
    await clock.advance(9_500);
    assert.equal(terms.asked - before, 10);
    assert.equal(asked().filter((operation) => operation === 'claim').length, 2);
    terms.verdict = 'leading';
    await clock.advance(1_000);
    await claimAndList();
    assert.equal(all.worker.link.state, 'up');
  });

  for (const verdict of ['leading', 'alone'] as const) {
    it(`again so soon is a dispute, and claimed no oftener than once a minute (${verdict})`, async () => {
      const all = stage();
      const { clock, told, terms, asked, worker, claimAndList } = all;
      terms.verdict = verdict;
      await claimAndList();
      await applied(all);
      await claimAndList();
      await clock.advance(5_000);
      told.length = 0;
      await applied(all);
      assert.deepEqual(told, ['opening', 'register fenced', 'disputed', 'down fenced']);
      await clock.advance(54_000);
      assert.equal(worker.link.state, 'down');
      assert.equal(asked().filter((operation) => operation === 'claim').length, 4);
      await clock.advance(2_000);
      await claimAndList();
      assert.equal(worker.link.state, 'up');
    });
  }
});

describe('a registry that was wiped', () => {
  it('is noticed within 10 s by its missing record, claimed again, read, and looked at as a whole', async () => {
    const { clock, registry, told, claimAndList } = stage();
    await claimAndList([entry]);
    await clock.advance(9_999);
    assert.deepEqual(registry.open('check'), []);
    await clock.advance(1);
    await registry.only('check').answer();
    told.length = 0;
    await clock.advance(10_000);
    await registry.only('check').fail(FENCED);
    await claimAndList([]);
    assert.deepEqual(told, ['opening', 'fenced', 'listed all', 'up']);
  });

  it('is not listed more often for that: what answers as before is left alone', async () => {
    const { clock, registry, asked, claimAndList } = stage();
    await claimAndList([entry]);
    for (let n = 0; n < 20; n++) {
      await clock.advance(10_000);
      await registry.only('check').answer();
    }
    assert.equal(asked().filter((operation) => operation === 'list').length, 1);
  });

  it('or that cannot be reached is down within 10 s, too', async () => {
    const { clock, registry, worker, claimAndList } = stage();
    await claimAndList();
    await clock.advance(10_000);
    await registry.only('check').fail(error('unreachable'));
    assert.equal(worker.link.state, 'down');
    await clock.advance(1_000);
    await registry.only('check').answer();
    await registry.only('list').answer([entry]);
    assert.equal(worker.link.state, 'up');
  });
});

describe('a registry that belongs to another operator', () => {
  const OWNED = ownedByAnother({ cluster: 'prod', owner: 'uid/roster-system' }, 'other/roster-system');
  const refused = async () => {
    const all = stage();
    all.worker.queue.add('shop/web');
    await all.registry.only('check').answer();
    await all.registry.only('claim').fail(OWNED);
    return all;
  };

  it('is neither listed nor written, and asked again every 30 s', async () => {
    const { clock, registry, worker, runs, told, asked } = await refused();
    assert.deepEqual([worker.link.state, told.at(-1), runs], ['down', 'down owned', []]);
    for (let n = 0; n < 3; n++) {
      const before = asked().length;
      await clock.advance(29_000);
      assert.equal(asked().length, before);
      await clock.advance(1_000);
      await registry.only('check').answer();
      await registry.only('claim').fail(OWNED);
    }
    assert.deepEqual([...new Set(asked())], ['check', 'claim']);
  });

  it('is asked again at once when it may be adopted, with the name of the owner', async () => {
    const { clock, registry, runs, adopt } = await refused();
    await clock.advance(5_000);
    adopt('other/roster-system');
    await clock.advance(1_000);
    await registry.only('check').answer();
    assert.deepEqual(registry.only('claim').claim, {
      cluster: 'prod',
      owner: 'uid/roster-system',
      adopt: 'other/roster-system',
    });
    await answerClaims(registry);
    await registry.only('list').answer([]);
    assert.deepEqual(runs, ['shop/web']);
  });
});
