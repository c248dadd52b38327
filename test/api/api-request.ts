// One request to an API server, with its answer as it is: kubectl puts several errors of a manifest into one sentence.
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import type { ControlPlane } from '../servers/control-plane.ts';
import type { Manifest } from './samples.ts';

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: the answer of a server, whose shape the test asserts.
  readonly body: any;
}

export async function apiRequest(
  cluster: Pick<ControlPlane, 'url' | 'caFile' | 'tokens'>,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const ca = await readFile(cluster.caFile);
  return new Promise((resolve, reject) => {
    const sent = request(
      new URL(path, cluster.url),
      {
        method,
        ca,
        headers: { authorization: `Bearer ${cluster.tokens.admin}`, 'content-type': 'application/json' },
        timeout: 30_000,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }));
        response.on('error', reject);
      },
    );
    sent.on('timeout', () => sent.destroy(new Error(`no answer to ${method} ${path} within 30 s`)));
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const plurals = {
  ServiceRegistration: 'serviceregistrations',
  ClusterServiceRegistration: 'clusterserviceregistrations',
  Registry: 'registries',
  ClusterRegistry: 'clusterregistries',
};

/** Path of the collection that an object of ours belongs to. */
export function collectionPath(manifest: Pick<Manifest, 'kind' | 'metadata'>): string {
  const { namespace } = manifest.metadata;
  const scope = namespace === undefined ? '' : `/namespaces/${namespace}`;
  return `/apis/roster.dev/v1alpha1${scope}/${plurals[manifest.kind]}`;
}
