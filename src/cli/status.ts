import type { Command } from 'commander';
import type { Registration } from '../api/kinds.generated.ts';
import { isFields } from '../api/metadata.ts';
import type { KubeClient } from '../kubernetes/client.ts';
import { KubeError } from '../kubernetes/kube-error.ts';
import { clusterServiceRegistrations, type Resource, serviceRegistrations } from '../kubernetes/resources.ts';
import { addClusterOptions, type ClusterOptions, clusterChoice, namespaceOf, objectRef } from './options.ts';
import { renderStatus, type StatusLine, statusLine } from './status-report.ts';
import { CommandError, EXIT, type Terminal, withCluster } from './terminal.ts';

export function addStatus(program: Command, terminal: Terminal): void {
  addClusterOptions(program.command('status'))
    .argument('[NS/NAME]', 'one registration only')
    .description('desired, registered and healthy instances and the last error, per registration')
    .action((ref: string | undefined, options: ClusterOptions) =>
      withCluster(clusterChoice(options, terminal), async (client) => {
        const namespace = namespaceOf(options, client.namespace);
        const found = await statusLines(client, namespace, terminal);
        const lines = ref === undefined ? found : only(found, ref, namespace ?? client.namespace);
        if (lines.length === 0 && options.output === undefined) {
          terminal.err(`No registrations found${namespace === undefined ? '' : ` in namespace ${namespace}`}.\n`);
          return;
        }
        const view = { nowMs: terminal.nowMs(), showNamespaces: namespace === undefined };
        terminal.out(renderStatus(lines, options.output ?? 'table', view));
      }),
    );
}

function only(lines: readonly StatusLine[], ref: string, current: string): readonly StatusLine[] {
  const { namespace, name } = objectRef(ref, current);
  const found = lines.filter((line) => line.name === name && (line.namespace ?? current) === namespace);
  if (found.length > 0) return found;
  throw new CommandError(
    `there is no registration ${name} in namespace ${namespace}, nor of the cluster`,
    EXIT.failure,
  );
}

/** Those of the namespace and, where the user may read them, those of the cluster, which may cover it too. */
async function statusLines(client: KubeClient, namespace: string | undefined, terminal: Terminal) {
  const own = list<Registration>(client, serviceRegistrations, namespace, terminal);
  const ofCluster = list<Registration>(client, clusterServiceRegistrations, undefined, terminal).catch(
    (error: unknown) => {
      if (!(error instanceof KubeError) || error.status !== 403) throw error;
      terminal.err('roster: not allowed to list ClusterServiceRegistrations; they are left out\n');
      return [];
    },
  );
  return (await Promise.all([own, ofCluster])).flat().map(statusLine);
}

async function list<T extends Registration>(
  client: KubeClient,
  resource: Resource<T>,
  namespace: string | undefined,
  { signal, err }: Terminal,
): Promise<readonly T[]> {
  const answer = await client
    .request({ method: 'GET', path: resource.path(namespace), signal })
    .catch((error: unknown) => {
      if (!(error instanceof KubeError) || error.status !== 404) throw error;
      const message = `the cluster ${client.server} has no ${resource.name}.${resource.group}; apply crds/ to it`;
      throw new CommandError(message, EXIT.failure, error);
    });
  const items = isFields(answer) && Array.isArray(answer['items']) ? answer['items'] : [];
  return items.flatMap((item: unknown) => {
    try {
      const object = resource.parse(item);
      return object === undefined ? [] : [object];
    } catch (error) {
      err(`roster: one of the ${resource.name} cannot be read: ${error instanceof Error ? error.message : ''}\n`);
      return [];
    }
  });
}
