import type { Namespace, Service } from '../api/core.ts';
import { fieldsOf, KEEP_LABELS, listOf, MalformedObject, optionalFields, optionalText, parseMeta } from './fields.ts';

export function parseNamespace(raw: unknown): Namespace {
  return { kind: 'Namespace', metadata: parseMeta(fieldsOf(raw, 'Namespace')['metadata'], KEEP_LABELS) };
}

export function parseService(raw: unknown): Service {
  const object = fieldsOf(raw, 'Service');
  const spec = fieldsOf(object['spec'], 'spec');
  const ports = listOf(spec['ports'], 'spec.ports').map((entry) => {
    const port = fieldsOf(entry, 'a port');
    if (typeof port['port'] !== 'number') throw new MalformedObject('spec.ports[].port is not a number');
    return {
      name: optionalText(port['name']) ?? '',
      port: port['port'],
      protocol: optionalText(port['protocol']) ?? 'TCP',
    };
  });
  return {
    kind: 'Service',
    metadata: parseMeta(object['metadata'], KEEP_LABELS),
    spec: {
      type: optionalText(spec['type']) ?? 'ClusterIP',
      ports,
      hasSelector: Object.keys(optionalFields(spec['selector'], 'spec.selector')).length > 0,
    },
  };
}
