// What users and controllers do to a cluster while the laboratory looks on: small, and the same at every run.
import {
  clusterRegistration,
  clusterRegistry,
  type Manifest,
  namespace,
  registration,
  service,
  slice,
} from '../e2e/objects.ts';

/** One write of somebody who is not the operator. */
export type UserWrite =
  | { readonly put: Manifest }
  | { readonly remove: { readonly kind: string; readonly namespace?: string; readonly name: string } };

export interface Step {
  readonly step: string;
  /** Users wait until all that they want stands: what never stood cannot be held. */
  readonly onceAllStands?: boolean;
  readonly writes: readonly UserWrite[];
  /** Within the same step. */
  readonly aSecondLater?: readonly UserWrite[];
}

/** Names of one run, so that many can share a cluster and a registry server. */
export interface Names {
  readonly ns: string;
  readonly registry: string;
  /** As the Service and the registry know it. */
  of(name: string): string;
}

export interface Workload {
  readonly name: string;
  /** The deletion guard holds at its end what nobody wants any more: so many entries. */
  readonly held?: number;
  steps(names: Names): readonly Step[];
}

const put = (...manifests: readonly Manifest[]): readonly UserWrite[] => manifests.map((one) => ({ put: one }));

/** The stage of every workload: its namespace and its registry. */
export function stageOf({ ns, registry }: Names, spec: object): readonly UserWrite[] {
  return put(namespace(ns, { 'kubernetes.io/metadata.name': ns }), clusterRegistry(registry, spec));
}

const addresses = (...last: readonly number[]): readonly string[] => last.map((byte) => `10.70.0.${byte}`);

const grow: Workload = {
  name: 'grow',
  steps({ ns, registry, of }) {
    const [web, api] = [of('web'), of('api')];
    return [
      { step: 'a Service comes first', writes: put(service(ns, web), slice(ns, web, addresses(1, 2))) },
      { step: 'its registration follows', writes: put(registration(ns, web, registry)) },
      {
        step: 'another has two slices from the start',
        writes: put(
          registration(ns, api, registry),
          service(ns, api),
          slice(ns, api, addresses(11, 12)),
          slice(ns, api, addresses(13), { name: `${api}-2` }),
        ),
      },
      { step: 'the first one grows', writes: put(slice(ns, web, addresses(1, 2, 3))) },
    ];
  },
};

const scale: Workload = {
  name: 'scale',
  steps({ ns, registry, of }) {
    const web = of('web');
    const to = (...last: readonly number[]) => put(slice(ns, web, addresses(...last)));
    return [
      { step: 'three stand', writes: [...put(service(ns, web), registration(ns, web, registry)), ...to(1, 2, 3)] },
      { step: 'up to five', writes: to(1, 2, 3, 4, 5) },
      { step: 'down to two', writes: to(1, 2) },
      { step: 'up again, with an old address and a new one', writes: to(1, 2, 3, 6) },
      { step: 'the first one is replaced', writes: to(2, 3, 6, 7) },
    ];
  },
};

const readiness: Workload = {
  name: 'readiness',
  steps({ ns, registry, of }) {
    const web = of('web');
    const first = (state: object) => put(slice(ns, web, { '10.70.0.1': state, '10.70.0.2': {}, '10.70.0.3': {} }));
    return [
      { step: 'three are ready', writes: [...put(service(ns, web), registration(ns, web, registry)), ...first({})] },
      { step: 'one is not', writes: first({ ready: false, serving: false }) },
      { step: 'it is again', writes: first({}) },
      { step: 'it is told to end', writes: first({ ready: false, serving: true, terminating: true }) },
      { step: 'it is gone', writes: put(slice(ns, web, addresses(2, 3))) },
      {
        step: 'an annotation is wrong, and is corrected',
        writes: put(service(ns, web, { annotations: { 'roster.dev/weight': 'heavy' } })),
        aSecondLater: put(service(ns, web)),
      },
    ];
  },
};

const service_: Workload = {
  name: 'service',
  steps({ ns, registry, of }) {
    const [web, api] = [of('web'), of('api')];
    const gone: readonly UserWrite[] = [
      { remove: { kind: 'Service', namespace: ns, name: web } },
      { remove: { kind: 'EndpointSlice', namespace: ns, name: `${web}-1` } },
    ];
    const there = put(service(ns, web), slice(ns, web, addresses(1, 2)));
    return [
      {
        step: 'two Services stand',
        writes: [
          ...there,
          ...put(
            registration(ns, web, registry),
            service(ns, api),
            slice(ns, api, addresses(11)),
            registration(ns, api, registry),
          ),
        ],
      },
      { step: 'one is deleted', writes: gone },
      { step: 'it is made again', writes: there },
      { step: 'the other one grows', writes: put(slice(ns, api, addresses(11, 12))) },
      { step: 'the first one is deleted for good', writes: gone },
    ];
  },
};

