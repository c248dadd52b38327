import { isIPv6 } from 'node:net';
import type { RegistryObject } from '../../api/kinds.generated.ts';
import { systemClock } from '../../clock.ts';
import type { KubeClient } from '../../kubernetes/client.ts';
import type { Plan } from '../../mirror/change.ts';
import { createClaimIndex } from '../../mirror/claims.ts';
import { desired, type Wanted } from '../../mirror/desired.ts';
import type { Instance } from '../../mirror/instance.ts';
import { planChanges } from '../../mirror/plan.ts';
import { registryId } from '../../mirror/selection.ts';
import type { View } from '../../mirror/view.ts';
import { tenantRule } from '../../registries/address-rule.ts';
import { createRegistry, type OpenRegistry } from '../../registries/create.ts';
import { RegistryError } from '../../registries/error.ts';
import { type Caches, createCaches, keyOf } from '../cluster/caches.ts';
import { createDeletionGuards } from '../deletion-guards.ts';
import { gather, type Surroundings } from '../gather.ts';
import { withClaims } from '../reconcile.ts';
import { readCredentials } from '../registry/credentials.ts';
import { cachesFromCluster, cachesFromFiles } from './snapshot.ts';

/** What is desired, what stands, and what would change: one key for each Service and registry that have to do with one another. */
export interface Inspection {
  readonly keys: readonly InspectedKey[];
}

export interface InspectedKey {
  /** `name` of a ClusterRegistry, `namespace/name` of a Registry. */
  readonly registry: string;
  /** `namespace/name`. */
  readonly service: string;
  /** False: it is not known what stands in the registry, so the plan is empty and says nothing; `problems` tells why. */
  readonly compared: boolean;
  readonly plan: Plan;
  /** Entries that stand now and vanish when no operator keeps them alive. */
  readonly leased: number;
  readonly endpoints: readonly InspectedEndpoint[];
  readonly problems: readonly { readonly code: string; readonly message: string }[];
}

export interface InspectedEndpoint {
  readonly address: string;
  /** Absent when no port of the endpoint is registered. */
  readonly port?: number;
  readonly family: 'IPv4' | 'IPv6' | 'FQDN';
  readonly included: boolean;
  /** The rule that decided. */
  readonly rule: string;
}

export interface InspectOptions {
  readonly cluster: string;
  readonly operatorNamespace: string;
  /** As `roster run` got it. */
  readonly tenantRegistryNetworks?: readonly string[];
  readonly signal: AbortSignal;
  /** Manifests of a file or folder take the place of a cluster; the registries are then taken to be empty. */
  readonly source: { readonly client: KubeClient } | { readonly files: string };
  /** Where `roster run` serves HTTP: the only way to a Memory registry, which lives in that process. */
  readonly operatorUrl?: string;
}

/** The same decisions as the operator's, made once and written nowhere. Rejects when the cluster cannot be read. */
export async function inspect(options: InspectOptions): Promise<Inspection> {
  const { cluster, operatorNamespace, source, signal } = options;
  const { caches, writers } = createCaches();
  if ('client' in source) await cachesFromCluster(source.client, writers, signal);
  else cachesFromFiles(source.files, writers);
  const surroundings: Surroundings = {
    cluster,
    caches,
    reservedNamespaces: new Set(['kube-system', operatorNamespace]),
    isUnreadable: () => false,
  };
  const objects: RegistryObject[] = [...caches.clusterRegistries.all(), ...caches.registries.all()];
  const keys = await Promise.all(
    objects.map(async (object) => inspectRegistry(surroundings, object, await observe(object, options))),
  );
  return { keys: keys.flat() };
}

interface Observed {
  readonly normalise: OpenRegistry['normalise'];
  /** As the operator sees them, see {@link asHeld}. */
  readonly instances: readonly Instance[];
  /** Why it is not known what stands in the registry: no change can be told then. */
  readonly problem?: { readonly code: string; readonly message: string };
}

async function observe(
  object: RegistryObject,
  { source, cluster, signal, operatorUrl, tenantRegistryNetworks }: InspectOptions,
): Promise<Observed> {
  const unknown = (code: string, message: string): Observed => ({
    normalise: (instance) => ({ ok: true, instance }),
    instances: [],
    problem: { code, message },
  });
  const offline = !('client' in source);
  const credentials = offline
    ? ({ ok: true, secrets: {} } as const)
    : await readCredentials({ client: source.client }, object, signal);
  if (!credentials.ok) return unknown(credentials.reason, credentials.message);

  let registry: OpenRegistry;
  try {
    registry = createRegistry(object.spec, credentials.secrets, {
      // A tenant names it, and whoever looks may reach other places than the operator.
      ...(object.kind === 'Registry' && { mayConnect: tenantRule(tenantRegistryNetworks) }),
    });
  } catch (error) {
    // One that cannot be used as it is configured must not keep the others from being looked at.
    return unknown('InvalidSpec', RegistryError.from(error, 'open').message);
  }
  const { normalise } = registry;
  try {
    if (offline) return { normalise, instances: [] };
    if (object.spec.type === 'Memory')
      return { ...(await fromOperator(object, cluster, operatorUrl, signal)), normalise };
    return { normalise, instances: (await registry.list(cluster, signal)).map(asHeld) };
  } catch (error) {
    return { ...unknown('RegistryUnreachable', RegistryError.from(error, 'list').message), normalise };
  } finally {
    await registry.close();
  }
}

