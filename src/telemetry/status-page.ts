/** What the page at `/` shows; plain numbers, so that drawing it costs no I/O. */
export interface StatusPage {
  readonly cluster: string;
  readonly version: string;
  readonly registries: readonly RegistryLine[];
  readonly registrations: { readonly total: number; readonly ready: number };
}

export interface RegistryLine {
  /** `name` of a ClusterRegistry, `namespace/name` of a Registry. */
  readonly name: string;
  readonly type: string;
  readonly up: boolean;
  readonly desired: number;
  readonly registered: number;
  readonly owned: number;
}

/** HTML without scripts. */
export function statusPage({ cluster, version, registries, registrations }: StatusPage): string {
  const rows = registries.map(
    ({ name, type, up, desired, registered, owned }) =>
      `<tr><td>${html(name)}<td>${html(type)}<td>${up ? 'up' : '<b>down</b>'}<td>${desired}<td>${registered}<td>${owned}`,
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Roster: ${html(cluster)}</title>
<style>body{font:15px sans-serif;margin:2em}td,th{padding:.2em 1em .2em 0;text-align:left}</style>
<h1>Roster</h1>
<p>Cluster ${html(cluster)}, version ${html(version)}. ${registrations.ready} of ${registrations.total} registrations are ready.
<table>
<tr><th>Registry<th>Type<th>State<th>Desired<th>Registered<th>Owned
${rows.join('\n')}
</table>
</html>
`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const html = (text: string): string => text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
