import type { Service } from '../api/core.ts';
import type { Registration } from '../api/kinds.generated.ts';
import { type Overrides, overridesOf } from './annotations.ts';
import { claimKey, heldBy } from './claims.ts';
import { type Verdict, verdicts } from './endpoints.ts';
import type { Instance } from './instance.ts';
import { instanceId } from './naming.ts';
import { choosePorts, nameFor, type Problem, portLabel } from './ports.ts';
import { labelOf } from './selection.ts';
import { registrationId, type View } from './view.ts';

/** What the registry stores for an instance, or the rule of the registry that it breaks. */
export type Normalise = (instance: Instance) => { ok: true; instance: Instance } | { ok: false; message: string };

export interface PortVerdict {
  readonly port: string;
  readonly name: string;
  readonly endpoints: readonly Verdict[];
}

/** What one registration wants for one Service. */
export interface Wanted {
  readonly registration: Registration;
  readonly instances: readonly Instance[];
  /** As they stand in the registry, sorted. */
  readonly names: readonly string[];
  readonly ports: readonly PortVerdict[];
  readonly problem?: Problem;
  /** Names, as they would stand in the registry, that an older registration keeps from this one. */
  readonly lostNames: readonly string[];
  /** Things to tell that change nothing: annotations that are ignored. */
  readonly notes: readonly { readonly code: string; readonly message: string }[];
  /** Endpoints that are there and that the registry cannot hold as they are. What stands of them stays. */
  readonly unfit: readonly { readonly code: string; readonly message: string; readonly instance: string }[];
  /** The Service asked by annotation to be left out. */
  readonly optedOut: boolean;
}

/** What should stand in the registry for one Service: one answer for each registration that covers it, in order of precedence. */
export function desired(view: View, normalise: Normalise): readonly Wanted[] {
  const taken = new Map<string, string>();
  for (const { id, marks } of view.observed) {
    if (view.registrations[marks.registration] === 'other-registry') taken.set(id, marks.registration);
  }
  return view.covering.map((registration) => {
    const wanted = wantedBy(registration, view, normalise);
    const twice = wanted.instances.find(({ id }) => taken.has(id));
    if (twice === undefined) {
      for (const { id } of wanted.instances) taken.set(id, registrationId(registration));
      return wanted;
    }
    const message = `${twice.address}:${twice.port} of Service ${view.owner} is already registered here by ${taken.get(twice.id)}; choose other ports or remove one of the two`;
    return { ...wanted, instances: [], names: [], problem: { code: 'NameConflict', message } };
  });
}

function wantedBy(registration: Registration, view: View, normalise: Normalise): Wanted {
  const nothing: Wanted = {
    registration,
    instances: [],
    names: [],
    ports: [],
    lostNames: [],
    notes: [],
    unfit: [],
    optedOut: false,
  };
  const refusal = view.refusals[registrationId(registration)];
  if (refusal !== undefined) return { ...nothing, problem: refusal };
  if (view.service.state !== 'present') {
    const message = `Service ${view.owner} does not exist; create it, or correct spec.serviceRef.name`;
    return { ...nothing, problem: { code: 'ServiceNotFound', message } };
  }
  const service = view.service.object;
  const overrides = overridesOf(service);
  const notes = overrides.invalid.map((message) => ({ code: 'InvalidAnnotation', message }));
  if (!overrides.register) return { ...nothing, notes, optedOut: true };

  const choice = choosePorts(registration, service, overrides);
  if ('problem' in choice) return { ...nothing, notes, problem: choice.problem };

  const named = choice.ports.map((port) => ({ port, name: nameFor(registration, view, port, overrides) }));
  const lost = named.flatMap(({ name }) => {
    const key = claimKey(name);
    // `constructor` and `__proto__` are lawful names.
    const holder = heldBy(view.owner, Object.hasOwn(view.claims, key) ? (view.claims[key] ?? []) : []);
    return holder === undefined ? [] : [{ name, holder }];
  });
  if (lost[0] !== undefined) {
    const { name, holder } = lost[0];
    const message = `the name "${name}" is taken by Service ${holder.owner} through the older ${holder.registration}; choose another name, or set mergeName on both`;
    const lostNames = lost.flatMap((one) => {
      const stored = normalise(instanceOf(registration, view, service, one.name, overrides, SAMPLE));
      return stored.ok ? [stored.instance.service] : [];
    });
    return { ...nothing, notes, lostNames, problem: { code: 'NameConflict', message } };
  }

  const ports: PortVerdict[] = [];
  const instances: Instance[] = [];
  const unfit: Wanted['unfit'][number][] = [];
  const names = new Set<string>();
  for (const { port, name } of named) {
    const endpoints = verdicts(view.slices, {
      namespace: service.metadata.namespace ?? '',
      portName: port.name,
      protocol: port.protocol,
      health: registration.spec.health,
      allowUnmanagedEndpoints: view.registry.allowUnmanagedEndpoints,
    });
    ports.push({ port: portLabel(port), name, endpoints });
    const refused = normalise(instanceOf(registration, view, service, name, overrides, SAMPLE));
    if (!refused.ok) return { ...nothing, ports, notes, problem: { code: 'NameNotAllowed', message: refused.message } };
    names.add(refused.instance.service);
    for (const endpoint of endpoints) {
      if (!endpoint.included) continue;
      const instance = instanceOf(registration, view, service, name, overrides, endpoint);
      const stored = normalise(instance);
      if (stored.ok) instances.push(stored.instance);
      else unfit.push({ code: 'InstanceNotAllowed', message: stored.message, instance: instance.id });
    }
  }
  const twice = firstTwice(instances);
  if (twice !== undefined) {
    const message = `several of the ports of Service ${view.owner} that are asked for lead to ${twice.address}:${twice.port}, which can stand under one name only; ask for one of them`;
    return { ...nothing, ports, notes, problem: { code: 'InvalidSpec', message } };
  }
  return { ...nothing, instances, names: [...names].sort(), ports, notes, unfit };
}

function firstTwice(instances: readonly Instance[]): Instance | undefined {
  const seen = new Set<string>();
  return instances.find(({ id }) => seen.size === seen.add(id).size);
}

/** Stands for any endpoint, so that a name or metadata that the registry cannot hold is told even when no Pod is ready. */
const SAMPLE = { address: '192.0.2.1', port: 1, health: 'healthy' } as const;

function instanceOf(
  registration: Registration,
  view: View,
  service: Service,
  name: string,
  overrides: Overrides,
  endpoint: { address: string; port: number; health: Instance['health']; zone?: string },
): Instance {
  const { spec } = registration;
  const copied = (spec.metadataFromLabels ?? []).flatMap((label) => {
    const value = labelOf(service.metadata.labels, label);
    return value === undefined ? [] : [[label, value] as const];
  });
  const zone = endpoint.zone === undefined ? {} : { zone: endpoint.zone };
  const priority = spec.priority === 0 ? {} : { priority: String(spec.priority) };
  return {
    id: instanceId(view.cluster, view.owner, endpoint.address, endpoint.port),
    service: name,
    address: endpoint.address,
    port: endpoint.port,
    health: endpoint.health,
    liveness: spec.liveness === 'Leased' ? 'leased' : 'persistent',
    weight: overrides.weight ?? spec.weight,
    tags: [...new Set(overrides.tags ?? spec.tags ?? [])].sort(),
    metadata: { ...zone, ...priority, ...Object.fromEntries(copied), ...spec.metadata, ...overrides.metadata },
    marks: {
      cluster: view.cluster,
      owner: view.owner,
      registration: registrationId(registration),
      retained: spec.deletionPolicy === 'Retain',
    },
  };
}
