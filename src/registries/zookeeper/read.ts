import type { Instance } from '../../mirror/instance.ts';
import { inParallel } from '../parallel.ts';
import type { Answer, ZooKeeperClient } from './client.ts';
import { type Layout, readOwned, type Standing } from './layouts/layout.ts';
import { livenessOf } from './liveness.ts';
import { type NodeData, type Request, readChildren, readNode, sync } from './requests.ts';

/** Requests under way at once, all on one connection: enough that none waits for the network. */
const WIDTH = 128;

export interface Reader {
  readonly client: ZooKeeperClient;
  readonly base: string;
  readonly layout: Layout;
  /** Told of the nodes of services by each list: there are no others. */
  onServices(paths: Iterable<string>): void;
}

/** Everything of a cluster. Nodes that go while it is read are not there. */
export async function listOwned(reader: Reader, cluster: string, signal: AbortSignal): Promise<readonly Instance[]> {
  const { client, base, layout } = reader;
  // A server may be behind its leader, and behind what another server acknowledged.
  await client.call('list', sync(base), signal);
  const standings: Place[] = [];
  const services = await childrenOf(client, 'list', base, signal);
  reader.onServices(services.map((service) => `${base}/${service}`));
  await inParallel(services, WIDTH, async (service) => {
    for (const node of await childrenOf(client, 'list', `${base}/${service}`, signal))
      standings.push({ service, node });
  });
  const owned: Instance[] = [];
  await readTexts(reader, 'list', standings, signal, (text, standing) => {
    const instance = readOwned(layout, text, standing)?.instance;
    if (instance?.marks.cluster === cluster) owned.push(instance);
  });
  return owned;
}

/** What a consumer of a service gets, as fresh as consumers' own reads. */
export async function readService(reader: Reader, service: string, signal: AbortSignal): Promise<readonly Instance[]> {
  const { client, base, layout } = reader;
  const nodes = await childrenOf(client, 'discover', `${base}/${service}`, signal);
  const seen: Instance[] = [];
  const standings = nodes.map((node) => ({ service, node }));
  await readTexts(reader, 'discover', standings, signal, (text, standing) => {
    const instance = layout.read(text, standing)?.instance;
    if (instance !== undefined && !layout.hides(instance)) seen.push(instance);
  });
  return seen;
}

type Place = Pick<Standing, 'service' | 'node'>;

/** One that we may not read is no answer: the rest would be taken for everything. */
async function readTexts(
  { client, base }: Reader,
  operation: string,
  standings: readonly Place[],
  signal: AbortSignal,
  onText: (text: string, standing: Standing) => void,
): Promise<void> {
  await inParallel(standings, WIDTH, async ({ service, node }) => {
    const found = await read(client, operation, readNode(`${base}/${service}/${node}`), signal);
    if (found === undefined) return;
    onText(found.text, { service, node, liveness: livenessOf(found.owner, client.session()) });
  });
}

const childrenOf = async (
  client: ZooKeeperClient,
  operation: string,
  path: string,
  signal: AbortSignal,
): Promise<readonly string[]> => (await read(client, operation, readChildren(path), signal)) ?? [];

/** Undefined for a node that is not there; a read is answered in no other way. */
export async function read<Value>(
  client: ZooKeeperClient,
  operation: string,
  request: Request<Value>,
  signal: AbortSignal,
): Promise<Value | undefined> {
  const answer: Answer<Value> = await client.call(operation, request, signal);
  return answer.outcome === 'ok' ? answer.value : undefined;
}

export const readStanding = (
  client: ZooKeeperClient,
  path: string,
  signal: AbortSignal,
): Promise<NodeData | undefined> => read(client, 'apply', readNode(path), signal);
