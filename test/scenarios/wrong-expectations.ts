// Scenarios are worth what they can refuse: each way in which an expectation can be wrong must be noticed at each depth.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Expected, expectations, type Rules } from './expectation.ts';
import { lookAt, play, type World } from './play.ts';
import type { ExpectedEntry, ExpectedStatus, Scenario } from './scenario-file.ts';

const FILE = 'basic-mirroring.yaml';

/** Plays a scenario to its end, where everything is as it says; then nothing else may be taken for it. */
export function testWrongExpectations(
  scenarios: readonly Scenario[],
  rules: Rules,
  open: (scenario: Scenario) => World | Promise<World>,
): void {
  test('no wrong expectation is taken for met', async () => {
    const scenario = scenarios.find(({ file }) => file === FILE) ?? assert.fail(`there is no ${FILE}`);
    const world = await open(scenario);
    await play(scenario, world, rules);
    const step = scenario.steps.at(-1) ?? assert.fail();
    const right = expectations(scenario.steps, rules).at(-1) ?? assert.fail();
    await lookAt(scenario, step, right, world)();
    // All at once, so that they share what is read for them.
    const refusals = Object.entries(wrongOnes(right)).map(async ([what, wrong]) => {
      assert.notDeepEqual(wrong, right, what);
      await assert.rejects(lookAt(scenario, step, wrong, world), assert.AssertionError, what);
    });
    await Promise.all(refusals);
    const late = lookAt(scenario, step, { ...right, entries: [] }, world);
    await assert.rejects(world.reaches(step.title, late, 0), (error: Error) => error.message.includes(step.title));
  });
}

function wrongOnes({ entries, statuses }: Expected): Readonly<Record<string, Expected>> {
  const [first, ...others] = entries;
  const [status, ...rest] = statuses;
  assert.ok(first !== undefined && status !== undefined);
  const entry = (change: Partial<ExpectedEntry>): Expected => ({
    entries: [{ ...first, ...change }, ...others],
    statuses,
  });
  const told = (change: Partial<ExpectedStatus>): Expected => ({
    entries,
    statuses: [{ ...status, ...change }, ...rest],
  });
  const count = { desired: 9, registered: 9, healthy: 9 };
  return {
    'an entry too few': { entries: others, statuses },
    'an entry too many': { entries: [...entries, { ...first, address: '10.9.9.9' }], statuses },
    'another name': entry({ service: `${first.service}x` }),
    'another address': entry({ address: '10.9.9.9' }),
    'another port': entry({ port: first.port + 1 }),
    'another health': entry({ health: 'draining' }),
    'another liveness': entry({ liveness: 'leased' }),
    'another weight': entry({ weight: first.weight + 1 }),
    'another tag': entry({ tags: [...first.tags, 'x'] }),
    'another value in the metadata': entry({ metadata: { ...first.metadata, x: 'y' } }),
    'another Service': entry({ owner: `${first.owner}x` }),
    'another registration': entry({ registration: `${first.registration}x` }),
    'to be retained': entry({ retained: true }),
    'another status of a condition': told({ conditions: { Ready: 'False Synced' } }),
    'another reason of a condition': told({ conditions: { Ready: 'True Accepted' } }),
    'a condition that must not be there': told({ conditions: { Ready: undefined } }),
    'other counts of Services': told({ services: { matched: 9, synced: 9 } }),
    'other counts of instances': told({ instances: count }),
    'other names': told({ names: ['x'] }),
    'a failure': told({ failures: ['PortNotFound'] }),
    'a status of nobody': told({ target: { ...status.target, name: 'nobody' } }),
  };
}
