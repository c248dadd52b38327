import type { RegistryObject, RegistryTls, SecretKeyRef } from '../../api/kinds.generated.ts';
import type { ConditionReason } from '../../api/reasons.ts';
import type { KubeClient } from '../../kubernetes/client.ts';
import { readSecretKey } from '../../kubernetes/secrets.ts';
import type { Secrets } from '../../registries/secrets.ts';
import { readCredentialFile } from './credential-files.ts';

export type Credentials =
  | { readonly ok: true; readonly secrets: Secrets }
  | { readonly ok: false; readonly reason: ConditionReason; readonly message: string };

/** Where credentials come from besides the Secrets that a registry names. */
export interface CredentialSources {
  readonly client: KubeClient;
  /** What `credentialsDirectory` of a ClusterRegistry is below. */
  readonly directory?: string;
}

type Field = keyof Secrets;
/** A field without a reference is one that this registry can have and that its object names no Secret for. */
type Refs = ReadonlyMap<Field, SecretKeyRef | undefined>;

/** A registry whose credentials may change without a change of its object. */
export const hasCredentials = (object: RegistryObject): boolean =>
  directoryOf(object) !== undefined || [...secretRefs(object).values()].some((ref) => ref !== undefined);

const directoryOf = ({ spec }: RegistryObject): string | undefined =>
  'credentialsDirectory' in spec ? spec.credentialsDirectory : undefined;

function secretRefs({ spec }: RegistryObject): Refs {
  const refs = (fields: { readonly [F in Field]?: SecretKeyRef | undefined }, tls: RegistryTls | undefined): Refs =>
    new Map(Object.entries({ ...fields, ...tlsRefs(tls) }) as [Field, SecretKeyRef | undefined][]);
  switch (spec.type) {
    case 'Memory':
      return new Map();
    case 'Consul':
      return refs({ token: spec.consul.tokenSecretRef }, spec.consul.tls);
    case 'Etcd': {
      const { usernameSecretRef, passwordSecretRef, tls } = spec.etcd;
      return refs({ username: usernameSecretRef, password: passwordSecretRef }, tls);
    }
    case 'Nacos': {
      const { usernameSecretRef, passwordSecretRef, tls } = spec.nacos;
      return refs({ username: usernameSecretRef, password: passwordSecretRef }, tls);
    }
    case 'ZooKeeper':
      return refs({ digestAuth: spec.zookeeper.digestAuthSecretRef }, spec.zookeeper.tls);
  }
}

function tlsRefs(tls: RegistryTls | undefined) {
  if (tls === undefined) return {};
  const pair = tls.certSecretRef;
  return {
    ca: tls.caSecretRef,
    cert: pair && { ...pair, key: 'tls.crt' },
    key: pair && { ...pair, key: 'tls.key' },
  };
}

/** Reads them all, live. A namespaced Registry reads Secrets of its own namespace only, whatever its spec says. */
export async function readCredentials(
  { client, directory: root }: CredentialSources,
  registry: RegistryObject,
  signal: AbortSignal,
): Promise<Credentials> {
  const directory = directoryOf(registry);
  const secrets: { [F in Field]?: string } = {};
  for (const [field, ref] of secretRefs(registry)) {
    if (ref === undefined) {
      if (directory === undefined) continue;
      const file = await readCredentialFile(root, directory, field);
      if (!file.ok) return file;
      if (file.value !== undefined) secrets[field] = file.value;
      continue;
    }
    const namespace = registry.metadata.namespace ?? ref.namespace;
    if (namespace === undefined) {
      const message = `the reference to Secret ${ref.name} names no namespace; a ClusterRegistry must name one`;
      return { ok: false, reason: 'InvalidSpec', message };
    }
    const secret = await readSecretKey(client, { namespace, name: ref.name, key: ref.key }, signal);
    if (!secret.ok) return secret;
    secrets[field] = secret.value;
  }
  return { ok: true, secrets };
}
