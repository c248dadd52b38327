import { isIPv6 } from 'node:net';
import type {
  AddressFamily,
  Endpoint,
  EndpointPort,
  EndpointSlice,
  EndpointSubset,
  ObjectReference,
} from '../api/core.ts';
import type { Fields } from '../api/metadata.ts';
import {
  DROP_LABELS,
  fieldsOf,
  flag,
  listOf,
  MalformedObject,
  optionalFields,
  optionalText,
  parseMeta,
  textOf,
} from './fields.ts';

const FAMILIES: ReadonlySet<string> = new Set<AddressFamily>(['IPv4', 'IPv6', 'FQDN']);
const isFamily = (value: unknown): value is AddressFamily => typeof value === 'string' && FAMILIES.has(value);

/** undefined for a slice that belongs to no Service. */
export function parseEndpointSlice(raw: unknown): EndpointSlice | undefined {
  const object = fieldsOf(raw, 'EndpointSlice');
  const metadata = parseMeta(object['metadata'], DROP_LABELS);
  const labels = optionalFields(fieldsOf(object['metadata'], 'metadata')['labels'], 'metadata.labels');
  const service = optionalText(labels['kubernetes.io/service-name']);
  if (service === undefined) return undefined;

  const addressType = object['addressType'];
  if (!isFamily(addressType)) throw new MalformedObject('addressType is none of IPv4, IPv6 and FQDN');
  return {
    kind: 'EndpointSlice',
    metadata,
    service,
    managedBy: optionalText(labels['endpointslice.kubernetes.io/managed-by']) ?? '',
    truncated: false,
    subsets: [
      {
        addressType,
        // A new slice is seen with null in both lists first.
        ports: listOf(object['ports'], 'ports').map(parsePort),
        endpoints: listOf(object['endpoints'], 'endpoints').map(parseEndpoint),
      },
    ],
  };
}

function parsePort(raw: unknown): EndpointPort {
  const port = fieldsOf(raw, 'a port');
  return {
    name: optionalText(port['name']) ?? '',
    ...(typeof port['port'] === 'number' ? { port: port['port'] } : {}),
    protocol: optionalText(port['protocol']) ?? 'TCP',
  };
}

function parseEndpoint(raw: unknown): Endpoint {
  const endpoint = fieldsOf(raw, 'an endpoint');
  const conditions = optionalFields(endpoint['conditions'], 'conditions');
  // The API defines null as "unknown", to be read as ready; serving then follows ready, terminating is false.
  const ready = flag(conditions['ready']) ?? true;
  const zone = optionalText(endpoint['zone']);
  return {
    addresses: listOf(endpoint['addresses'], 'addresses').map((address) => textOf(address, 'an address')),
    ready,
    serving: flag(conditions['serving']) ?? ready,
    terminating: flag(conditions['terminating']) ?? false,
    ...(zone === undefined ? {} : { zone }),
    ...parseTarget(endpoint['targetRef']),
  };
}

function parseTarget(raw: unknown): { readonly targetRef?: ObjectReference } {
  const target = optionalFields(raw, 'targetRef');
  const kind = optionalText(target['kind']);
  const name = optionalText(target['name']);
  if (kind === undefined || name === undefined) return {};
  return { targetRef: { kind, name, namespace: optionalText(target['namespace']) ?? '' } };
}

const LEADER = 'control-plane.alpha.kubernetes.io/leader';

/** undefined for an object that only carries a leader election. */
export function parseEndpoints(raw: unknown): EndpointSlice | undefined {
  const object = fieldsOf(raw, 'Endpoints');
  const metadata = parseMeta(object['metadata'], DROP_LABELS);
  const rawMeta = fieldsOf(object['metadata'], 'metadata');
  if (LEADER in optionalFields(rawMeta['annotations'], 'metadata.annotations')) return undefined;

  const labels = optionalFields(rawMeta['labels'], 'metadata.labels');
  return {
    kind: 'EndpointSlice',
    metadata,
    service: metadata.name,
    managedBy: optionalText(labels['endpoints.kubernetes.io/managed-by']) ?? '',
    // Set by the endpoints controller when it stops at 1,000 addresses; `warning` was its first form.
    truncated: metadata.annotations['endpoints.kubernetes.io/over-capacity'] !== undefined,
    hidesTermination: true,
    subsets: listOf(object['subsets'], 'subsets').flatMap((subset) => parseSubset(fieldsOf(subset, 'a subset'))),
  };
}

/** Endpoints mix the families of a dual-stack Service in one subset. */
function parseSubset(subset: Fields): readonly EndpointSubset[] {
  const ports = listOf(subset['ports'], 'ports').map(parsePort);
  const endpoints = [
    ...listOf(subset['addresses'], 'addresses').map((address) => parseAddress(address, true)),
    ...listOf(subset['notReadyAddresses'], 'notReadyAddresses').map((address) => parseAddress(address, false)),
  ];
  const ofFamily = (addressType: AddressFamily): readonly EndpointSubset[] => {
    const members = endpoints.filter(({ addresses }) => isIPv6(addresses[0] ?? '') === (addressType === 'IPv6'));
    return members.length === 0 ? [] : [{ addressType, ports, endpoints: members }];
  };
  return [...ofFamily('IPv4'), ...ofFamily('IPv6')];
}

/** What v1 cannot say is read as null in a slice would be: not terminating, serving as it is ready. */
function parseAddress(raw: unknown, ready: boolean): Endpoint {
  const address = fieldsOf(raw, 'an address');
  return {
    addresses: [textOf(address['ip'], 'ip')],
    ready,
    serving: ready,
    terminating: false,
    ...parseTarget(address['targetRef']),
  };
}
