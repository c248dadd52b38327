import type { Command } from 'commander';
import type { Inspection } from '../operator/reporting/inspect.ts';
import { addInspectOptions, clusterChoice, inspectBasics, type NamedClusterOptions, namespaceOf } from './options.ts';
import { type PlanReport, planReport, renderPlan } from './plan-report.ts';
import { type Terminal, withCluster } from './terminal.ts';

export interface PlanOptions extends NamedClusterOptions {
  readonly filename?: string;
}

export const addPlanOptions = (command: Command): Command =>
  addInspectOptions(command).option(
    '-f, --filename <DIR>',
    'plan the manifests of a file or folder, without a cluster',
  );

export function addPlan(program: Command, terminal: Terminal): void {
  addPlanOptions(program.command('plan'))
    .description('what would change in the registries, and why; writes nothing')
    .action(async (options: PlanOptions) => {
      terminal.out(renderPlan(await plan(options, terminal), options.output ?? 'table'));
    });
}

export async function plan(options: PlanOptions, terminal: Terminal): Promise<PlanReport> {
  const shared = inspectBasics(options, terminal);
  const { inspect } = await import('../operator/reporting/inspect.ts');
  const { filename } = options;
  if (filename !== undefined) {
    return planReport(inNamespace(await inspect({ ...shared, source: { files: filename } }), options.namespace));
  }
  return withCluster(clusterChoice(options, terminal), async (client) =>
    planReport(inNamespace(await inspect({ ...shared, source: { client } }), namespaceOf(options, client.namespace))),
  );
}

const inNamespace = ({ keys }: Inspection, namespace: string | undefined): Inspection => ({
  keys: namespace === undefined ? keys : keys.filter(({ service }) => service.startsWith(`${namespace}/`)),
});
