import type { Instance } from '../../src/mirror/instance.ts';

export function instance(owner: string, address: string, changes: Partial<Instance> = {}): Instance {
  const [, service = ''] = owner.split('/');
  return {
    id: `prod/${owner}/${address}:8080`,
    service,
    address,
    port: 8080,
    health: 'healthy',
    liveness: 'persistent',
    weight: 100,
    tags: [],
    metadata: {},
    marks: { cluster: 'prod', owner, registration: `ServiceRegistration/${owner}`, retained: false },
    ...changes,
  };
}

/** The text without the common indentation and the first line break of a template. */
export function text(template: string): string {
  const lines = template.replace(/^\n/, '').split('\n');
  const indent = Math.min(...lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent).trimEnd()).join('\n');
}
