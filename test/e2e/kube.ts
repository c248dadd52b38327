// The API server as the tests read it: kubectl is what users have, but a process for every look costs more than what it looks at.
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, request as send } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { ControlPlane } from '../servers/control-plane.ts';

// biome-ignore lint/suspicious/noExplicitAny: the answers of a server, whose shape the tests assert.
export type Json = any;

export interface Target {
  readonly kind: keyof typeof COLLECTIONS;
  readonly namespace?: string;
  readonly name: string;
}

const COLLECTIONS = {
  Namespace: '/api/v1/namespaces',
  Pod: '/api/v1/pods',
  Service: '/api/v1/services',
  Endpoints: '/api/v1/endpoints',
  Secret: '/api/v1/secrets',
  EndpointSlice: '/apis/discovery.k8s.io/v1/endpointslices',
  Deployment: '/apis/apps/v1/deployments',
  Event: '/apis/events.k8s.io/v1/events',
  ServiceRegistration: '/apis/roster.dev/v1alpha1/serviceregistrations',
  ClusterServiceRegistration: '/apis/roster.dev/v1alpha1/clusterserviceregistrations',
  Registry: '/apis/roster.dev/v1alpha1/registries',
  ClusterRegistry: '/apis/roster.dev/v1alpha1/clusterregistries',
} as const;

export interface Kube {
  /** The object, or undefined when there is none. */
  get(target: Target): Promise<Json | undefined>;
  list(kind: Target['kind'], namespace?: string): Promise<readonly Json[]>;
  /** Server-side apply of a whole manifest, as `kubectl apply` does it. Rejects with the words of the server. */
  apply(manifest: Json): Promise<Json>;
  /** A merge patch, of a subresource when one is named. */
  patch(target: Target, patch: object, subresource?: 'status'): Promise<Json>;
  /** Resolves when the deletion is accepted; the object may stay for its finalizers. One that is not there is fine. */
  remove(target: Target): Promise<void>;
  /** Every object of a kind as `ADDED`, and every event from now on, until the signal aborts. Resolves once the watch stands. */
  watch(kind: Target['kind'], onEvent: (type: string, object: Json) => void, signal: AbortSignal): Promise<void>;
  close(): void;
}

export async function openKube({ url, caFile, tokens }: ControlPlane): Promise<Kube> {
  const agent = new Agent({ keepAlive: true, ca: await readFile(caFile) });

  function open(method: string, path: string, body?: object, signal?: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${tokens.admin}`, 'content-type': contentType(method, path) };
      const sent = send(new URL(path, url), { method, agent, headers, ...(signal === undefined ? {} : { signal }) });
      sent.once('response', resolve).once('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  async function ask(method: string, path: string, body?: object): Promise<Json | undefined> {
    const response = await open(method, path, body);
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    if (response.statusCode === 404) return undefined;
    if (response.statusCode === 429) {
      // Kinds that were made a moment ago are not served yet; the server says so and when to come again.
      await delay(1_000 * Number(response.headers['retry-after'] ?? 1));
      return ask(method, path, body);
    }
    if ((response.statusCode ?? 0) >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${text}`);
    return JSON.parse(text);
  }

  return {
    get: (target) => ask('GET', pathOf(target)),
    async list(kind, namespace) {
      const answer = await ask('GET', collection(kind, namespace));
      return (answer?.items ?? []).map((item: object) => ({ kind, ...item }));
    },
    async apply(manifest) {
      const path = pathOf({ kind: manifest.kind, ...manifest.metadata });
      const answer = await ask('PATCH', `${path}?${APPLY}`, manifest);
      if (answer === undefined) throw new Error(`PATCH ${path}: there is no such kind or namespace`);
      return answer;
    },
    async patch(target, patch, subresource) {
      const path = pathOf(target) + (subresource === undefined ? '' : `/${subresource}`);
      const answer = await ask('PATCH', path, patch);
      if (answer === undefined) throw new Error(`PATCH ${path}: there is no such object`);
      return answer;
    },
    async remove(target) {
      await ask('DELETE', pathOf(target));
    },
    async watch(kind, onEvent, signal) {
      const start = async () => {
        const listed = await ask('GET', collection(kind));
        for (const item of listed?.items ?? []) onEvent('ADDED', { kind, ...item });
        const query = `?watch=1&resourceVersion=${listed?.metadata.resourceVersion}`;
        const response = await open('GET', collection(kind) + query, undefined, signal);
        if (response.statusCode !== 200) throw new Error(`watch of ${kind}: ${response.statusCode}`);
        return response;
      };
      const goOn = async (first: IncomingMessage) => {
        let response: IncomingMessage | undefined = first;
        while (!signal.aborted) {
          // It ends with the server.
          if (response !== undefined) await follow(response, onEvent).catch(() => {});
          await delay(200);
          response = signal.aborted ? undefined : await start().catch(() => undefined);
        }
      };
      void goOn(await start());
    },
    close: () => agent.destroy(),
  };
}

const APPLY = 'fieldManager=tests&force=true';

function contentType(method: string, path: string): string {
  if (method !== 'PATCH') return 'application/json';
  return path.endsWith(APPLY) ? 'application/apply-patch+yaml' : 'application/merge-patch+json';
}

async function follow(response: IncomingMessage, onEvent: (type: string, object: Json) => void): Promise<void> {
  let rest = '';
  for await (const chunk of response.setEncoding('utf8')) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const { type, object } = JSON.parse(line);
      onEvent(type, object);
    }
  }
}

function collection(kind: Target['kind'], namespace?: string): string {
  const path = COLLECTIONS[kind];
  if (namespace === undefined) return path;
  const slash = path.lastIndexOf('/');
  return `${path.slice(0, slash)}/namespaces/${namespace}${path.slice(slash)}`;
}

const pathOf = ({ kind, namespace, name }: Target): string => `${collection(kind, namespace)}/${name}`;
