// Nacos answers from a view of each service that is renewed a while after a change. However late that is, within bounds, and in whatever order answers come:
// a reading never takes back what this client wrote before it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Health, Instance } from '../../src/mirror/instance.ts';
import type { ServiceInfo } from '../../src/registries/nacos/answer.ts';
import { hostOf, placeOf } from '../../src/registries/nacos/entry.ts';
import type { NacosHost } from '../../src/registries/nacos/host.ts';
import type { Naming } from '../../src/registries/nacos/naming.ts';
import { type Reading, readOwned } from '../../src/registries/nacos/read.ts';
import { createRecent, SETTLE_MS } from '../../src/registries/nacos/recent.ts';
import { never } from '../conformance/expectations.ts';
import { sampleOf } from '../conformance/samples.ts';
import { virtualClock } from '../virtual-clock.ts';

const entry = sampleOf('web');
const { cluster } = entry.marks;
const SERVICE = entry.service;
type Standing = Health | 'absent';

/** One service with one place. */
function stage() {
  const clock = virtualClock();
  const recent = createRecent(clock);
  let standing: Standing = 'absent';
  let view: { readonly standing: Standing; readonly from: number } = { standing, from: 0 };
  const asked: { readonly answer: (standing?: Standing) => void }[] = [];
  let answerMs: (() => number) | undefined;

  const read = (): Promise<ServiceInfo> =>
    new Promise((resolve) => {
      const answer = (shown = view.standing) => resolve(infoOf(shown));
      if (answerMs === undefined) asked.push({ answer });
      else {
        // Of any moment between the question and its answer.
        const [there, back] = [answerMs(), answerMs()];
        clock.setTimer(there, () => {
          const shown = view.standing;
          clock.setTimer(back, () => answer(shown));
        });
      }
    });
  const probes: (() => void)[] = [];
  const probe = () => new Promise<void>((resolve) => void probes.push(resolve));
  const naming = { read, probe, names: async () => [SERVICE] } as Partial<Naming> as Naming;
  const reading: Reading = { naming, recent, clock, held: () => new Map() };
  const list = async (): Promise<Standing> => {
    const found = await readOwned(reading, cluster, never);
    assert.ok(found.length <= 1);
    return found[0]?.health ?? 'absent';
  };
  const put = (wanted: Standing) => {
    standing = wanted;
    recent.wrote(SERVICE, placeOf(hostWith('healthy')), wanted === 'absent' ? undefined : hostWith(wanted));
  };
  return {
    clock,
    recent,
    asked,
    probes,
    list,
    put,
    /** The server looks at what stands, and shows it so much later. */
    renew(lookMs: number, showMs: number) {
      clock.setTimer(lookMs, () => {
        const seen = { standing, from: clock.now() };
        clock.setTimer(showMs, () => {
          if (seen.from >= view.from) view = seen;
        });
      });
    },
    answerWithin: (ms: () => number) => {
      answerMs = ms;
    },
  };
}

const hostWith = (health: Health): NacosHost => hostOf({ ...entry, health } satisfies Instance, 'DEFAULT');
const infoOf = (standing: Standing): ServiceInfo => ({
  hosts: standing === 'absent' ? [] : [hostWith(standing)],
  shielded: false,
});

