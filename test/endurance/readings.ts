// What a replica tells of itself by its metrics.
import assert from 'node:assert/strict';
import type { Replica } from './replica.ts';

/** Every Service was looked at for this registry since it is led from here, `count` entries stand, and nothing is left to do. */
export function isDone(page: string, registry: string, count: number): boolean {
  const instances = (state: string) => valueIn(page, 'roster_instances', `registry="${registry}"`, `state="${state}"`);
  const busy = ['workqueue_depth', 'controller_runtime_active_workers'].map((metric) =>
    valueIn(page, metric, `controller="${registry}"`),
  );
  return instances('desired') === count && instances('registered') === count && busy.every((value) => value === 0);
}

/** Asserts it, of all the registries. */
export async function assertLeads(
  replica: Replica | undefined,
  registries: readonly string[],
  leads = true,
): Promise<void> {
  const page = (await replica?.page('/metrics')) ?? '';
  for (const name of registries)
    assert.equal(valueIn(page, 'leader_election_master_status', `registry="${name}"`), leads ? 1 : 0, name);
}

function valueIn(page: string, metric: string, ...labels: readonly string[]): number | undefined {
  const lines = page.split('\n').filter((line) => line.startsWith(`${metric}{`));
  const line = lines.find((one) => labels.every((label) => one.includes(label)));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
}
