// What the suite has shown of each registry: docs/support.json, and the table of it in README.md.
import { readFileSync } from 'node:fs';
import type { Capabilities } from '../../src/registries/registry.ts';

/** The columns of the table. */
export const REGISTRIES = ['Memory', 'Etcd', 'Consul', 'Nacos', 'ZooKeeper'] as const;
export type SupportedRegistry = (typeof REGISTRIES)[number];

export interface Support {
  /** Version of the server, as the registry itself tells it. */
  readonly server: string;
  readonly claims: Omit<Capabilities, 'batchSize'>;
  /** Groups of the suite that have tests for it; all of them passed. */
  readonly groups: readonly string[];
}

export type SupportPage = Readonly<Partial<Record<SupportedRegistry, Support>>>;

/** Environment variable: the directory in which a suite writes down what it has shown. Without it, that must be what the page says. */
export const SHOWN_IN = 'ROSTER_SUPPORT_DIRECTORY';

export const PAGE = new URL('../../docs/support.json', import.meta.url);
export const README = new URL('../../README.md', import.meta.url);

export const readPage = (): SupportPage => JSON.parse(readFileSync(PAGE, 'utf8'));

const CLAIMS = {
  leased: 'entries that vanish with their writer (`liveness: Leased`)',
  watch: 'watch',
  kv: 'key-value pairs of a service',
  fenced: 'batches that the server compares with the claim of their writer',
} satisfies Record<keyof Support['claims'], string>;

const BEGIN = '<!-- The support matrix is generated from docs/support.json by test/conformance/support.ts. -->\n';
const END = '<!-- End of the support matrix. -->\n';

/** README.md with the table of this page in the place of the one that it has. */
export function withTable(readme: string, page: SupportPage): string {
  const [before, rest = ''] = readme.split(BEGIN);
  const [, after] = rest.split(END);
  if (after === undefined) throw new Error(`README.md needs the lines ${BEGIN.trim()} and ${END.trim()}`);
  return `${before}${BEGIN}\n${table(page)}\n${END}${after}`;
}

function table(page: SupportPage): string {
  const shown = REGISTRIES.flatMap((name) => {
    const support = page[name];
    return support === undefined ? [] : [{ name: name === 'Etcd' ? 'etcd' : name, support }];
  });
  // Whoever has all of them has them in their order.
  const fullest = shown.map(({ support }) => support.groups).sort((a, b) => b.length - a.length);
  const groups = new Set(fullest.flat());
  const row = (first: string, cell: (support: Support) => string) =>
    `| ${[first, ...shown.map(({ support }) => cell(support))].join(' | ')} |\n`;
  const mark = (has: boolean) => (has ? '✓' : '–');
  return [
    `| ${['', ...shown.map(({ name }) => name)].join(' | ')} |\n`,
    `|${'---|'.repeat(shown.length + 1)}\n`,
    row('server', ({ server }) => server),
    ...Object.entries(CLAIMS).map(([claim, text]) =>
      row(text, ({ claims }) => mark(claims[claim as keyof typeof CLAIMS])),
    ),
    ...[...groups].map((group) => row(`suite: ${group}`, (support) => mark(support.groups.includes(group)))),
  ].join('');
}
