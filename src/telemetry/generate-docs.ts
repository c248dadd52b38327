/**
 * src/telemetry/metrics-catalog.ts → docs/metrics.md.
 *
 * `node src/telemetry/generate-docs.ts` writes it; with `--check` it writes nothing and exits 1 when the page is stale.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { catalog, type MetricDescription } from './metrics-catalog.ts';

const PAGE = new URL('../../docs/metrics.md', import.meta.url);

const HEADER = `<!-- Generated from src/telemetry/metrics-catalog.ts by src/telemetry/generate-docs.ts. -->

# Metrics

\`roster run\` serves these at \`/metrics\`, in the Prometheus text format. Names that begin with \`controller_runtime_\`,
\`workqueue_\` and \`rest_client_\` are those of controller-runtime, with its labels and buckets, so that its dashboards and rules fit.
\`controller\` and \`name\` are the name of the registry: each registry has a work queue of its own. A \`Registry\` of a namespace
is named \`namespace/name\`, a \`ClusterRegistry\` \`name\`. No label grows with the number of Services.

Beside them stand the usual metrics of the process (\`process_*\`) and of Node.js (\`nodejs_*\`).

| metric | type | labels | meaning |
|---|---|---|---|
`;

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
const described: readonly MetricDescription[] = Object.values(catalog);
const rows = described.map(({ name, type, labels, help }) => {
  const shown = labels.map((label) => `\`${label}\``).join(', ');
  return `| \`${name}\` | ${type} | ${shown} | ${cell(help)} |\n`;
});
const page = HEADER + rows.join('');

if (!process.argv.includes('--check')) {
  mkdirSync(new URL('.', PAGE), { recursive: true });
  writeFileSync(PAGE, page);
} else if (existing() !== page) {
  process.stderr.write('docs/metrics.md is stale: run `node src/telemetry/generate-docs.ts` and commit the result\n');
  process.exitCode = 1;
}

function existing(): string | undefined {
  try {
    return readFileSync(PAGE, 'utf8');
  } catch {
    return undefined;
  }
}
