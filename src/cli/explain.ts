import type { Command } from 'commander';
import { explanation, renderExplanation } from './explanation.ts';
import { addInspectOptions, clusterChoice, inspectBasics, type NamedClusterOptions, objectRef } from './options.ts';
import { type Terminal, withCluster } from './terminal.ts';

export function addExplain(program: Command, terminal: Terminal): void {
  addInspectOptions(program.command('explain'))
    .argument('<NS/SERVICE>', 'the Service')
    .description('each endpoint of a Service: in or out, and the rule that decided')
    .action(async (ref: string, options: NamedClusterOptions) => {
      const shared = inspectBasics(options, terminal);
      const { inspect } = await import('../operator/reporting/inspect.ts');
      const explained = await withCluster(clusterChoice(options, terminal), async (client) => {
        const { namespace, name } = objectRef(ref, options.namespace ?? client.namespace);
        return explanation(`${namespace}/${name}`, await inspect({ ...shared, source: { client } }));
      });
      terminal.out(renderExplanation(explained, options.output ?? 'table'));
    });
}
