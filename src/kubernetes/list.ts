import type { KubeObject } from '../api/core.ts';
import { isFields } from '../api/metadata.ts';
import type { Clock } from '../clock.ts';
import { type KubeClient, KubeError } from './client.ts';
import { MalformedObject } from './fields.ts';
import type { CompleteList, Entry } from './intake.ts';
import { isResourceVersion } from './resource-version.ts';
import type { Resource } from './resources.ts';

export interface ListRequest<T extends KubeObject> {
  readonly client: KubeClient;
  readonly resource: Resource<T>;
  readonly namespace: string | undefined;
  readonly pageSize: number;
  readonly clock: Clock;
  readonly read: (raw: unknown) => Entry<T>;
  readonly signal: AbortSignal;
}

const PAGE_TIMEOUT_MS = 60_000;
const RESTARTS = 3;

/**
 * All objects of a resource, page by page, of one moment: without a resourceVersion the API server asks its quorum, never only its cache.
 *
 * Complete or rejected. Pages are read as they come, so that at most one of them is held in full.
 */
export async function listAll<T extends KubeObject>(request: ListRequest<T>): Promise<CompleteList<T>> {
  for (let restart = 0; ; restart++) {
    try {
      return await listOnce(request);
    } catch (error) {
      // The pages come from one moment, and etcd has compacted it away while we were reading: from the start again.
      const expired = error instanceof KubeError && error.status === 410;
      if (!expired || restart >= RESTARTS) throw error;
    }
  }
}

async function listOnce<T extends KubeObject>({
  client,
  resource,
  namespace,
  pageSize,
  clock,
  read,
  signal,
}: ListRequest<T>): Promise<CompleteList<T>> {
  const startedAt = clock.now();
  const entries: Entry<T>[] = [];
  const path = resource.path(namespace);
  let resourceVersion: string | undefined;
  let token: string | undefined;
  do {
    const query = { limit: String(pageSize), ...(token === undefined ? {} : { continue: token }) };
    const page = readPage(
      await client.request({ method: 'GET', path, query, signal, timeoutMs: PAGE_TIMEOUT_MS }),
      path,
    );
    for (const item of page.items) entries.push(readItem(item, path, read));
    resourceVersion ??= page.resourceVersion;
    token = page.token;
  } while (token !== undefined);
  return { resourceVersion, entries, startedAt, finishedAt: clock.now() };
}

/** Whatever is no list, or has an item that cannot be placed, must not pass for a list without it. */
function readItem<T>(item: unknown, path: string, read: (raw: unknown) => Entry<T>): Entry<T> {
  try {
    return read(item);
  } catch (error) {
    if (error instanceof MalformedObject) throw new KubeError(0, 'Malformed', `GET ${path}: ${error.message}`);
    throw error;
  }
}

function readPage(answer: unknown, path: string) {
  const metadata = isFields(answer) && isFields(answer['metadata']) ? answer['metadata'] : {};
  const items = isFields(answer) ? (answer['items'] ?? []) : undefined;
  const { resourceVersion, continue: token } = metadata;
  if (!Array.isArray(items) || !isResourceVersion(resourceVersion)) {
    throw new KubeError(0, 'Malformed', `GET ${path}: the answer is not a list of Kubernetes`);
  }
  return { items, resourceVersion, token: typeof token === 'string' && token !== '' ? token : undefined };
}
