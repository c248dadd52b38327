// What a scenario file may say. Its errors name the field; what it cannot express is checked in scenario-file.ts.
import type { Health, Liveness } from '../../src/mirror/instance.ts';
import type { Target } from '../e2e/kube.ts';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: Target['kind'];
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface Content {
  readonly scenario: string;
  readonly steps: readonly WrittenStep[];
}

export interface WrittenStep {
  readonly step: string;
  readonly apply?: readonly Manifest[];
  readonly patch?: readonly { readonly target: string; readonly with: object }[];
  readonly delete?: readonly string[];
  /** By `namespace/name` of the Service. */
  readonly entries: 'unchanged' | Readonly<Record<string, readonly WrittenEntry[]>>;
  /** By `Kind namespace/name` or `Kind name`. */
  readonly statuses?: Readonly<Record<string, WrittenStatus>>;
}

export interface WrittenEntry {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Default: the ServiceRegistration of the Service's own name. */
  readonly by?: string;
  readonly health?: Health;
  readonly liveness?: Liveness;
  readonly weight?: number;
  readonly tags?: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly retained?: boolean;
}

export interface WrittenStatus {
  readonly conditions: Readonly<Record<string, string>>;
  readonly services?: Readonly<Record<'matched' | 'synced', number>>;
  readonly instances?: Readonly<Record<string, number>>;
  readonly names?: readonly string[];
  /** Their codes, as often as they come. */
  readonly failures?: readonly string[];
}

const text = { type: 'string', minLength: 1 } as const;
const count = { type: 'integer', minimum: 0 } as const;
const texts = { type: 'object', additionalProperties: { type: 'string' } } as const;

const exactly = (properties: object, required: readonly string[]) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});

const KINDS = [
  'Namespace',
  'Service',
  'EndpointSlice',
  'ServiceRegistration',
  'ClusterServiceRegistration',
  'Registry',
  'ClusterRegistry',
];

const TARGET = `^(${KINDS.join('|')}) [a-z0-9./-]+$`;
const REPORTING = `^(${KINDS.slice(3).join('|')}) [a-z0-9./-]+$`;
const OWNER = '^[a-z0-9-]+/[a-z0-9-]+$';

const manifest = {
  type: 'object',
  properties: {
    apiVersion: text,
    kind: { enum: KINDS },
    metadata: exactly({ name: text, namespace: text, labels: texts, annotations: texts }, ['name']),
  },
  required: ['apiVersion', 'kind', 'metadata'],
} as const;

const entry = exactly(
  {
    name: text,
    address: text,
    port: { type: 'integer', minimum: 1, maximum: 65_535 },
    by: { type: 'string', pattern: '^(ServiceRegistration/[a-z0-9-]+|ClusterServiceRegistration)/[a-z0-9.-]+$' },
    health: { enum: ['healthy', 'draining', 'unhealthy'] },
    liveness: { enum: ['persistent', 'leased'] },
    weight: count,
    tags: { type: 'array', items: { type: 'string' } },
    metadata: texts,
    retained: { type: 'boolean' },
  },
  ['name', 'address', 'port'],
);

const status = exactly(
  {
    conditions: {
      type: 'object',
      minProperties: 1,
      additionalProperties: { type: 'string', pattern: '^(absent|(True|False|Unknown) [A-Z][A-Za-z]+)$' },
    },
    services: exactly({ matched: count, synced: count }, ['matched', 'synced']),
    instances: exactly({ desired: count, registered: count, healthy: count, owned: count }, []),
    names: { type: 'array', items: text },
    failures: { type: 'array', items: text },
  },
  ['conditions'],
);

const step = exactly(
  {
    step: text,
    apply: { type: 'array', items: manifest },
    patch: {
      type: 'array',
      items: exactly({ target: { type: 'string', pattern: TARGET }, with: { type: 'object' } }, ['target', 'with']),
    },
    delete: { type: 'array', items: { type: 'string', pattern: TARGET } },
    entries: {
      if: { type: 'string' },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema.
      then: { enum: ['unchanged'] },
      else: {
        type: 'object',
        propertyNames: { pattern: OWNER },
        additionalProperties: { type: 'array', items: entry },
      },
    },
    statuses: { type: 'object', propertyNames: { pattern: REPORTING }, additionalProperties: status },
  },
  ['step', 'entries'],
);

export const contentSchema = exactly({ scenario: text, steps: { type: 'array', minItems: 1, items: step } }, [
  'scenario',
  'steps',
]);
