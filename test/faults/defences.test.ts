// What the laboratory is worth: an operator without a defence does not survive it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { findPlan, REAL } from './laboratory.ts';
import { buildWithout, defences } from './naive/builds.ts';

interface RedPlan {
  readonly plan: string;
  /** What becomes of it, in the words of an oracle. */
  readonly wrong: RegExp;
}

/** By the defence: a plan that the operator survives, and not without it. */
const RED: Readonly<Record<string, RedPlan>> = {
  'the initial gate': { plan: 'precedence/list/149', wrong: /updated 1 times, not 0/ },
  'evidence before removal': { plan: 'service/list/83', wrong: /was wanted all the time, and was removed/ },
  'what a list lacks is not gone': { plan: 'scale/list/124', wrong: /was wanted all the time, and was removed/ },
  'older lists are refused': { plan: 'scale/stale/3', wrong: /was wanted all the time, and was removed/ },
  'a silent watch is dead': { plan: 'scale/watch/66', wrong: /at the end .* does not stand/ },
  'acknowledgements outlive an older list': { plan: 'scale/registry/50', wrong: /written 1 times without effect/ },
  'a status that comes back is looked at': { plan: 'readiness/watch/112', wrong: /at the end a status is/ },
  'lists are quorum reads': { plan: 'service/stale/10', wrong: /deregistered 3 times, not 2/ },
  'absence is asked live': { plan: 'scale/list/145', wrong: /was wanted all the time, and was removed/ },
  'the deletion guard': { plan: 'vanish/none/1', wrong: /deregistered 1 times, not 0/ },
  'the fence': { plan: 'scale/overtaken/8', wrong: /was wanted all the time, and was removed/ },
  'the term is asked before each batch': {
    plan: 'registration/frozen/21@Nacos',
    wrong: /was wanted all the time, and was removed/,
  },
  'a claim is confirmed': { plan: 'scale/suspended/7', wrong: /was wanted all the time, and was removed/ },
  'a second operator is refused': { plan: 'scale/namesake/2', wrong: /was wanted all the time, and was removed/ },
  'what is ambiguous is read again': { plan: 'scale/registry/57', wrong: /written 1 times without effect/ },
};

describe('an operator with one defence switched off', () => {
  test('is there for every defence that can be', () => {
    assert.deepEqual(Object.keys(RED).sort(), [...defences].sort());
  });

  test('is there for everything that docs/reliability.md says stands between a fault and a removal', async () => {
    const page = await readFile(new URL('../../docs/reliability.md', import.meta.url), 'utf8');
    const [, table = ''] = page.split('| without it a plan is red |\n|---|---|---|---|\n');
    const rows = table.slice(0, table.indexOf('\n\n')).split('\n');
    assert.ok(rows.length >= 7);
    for (const row of rows) {
      const named = [...(row.split('|')[4] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
      assert.ok(named.length > 0, row);
      for (const one of named) assert.ok(defences.includes(one), `no defence is called ${one}`);
    }
  });

  for (const [defence, { plan: id, wrong: expected }] of Object.entries(RED)) {
    test(`without this: ${defence}, fails plan ${id}, which the whole one survives`, async () => {
      const { subject, plan } = await findPlan(id);
      const build = await buildWithout(defence);
      assert.deepEqual((await subject.judge(plan, REAL)).wrong, []);
      const { wrong } = await subject.judge(plan, build);
      assert.match(wrong.join('\n'), expected);
      if (plan === subject.calm) return;
      const calm = { ...plan, fault: { kind: 'none' } as const };
      assert.deepEqual((await subject.judge(calm, build)).wrong, [], 'it is wrong without any fault too');
    });
  }
});
