/**
 * crds/*.yaml → src/api/kinds.generated.ts (types) and src/api/schemas.generated.ts (schemas for parse.ts).
 *
 * `node src/api/generate.ts` writes both; with `--check` it writes nothing and exits 1 when one of them is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'yaml';
import { schemasSource } from './generate-schemas.ts';
import { typesSource } from './generate-types.ts';
import type { Kind, KindSchemas } from './schema-node.ts';

const ROOT = new URL('../../', import.meta.url);

const HEADER =
  '// Generated from crds/ by src/api/generate.ts. Change the YAML there, then run `node src/api/generate.ts`.\n\n';

function kindSchemas(plural: string): KindSchemas {
  const crd = parse(readFileSync(new URL(`crds/${plural}.yaml`, ROOT), 'utf8'));
  return crd.spec.versions[0].schema.openAPIV3Schema.properties;
}

const kinds: Readonly<Record<Kind, KindSchemas>> = {
  ServiceRegistration: kindSchemas('serviceregistrations'),
  ClusterServiceRegistration: kindSchemas('clusterserviceregistrations'),
  Registry: kindSchemas('registries'),
  ClusterRegistry: kindSchemas('clusterregistries'),
};

const generated: Readonly<Record<string, string>> = {
  'src/api/kinds.generated.ts': HEADER + (await typesSource(kinds)),
  'src/api/schemas.generated.ts': HEADER + schemasSource(kinds),
};

const check = process.argv.includes('--check');

for (const [path, source] of Object.entries(generated)) {
  const url = new URL(path, ROOT);
  if (!check) {
    writeFileSync(url, source);
    continue;
  }
  const difference = firstDifference(existing(url), source);
  if (difference === undefined) continue;
  process.stderr.write(
    `${path} is stale, line ${difference}: run \`node src/api/generate.ts\` and commit the result\n`,
  );
  process.exitCode = 1;
}

function existing(url: URL): string {
  try {
    return readFileSync(url, 'utf8');
  } catch {
    return '';
  }
}

/** Number of the first line that differs, with both sides of it. */
function firstDifference(stored: string, wanted: string): string | undefined {
  if (stored === wanted) return undefined;
  const [left, right] = [stored.split('\n'), wanted.split('\n')];
  const line = right.findIndex((text, index) => text !== left[index]);
  const at = line === -1 ? right.length : line;
  return `${at + 1}: is ${JSON.stringify(left[at] ?? '')}, must be ${JSON.stringify(right[at] ?? '')}`;
}
