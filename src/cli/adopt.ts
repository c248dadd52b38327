import type { Command } from 'commander';
import { isFields } from '../api/metadata.ts';
import { settings } from '../config.ts';
import type { KubeClient } from '../kubernetes/client.ts';
import { KubeError } from '../kubernetes/kube-error.ts';
import { clusterRegistries, registries } from '../kubernetes/resources.ts';
import { ADOPT } from '../operator/leading/replicas.ts';
import { type ClusterOptions, clusterChoice, settingOption } from './options.ts';
import { CommandError, EXIT, type Terminal, withCluster } from './terminal.ts';

export function addAdopt(program: Command, terminal: Terminal): void {
  program
    .command('adopt')
    .argument('<REGISTRY>', 'NAME of a ClusterRegistry, or NAMESPACE/NAME of a Registry')
    .description('lets the operator take a registry over from another one with the same cluster name')
    .addHelpText(
      'after',
      '\nOnly for an operator that is gone for good: from then on entries of this cluster name that this cluster does not want are removed there.',
    )
    .addOption(settingOption(settings.kubeconfig))
    .addOption(settingOption(settings.context))
    .action((ref: string, options: ClusterOptions) => {
      const registry = registryAt(ref);
      return withCluster(clusterChoice(options, terminal), (client) => adopt(client, registry, terminal));
    });
}

async function adopt(client: KubeClient, { path, title }: Place, { signal, out }: Terminal): Promise<void> {
  const object = await client.request({ method: 'GET', path, signal }).catch((error: unknown) => {
    if (!(error instanceof KubeError) || error.status !== 404) throw error;
    throw new CommandError(`there is no ${title}`, EXIT.failure, error);
  });
  const owner = isFields(object) && isFields(object['status']) ? object['status']['otherOwner'] : undefined;
  if (typeof owner !== 'string') {
    throw new CommandError(`${title} does not belong to another operator: there is nothing to adopt`, EXIT.failure);
  }
  const body = { metadata: { annotations: { [ADOPT]: owner } } };
  const contentType = 'application/merge-patch+json';
  await client.request({ method: 'PATCH', path, query: { fieldManager: 'roster-cli' }, contentType, body, signal });
  out(`${title} is taken over from ${owner}\n`);
}

interface Place {
  readonly path: string;
  readonly title: string;
}

function registryAt(ref: string): Place {
  const [first = '', second, ...more] = ref.split('/');
  if (first === '' || second === '' || more.length > 0)
    throw new CommandError(`${JSON.stringify(ref)} is not NAME or NAMESPACE/NAME`, EXIT.usage);
  return second === undefined
    ? { path: clusterRegistries.objectPath(undefined, first), title: `ClusterRegistry ${ref}` }
    : { path: registries.objectPath(first, second), title: `Registry ${ref}` };
}