const registration_: Workload = {
  name: 'registration',
  steps({ ns, registry, of }) {
    const [web, api] = [of('web'), of('api')];
    const gone: readonly UserWrite[] = [{ remove: { kind: 'ServiceRegistration', namespace: ns, name: web } }];
    return [
      {
        step: 'two Services stand',
        writes: put(
          service(ns, web),
          slice(ns, web, addresses(1, 2)),
          registration(ns, web, registry),
          service(ns, api),
          slice(ns, api, addresses(11, 12)),
          registration(ns, api, registry, { deletionPolicy: 'Retain' }),
        ),
      },
      { step: 'a registration is deleted', writes: gone },
      { step: 'it is made again', writes: put(registration(ns, web, registry)) },
      {
        step: 'another leaves its entries behind',
        writes: [{ remove: { kind: 'ServiceRegistration', namespace: ns, name: api } }],
      },
      { step: 'the first one goes for good', writes: gone },
    ];
  },
};

const rename: Workload = {
  name: 'rename',
  steps({ ns, registry, of }) {
    const web = of('web');
    const called = (name: string) => put(registration(ns, web, registry, { name: of(name) }));
    return [
      {
        step: 'two stand',
        writes: [...put(service(ns, web), slice(ns, web, addresses(1, 2))), ...called('web')],
      },
      { step: 'they get another name', writes: called('front') },
      { step: 'and their first one back', writes: called('web') },
      { step: 'a tag is added', writes: put(registration(ns, web, registry, { name: of('web'), tags: ['blue'] })) },
    ];
  },
};

const move: Workload = {
  name: 'move',
  steps({ ns, registry, of }) {
    const web = of('web');
    const one = (...last: readonly number[]) => put(slice(ns, web, addresses(...last)));
    const two = (...last: readonly number[]) => put(slice(ns, web, addresses(...last), { name: `${web}-2` }));
    return [
      {
        step: 'two slices stand',
        writes: [...put(service(ns, web), registration(ns, web, registry)), ...one(1, 2), ...two(3)],
      },
      { step: 'an address moves from the first to the second', writes: [...two(2, 3), ...one(1)] },
      { step: 'and back', writes: [...one(1, 2), ...two(3)] },
      { step: 'the second is merged into the first', writes: one(1, 2, 3) },
      { step: 'and goes', writes: [{ remove: { kind: 'EndpointSlice', namespace: ns, name: `${web}-2` } }] },
    ];
  },
};

const precedence: Workload = {
  name: 'precedence',
  steps({ ns, registry, of }) {
    const [web, api, own] = [of('web'), of('api'), of('own')];
    const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': ns } };
    return [
      {
        step: 'all of a namespace is mirrored',
        writes: put(
          clusterRegistration(of('all'), registry, { namespaceSelector, selector: {}, tags: ['mirrored'] }),
          service(ns, web),
          slice(ns, web, addresses(1, 2)),
        ),
      },
      { step: 'a team asks for itself', writes: put(registration(ns, web, registry, { tags: ['asked'] })) },
      {
        step: 'another Service wants a name that is taken',
        writes: put(
          service(ns, api),
          slice(ns, api, addresses(11)),
          registration(ns, api, registry, { name: web, tags: ['late'] }),
          // For later.
          registration(ns, own, registry, { tags: ['asked'] }),
        ),
      },
      {
        step: 'the team thinks better of it',
        writes: [{ remove: { kind: 'ServiceRegistration', namespace: ns, name: api } }],
      },
      {
        step: 'a Service comes that was asked for before',
        writes: put(service(ns, own), slice(ns, own, addresses(21))),
      },
    ];
  },
};

/** One more than go at once by the default of the deletion guard, and nobody was seen to terminate. */
const vanish: Workload = {
  name: 'vanish',
  held: 11,
  steps({ ns, registry, of }) {
    const web = of('web');
    const upTo = (last: number) =>
      put(slice(ns, web, addresses(...Array.from({ length: last }, (_, index) => index + 1))));
    return [
      {
        step: 'thirteen stand',
        writes: [...put(service(ns, web), registration(ns, web, registry)), ...upTo(13)],
      },
      { step: 'twelve vanish', onceAllStands: true, writes: upTo(1) },
      { step: 'one is back', writes: upTo(2) },
    ];
  },
};

export const WORKLOADS: readonly Workload[] = [
  grow,
  scale,
  readiness,
  service_,
  registration_,
  rename,
  move,
  precedence,
  vanish,
];
