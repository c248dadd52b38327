import type { Command } from 'commander';
import type { Condition } from '../api/kinds.generated.ts';
import { isFields } from '../api/metadata.ts';
import type { KubeClient } from '../kubernetes/client.ts';
import { KubeError } from '../kubernetes/kube-error.ts';
import {
  clusterRegistries,
  clusterServiceRegistrations,
  type Resource,
  registries,
  serviceRegistrations,
} from '../kubernetes/resources.ts';
import { blockedBefore, RELEASE_ANNOTATION } from '../mirror/held-removals.ts';
import { addContextOptions, type ClusterOptions, clusterChoice, objectRef } from './options.ts';
import { oneLine } from './table.ts';
import { CommandError, EXIT, type Terminal, withCluster } from './terminal.ts';

interface ReleaseOptions extends Pick<ClusterOptions, 'kubeconfig' | 'context' | 'namespace'> {
  readonly clusterRegistration?: string;
  readonly registry?: string;
}

interface Named {
  readonly resource: Resource;
  readonly namespace?: string;
  readonly name: string;
}

export function addRelease(program: Command, terminal: Terminal): void {
  addContextOptions(program.command('release'))
    .argument('[NS/NAME]', 'a ServiceRegistration: what is held of its entries')
    .option('--cluster-registration <NAME>', 'a ClusterServiceRegistration: what is held of its entries')
    .option('--registry <[NS/]NAME>', 'a ClusterRegistry, or a Registry as NS/NAME: all that is held in it')
    .description('lets the removals go that the deletion guard holds back now, and says what they were')
    .action((ref: string | undefined, options: ReleaseOptions) =>
      withCluster(clusterChoice(options, terminal), async (client) => {
        const named = chosen(ref, options, client.namespace);
        const held = await heldOf(client, named, terminal);
        if (held === undefined) {
          terminal.out(`Nothing is held back of ${told(named)}.\n`);
          return;
        }
        await annotate(client, named, terminal);
        terminal.out(`Released what was held back of ${told(named)}:\n  ${oneLine(held.message)}\n`);
      }),
    );
}

/** Throws a usage error. */
function chosen(ref: string | undefined, options: ReleaseOptions, current: string): Named {
  const { clusterRegistration, registry } = options;
  const given = [
    ...(ref === undefined ? [] : [{ resource: serviceRegistrations, ...objectRef(ref, options.namespace ?? current) }]),
    ...(clusterRegistration === undefined
      ? []
      : [{ resource: clusterServiceRegistrations, name: clusterRegistration }]),
    ...(registry === undefined ? [] : [registryNamed(registry)]),
  ];
  const [one, another] = given;
  if (one !== undefined && another === undefined) return one;
  throw new CommandError('name one of NS/NAME, --cluster-registration NAME and --registry NAME', EXIT.usage);
}

const registryNamed = (ref: string): Named =>
  ref.includes('/') ? { resource: registries, ...objectRef(ref, '') } : { resource: clusterRegistries, name: ref };

const told = ({ resource, namespace, name }: Named): string =>
  `${resource.kind} ${namespace === undefined ? name : `${namespace}/${name}`}`;

/** What the status says is held. */
async function heldOf(client: KubeClient, named: Named, { signal }: Terminal): Promise<Condition | undefined> {
  const { resource, namespace, name } = named;
  const object = await client
    .request({ method: 'GET', path: resource.objectPath(namespace, name), signal })
    .catch((error: unknown) => {
      if (!(error instanceof KubeError) || error.status !== 404) throw error;
      throw new CommandError(`there is no ${told(named)}`, EXIT.failure, error);
    });
  const status = isFields(object) ? object['status'] : undefined;
  const conditions = isFields(status) && Array.isArray(status['conditions']) ? status['conditions'] : [];
  return blockedBefore({ conditions });
}

/** A new value each time: the operator acts on none twice. */
async function annotate(client: KubeClient, { resource, namespace, name }: Named, terminal: Terminal): Promise<void> {
  await client.request({
    method: 'PATCH',
    path: resource.objectPath(namespace, name),
    query: { fieldManager: 'roster-release' },
    contentType: 'application/merge-patch+json',
    body: { metadata: { annotations: { [RELEASE_ANNOTATION]: new Date(terminal.nowMs()).toISOString() } } },
    signal: terminal.signal,
  });
}