describe('a list of Nacos', () => {
  it('that was asked for before another answer showed a write is not believed when it comes after it without it', async () => {
    const { clock, asked, list, put } = stage();
    put('healthy');
    const [slow, fast] = [list(), list()];
    await clock.advance(0);
    asked[1]?.answer('healthy');
    assert.equal(await fast, 'healthy');
    asked[0]?.answer('absent');
    await clock.advance(100);
    asked[2]?.answer('healthy');
    assert.equal(await slow, 'healthy');
  });

  it('believes at once what is asked for half a second after an answer that showed a write, and not before: views go back', async () => {
    const { clock, asked, list, put } = stage();
    put('healthy');
    const first = list();
    await clock.advance(0);
    asked[0]?.answer('healthy');
    await first;
    await clock.advance(400);
    const second = list();
    await clock.advance(0);
    asked[1]?.answer('absent');
    await clock.advance(50);
    asked[2]?.answer('healthy');
    assert.equal(await second, 'healthy');
    await clock.advance(100);
    const third = list();
    await clock.advance(0);
    asked[3]?.answer('absent');
    assert.equal(await third, 'absent');
  });

  it('tells what is written while it waits for an earlier write', async () => {
    const { clock, asked, list, put } = stage();
    put('healthy');
    const listed = list();
    for (let ms = 0; ms < SETTLE_MS - 100; ms += 100) {
      await clock.advance(100);
      for (const { answer } of asked.splice(0)) answer('absent');
    }
    put('draining');
    await clock.advance(50);
    for (let ms = 0; ms < 500; ms += 50) {
      for (const { answer } of asked.splice(0)) answer('absent');
      await clock.advance(50);
    }
    assert.equal(await listed, 'draining');
  });

  it('takes what looks like a second write for what stood before the first, until that cannot be', async () => {
    const { clock, asked, list, put } = stage();
    put('healthy');
    const settled = list();
    await clock.advance(0);
    asked.splice(0)[0]?.answer();
    await clock.advance(SETTLE_MS);
    for (const { answer } of asked.splice(0)) answer('healthy');
    await settled;
    put('unhealthy');
    put('healthy');
    const early = list();
    await clock.advance(0);
    // It may be older than both.
    asked.splice(0)[0]?.answer('healthy');
    assert.equal(await early, 'healthy');
    const late = list();
    await clock.advance(0);
    asked.splice(0)[0]?.answer('unhealthy');
    await clock.advance(100);
    asked.splice(0)[0]?.answer('healthy');
    assert.equal(await late, 'healthy');
  });

  it('after a write that may have happened waits until the server, once it answers, would show it', async () => {
    const { clock, asked, list, recent, probes } = stage();
    recent.forget(SERVICE, placeOf(hostWith('healthy')));
    const listed = list();
    await clock.advance(5_000);
    assert.equal(asked.length, 0, 'it does not answer yet');
    probes.splice(0)[0]?.();
    await clock.advance(999);
    assert.equal(asked.length, 0);
    await clock.advance(1);
    asked[0]?.answer('healthy');
    assert.equal(await listed, 'healthy');
    const next = list();
    await clock.advance(0);
    asked[1]?.answer('healthy');
    assert.equal(await next, 'healthy');
  });

  it('never takes back what was written before it, whenever the view is renewed and answers come', async () => {
    const wanted = fc.constantFrom<Standing>('healthy', 'unhealthy', 'draining', 'absent');
    const pause = fc.constantFrom(0, 20, 150, 400, 900, 4_000);
    const steps = fc.array(
      fc.oneof(
        { weight: 2, arbitrary: fc.record({ put: wanted, look: fc.nat(700), show: fc.nat(700), pause }) },
        { weight: 3, arbitrary: fc.record({ list: fc.constant(true), pause }) },
      ),
      { maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(steps, fc.infiniteStream(fc.nat(600)), async (taken, delays) => {
        const { clock, list, put, renew, answerWithin } = stage();
        answerWithin(() => delays.next().value ?? 0);
        const lists: Promise<void>[] = [];
        const written: Standing[] = ['absent'];
        for (const step of taken) {
          if ('put' in step) {
            put(step.put);
            written.push(step.put);
            renew(step.look, step.show);
          } else {
            const before = written.length - 1;
            lists.push(
              list().then((found) => {
                const possible = written.slice(before);
                assert.ok(possible.includes(found), `${found} is none of ${possible.join(', ')}`);
              }),
            );
          }
          await clock.advance(step.pause);
        }
        for (let n = 0; n < 40; n++) await clock.advance(500);
        await Promise.all(lists);
        assert.equal(await settledAs(list(), clock), written.at(-1));
      }),
      { numRuns: 300 },
    );
  });
});

async function settledAs<T>(promise: Promise<T>, clock: { advance(ms: number): Promise<void> }): Promise<T> {
  await clock.advance(2 * SETTLE_MS);
  return promise;
}
