import { isFields } from '../api/metadata.ts';
import { type KubeClient, KubeError } from './client.ts';

/** A Lease of coordination.k8s.io/v1, as much of it as an election reads. */
export interface LeaseRecord {
  /** Empty: nobody holds it. */
  readonly holder: string;
  readonly durationMs: number;
  /** RFC 3339 by the clock of whoever wrote it: compared for equality, never with a time of ours. */
  readonly acquireTime: string | undefined;
  readonly renewTime: string | undefined;
  readonly transitions: number;
  /** As the server gave it: what others put there stays there. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

const DEFAULT_DURATION_S = 15;

function parseLease(raw: unknown): LeaseRecord {
  if (!isFields(raw) || !isFields(raw['metadata']) || typeof raw['metadata']['resourceVersion'] !== 'string')
    throw new KubeError(0, 'Malformed', "the API server's answer is no Lease");
  const spec = isFields(raw['spec']) ? raw['spec'] : {};
  const { managedFields: _, ...metadata } = raw['metadata'];
  const seconds = numberOf(spec['leaseDurationSeconds']) ?? DEFAULT_DURATION_S;
  return {
    holder: textOf(spec['holderIdentity']) ?? '',
    durationMs: seconds * 1_000,
    acquireTime: textOf(spec['acquireTime']),
    renewTime: textOf(spec['renewTime']),
    transitions: numberOf(spec['leaseTransitions']) ?? 0,
    metadata,
  };
}

export type LeaseSpec = Pick<LeaseRecord, 'holder' | 'durationMs' | 'acquireTime' | 'renewTime' | 'transitions'>;

/** Three requests without an answer fit into the deadline of a term. */
const REQUEST_MS = 3_000;

/** One Lease of the API server. Every call rejects with a KubeError, or with the signal's reason. */
export function leaseAt({ client, namespace, name }: LeasePlace) {
  const collection = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`;
  const path = `${collection}/${encodeURIComponent(name)}`;
  const timeoutMs = REQUEST_MS;
  return {
    /** Undefined: there is none. */
    async read(signal: AbortSignal): Promise<LeaseRecord | undefined> {
      try {
        return parseLease(await client.request({ method: 'GET', path, signal, timeoutMs }));
      } catch (error) {
        if (error instanceof KubeError && error.status === 404) return undefined;
        throw error;
      }
    },
    async create(metadata: object, spec: LeaseSpec, signal: AbortSignal): Promise<LeaseRecord> {
      const body = leaseObject({ ...metadata, name, namespace }, spec);
      return parseLease(await client.request({ method: 'POST', path: collection, body, signal, timeoutMs }));
    },
    /** This very version of it; 409 when it is not the newest. */
    async replace({ metadata }: LeaseRecord, spec: LeaseSpec, signal: AbortSignal): Promise<LeaseRecord> {
      const body = leaseObject(metadata, spec);
      return parseLease(await client.request({ method: 'PUT', path, body, signal, timeoutMs }));
    },
    async remove({ metadata: { uid, resourceVersion } }: LeaseRecord, signal: AbortSignal): Promise<void> {
      const body = { preconditions: { uid, resourceVersion } };
      await client.request({ method: 'DELETE', path, body, signal, timeoutMs });
    },
  };
}

export interface LeasePlace {
  readonly client: Pick<KubeClient, 'request'>;
  readonly namespace: string;
  readonly name: string;
}

const leaseObject = (metadata: object, spec: LeaseSpec): object => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata,
  spec: {
    holderIdentity: spec.holder,
    leaseDurationSeconds: Math.max(1, Math.round(spec.durationMs / 1_000)),
    acquireTime: spec.acquireTime,
    renewTime: spec.renewTime,
    leaseTransitions: spec.transitions,
  },
});

/** Any write moves it. */
export const versionOf = ({ metadata, holder, renewTime, transitions }: LeaseRecord): string =>
  [metadata['resourceVersion'], holder, renewTime, transitions].join(' ');

/** Two writes of one process never bear the same. */
export const stampOf = ({ renewTime, transitions }: LeaseSpec): string => `${renewTime} ${transitions}`;

/** MicroTime, as the API server wants it. */
export const microTime = (date: Date): string => date.toISOString().replace('Z', '000Z');

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