/**
 * Whoever only looks holds no lease, and reads those of the operator as lapsing. They are its own, or will be when it takes them over: no change
 * that somebody should be told of.
 */
const asHeld = (instance: Instance): Instance =>
  instance.liveness === 'lapsing' ? { ...instance, liveness: 'leased' } : instance;

async function fromOperator(
  object: RegistryObject,
  cluster: string,
  operatorUrl: string | undefined,
  signal: AbortSignal,
): Promise<Omit<Observed, 'normalise'>> {
  const name = shortName(object);
  if (operatorUrl === undefined) {
    const message = `the Memory registry ${name} lives in the operator: say where its HTTP port is with ROSTER_URL`;
    return { instances: [], problem: { code: 'RegistryUnreachable', message } };
  }
  const response = await fetch(new URL(`/registries/${name}`, operatorUrl), { signal });
  if (!response.ok) {
    const message =
      response.status === 503
        ? `the operator at ${operatorUrl} does not lead registry ${name}: set ROSTER_URL to the replica that does`
        : `${operatorUrl} answered ${response.status} for registry ${name}: is it the HTTP port of roster run?`;
    return { instances: [], problem: { code: 'RegistryUnreachable', message } };
  }
  const { instances } = (await response.json()) as { readonly instances: readonly Instance[] };
  return { instances: instances.filter(({ marks }) => marks.cluster === cluster).map(asHeld) };
}

function inspectRegistry(
  surroundings: Surroundings,
  object: RegistryObject,
  { normalise, instances, problem }: Observed,
): readonly InspectedKey[] {
  const byOwner = Map.groupBy(instances, ({ marks }) => marks.owner);
  const claims = createClaimIndex();
  const seen = [...ownersOf(surroundings.caches, registryId(object), byOwner.keys())].map((owner) =>
    gather(surroundings, object, owner, byOwner.get(owner) ?? []),
  );
  for (const view of seen) withClaims(view, claims, () => {});
  const guard = guardFor(object, instances.length);
  return seen
    .filter(({ covering, observed }) => covering.length > 0 || observed.length > 0)
    .map((view) =>
      inspectService(
        object,
        withClaims(view, claims, () => {}),
        { normalise, problem, guard },
      ),
    );
}

/** As in an operator that has just started: of what went within the window, nobody but the status tells. */
function guardFor(object: RegistryObject, owned: number): (view: View, plan: Plan) => Plan {
  const guards = createDeletionGuards({
    clock: systemClock,
    find: () => undefined,
    isCatchingUp: () => true,
    look: () => {},
    touch: () => {},
    onResumed: () => {},
    onChange: () => {},
    onReleased: () => {},
  });
  const guard = guards.guardOf(registryId(object), object);
  return (view, plan) => guard.judge(view, plan, owned).plan;
}

function ownersOf(caches: Caches, registry: string, observed: Iterable<string>): ReadonlySet<string> {
  const owners = new Set(observed);
  for (const service of caches.services.all()) owners.add(keyOf(service));
  for (const { metadata, spec } of caches.serviceRegistrations.by('registry', registry)) {
    if (spec.serviceRef !== undefined) owners.add(`${metadata.namespace}/${spec.serviceRef.name}`);
  }
  return owners;
}

interface Comparison {
  readonly normalise: Observed['normalise'];
  readonly problem: Observed['problem'] | undefined;
  guard(view: View, plan: Plan): Plan;
}

function inspectService(
  object: RegistryObject,
  view: View,
  { normalise, problem: unknown, guard }: Comparison,
): InspectedKey {
  const wanted = desired(view, normalise);
  const told = wanted.flatMap(({ problem, notes, unfit }) => [
    ...(problem === undefined ? [] : [problem]),
    ...notes,
    ...unfit,
  ]);
  return {
    registry: shortName(object),
    service: view.owner,
    compared: unknown === undefined,
    plan: unknown === undefined ? guard(view, planChanges(view, wanted)) : { changes: [], leftAlone: [] },
    leased: view.observed.filter(({ liveness }) => liveness === 'leased').length,
    endpoints: wanted.flatMap(endpointsOf),
    problems: [...(unknown === undefined ? [] : [unknown]), ...told.map(({ code, message }) => ({ code, message }))],
  };
}

const endpointsOf = ({ ports }: Wanted): readonly InspectedEndpoint[] =>
  ports.flatMap(({ endpoints }) =>
    endpoints.map(({ address, port, included, rule }) => ({
      address,
      ...(port === undefined ? {} : { port }),
      family: isIPv6(address) ? 'IPv6' : /^[\d.]+$/.test(address) ? 'IPv4' : 'FQDN',
      included,
      rule,
    })),
  );

const shortName = ({ metadata }: RegistryObject): string =>
  metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
