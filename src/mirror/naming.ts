/** Ids and names: pure functions of what a Service is, so that a restart or another replica finds the same. */

/** `prod/shop/web/10.0.0.7:8080`; cluster and object names cannot hold a slash, so no two inputs share an id. */
export function instanceId(cluster: string, owner: string, address: string, port: number): string {
  const host = address.includes(':') ? `[${address}]` : address;
  return `${cluster}/${owner}/${host}:${port}`;
}

export interface NameParts {
  readonly service: string;
  readonly namespace: string;
  readonly cluster: string;
  readonly port: string;
}

const PLACEHOLDER = /\{([a-z]*)\}/g;

/** Fills `{service} {namespace} {cluster} {port}`; anything else in braces stays, so that the registry's own name rule refuses it. */
export function renderName(template: string, parts: NameParts): string {
  const known: Readonly<Record<string, string>> = { ...parts };
  return template.replace(
    PLACEHOLDER,
    (whole, name: string) => (Object.hasOwn(known, name) ? known[name] : undefined) ?? whole,
  );
}

export const hasPortPlaceholder = (template: string): boolean => template.includes('{port}');
