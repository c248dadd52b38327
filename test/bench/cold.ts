// From nothing to a complete registry.
import type { Consul } from '../servers/consul.ts';
import { type Operator, openOperator } from '../servers/operator.ts';
import { until } from '../servers/until.ts';
import { readEntries, watchCatalog } from './consul-eyes.ts';
import { CLUSTER } from './fleet.ts';
import { type Footprint, footprint, metric } from './operator-eyes.ts';
import { TXN_OPERATIONS } from './raw.ts';

export type Program = { readonly name: string; readonly path: string; readonly nodeArgs: readonly string[] };

export type ColdSync = {
  readonly operator: Operator;
  /** Milliseconds from the start of the process. */
  readonly readyMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** Entries a second between the first transaction that was visible and the last. */
  readonly perSecond: number;
  readonly footprint: Footprint;
};

export type ColdOptions = {
  readonly kubeconfig: string;
  readonly program: Program;
  readonly instances: number;
};

const PATIENCE_MS = 300_000;
/** Without a change for so long, it is worth the trouble to count. */
const QUIET_MS = 1_500;

/** Starts an operator beside an empty Consul, and ends when every instance stands in it. */
export async function coldSync(consul: Consul, options: ColdOptions): Promise<ColdSync> {
  const catalog = watchCatalog(consul);
  try {
    const started = performance.now();
    const operator = await start(options);
    const readyMs = performance.now() - started;
    const { instances } = options;
    await until(
      `${instances} entries in Consul`,
      async () => {
        const last = catalog.changes.at(-1);
        if (last === undefined || performance.now() - last < QUIET_MS) return undefined;
        return (await readEntries(consul)).length === instances ? true : undefined;
      },
      PATIENCE_MS,
    );
    const firstMs = (catalog.changes[0] ?? Number.NaN) - started;
    const lastMs = (catalog.changes.at(-1) ?? Number.NaN) - started;
    // What the first transaction brought was there when the clock of the rate began.
    const perSecond = ((instances - TXN_OPERATIONS) * 1_000) / (lastMs - firstMs);
    return { operator, readyMs, firstMs, lastMs, perSecond, footprint: await footprint(operator) };
  } finally {
    await catalog.stop();
  }
}

/** The same with the Memory registry, by the operator's own count of what stands in it. */
export async function coldSyncIntoMemory(options: ColdOptions): Promise<{ readonly lastMs: number }> {
  const started = performance.now();
  const operator = await start(options);
  try {
    await until(
      `${options.instances} entries in Memory`,
      async () => {
        const registered = await metric(operator, 'roster_instances{', 'state="registered"');
        return registered === options.instances ? true : undefined;
      },
      PATIENCE_MS,
    );
    return { lastMs: performance.now() - started };
  } finally {
    await operator.stop();
  }
}

const start = ({ kubeconfig, program: { path, nodeArgs } }: ColdOptions): Promise<Operator> =>
  openOperator({ kubeconfig, clusterName: CLUSTER, program: path, nodeArgs });
