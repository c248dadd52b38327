// Who may know whom. The tables are the design; the imports of src are read as they are, those of types included.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, it } from 'node:test';

/**
 * The parts of src, the first that matches a file counts, and what each may import besides itself:
 * main → cli, operator, telemetry → kubernetes, mirror → api; adapters → registry.ts, error.ts → mirror.
 */
const PARTS: readonly (readonly [part: string, files: RegExp, mayImport: readonly string[]])[] = [
  ['main', /^main\.ts$/, ['cli', 'config', 'operator', 'telemetry', 'clock']],
  ['config', /^config\.ts$/, ['telemetry']],
  ['clock', /^clock\.ts$/, []],
  ['cli', /^cli\//, ['operator', 'kubernetes', 'mirror', 'telemetry', 'config', 'clock', 'api']],
  ['operator', /^operator\//, ['kubernetes', 'mirror', 'factory', 'contract', 'telemetry', 'config', 'clock', 'api']],
  ['telemetry', /^telemetry\//, ['mirror', 'api']],
  ['kubernetes', /^kubernetes\//, ['clock', 'api']],
  [
    'factory',
    /^registries\/(create|settings|secrets|parse-config|registry-types|builder|calls|watch-service)\.ts$/,
    ['memory', 'consul', 'etcd', 'nacos', 'zookeeper', 'layers', 'contract', 'mirror', 'clock', 'api'],
  ],
  ['layers', /^registries\/layers\//, ['contract', 'mirror', 'clock']],
  ['library', /^library\.ts$/, ['factory', 'contract', 'layers', 'mirror', 'api']],
  [
    'contract',
    /^registries\/(registry|error|claim|unclaimed|parallel|tls|window|address-rule|agent-rule)\.ts$/,
    ['mirror'],
  ],
  ['grpc', /^registries\/grpc-(rule|channel)\.ts$/, ['contract']],
  ['memory', /^registries\/memory(-\w+)?\.ts$/, ['contract', 'mirror', 'clock']],
  ['consul', /^registries\/consul\//, ['contract', 'mirror', 'clock']],
  ['etcd', /^registries\/etcd\//, ['contract', 'grpc', 'mirror', 'clock']],
  ['zookeeper', /^registries\/zookeeper\//, ['contract', 'mirror', 'clock']],
  ['nacos', /^registries\/nacos\//, ['contract', 'grpc', 'mirror', 'clock']],
  ['mirror', /^mirror\//, ['api']],
  ['api', /^api\//, []],
];

/** Packages, and the built-in modules where they matter, with the parts that alone may use them. */
const PACKAGES: readonly (readonly [name: RegExp, parts: readonly string[]])[] = [
  [/^@kubernetes\/client-node/, ['kubernetes']],
  [/^undici$/, ['kubernetes']],
  [/^consul$/, ['consul']],
  [/^etcd3$/, ['etcd']],
  [/^@grpc\/grpc-js$/, ['grpc', 'etcd', 'nacos']],
  [/^nacos$/, ['nacos']],
  [/^node-zookeeper-client\b/, ['zookeeper']],
  [/^(pino|@prometheus-io\/client)$/, ['telemetry']],
  [/^commander$/, ['main', 'cli']],
  [/^yaml$/, ['cli', 'operator', 'api']],
  [/^(ajv|json-schema-to-typescript)$/, ['api']],
  [
    /^node:net$/,
    [
      'config',
      'contract',
      'mirror',
      'operator',
      'kubernetes',
      'grpc',
      'consul',
      'etcd',
      'nacos',
      'zookeeper',
      'telemetry',
      'cli',
    ],
  ],
  [
    /^node:/,
    [
      'main',
      'cli',
      'operator',
      'telemetry',
      'kubernetes',
      'consul',
      'etcd',
      'nacos',
      'zookeeper',
      'contract',
      'factory',
      'api',
    ],
  ],
];

/** mirror/ decides from what it is given: the same View gives the same plan, on any machine and at any time. */
const PURE_NAMES: ReadonlySet<string> = new Set(['isIP', 'isIPv4', 'isIPv6', 'BlockList']);
const IMPURE =
  /\b(Date|performance|Math\.random|process|setTimeout|setInterval|setImmediate|queueMicrotask|fetch|console|globalThis|crypto|await)\b/;

const MAX_LINES = 300;
const GENERATED = /\.generated\.ts$/;

type Tree = ReadonlyMap<string, string>;

interface Import {
  readonly from: string;
  readonly specifier: string;
  readonly names: string;
}

describe('the architecture', () => {
  const tree = readTree(join(import.meta.dirname, '..', 'src'));

  it('is read from a tree that has files and imports', () => {
    assert.ok(tree.size > 50);
    assert.ok(importsOf(tree).length > tree.size);
    assert.ok(tree.has('operator/reconcile.ts') && tree.has('mirror/plan.ts'));
  });

  it('is kept by src', () => assert.deepEqual(violations(tree), []));

  const mutants: readonly (readonly [name: string, file: string, line: string, found: RegExp])[] = [
    [
      'mirror that reads the cluster',
      'mirror/plan.ts',
      "import '../kubernetes/store.ts';",
      /mirror may not import kubernetes/,
    ],
    [
      'a type of the cluster in mirror',
      'mirror/plan.ts',
      "import type { A } from '../kubernetes/store.ts';",
      /mirror may not import kubernetes/,
    ],
    [
      'kubernetes that knows a registry',
      'kubernetes/store.ts',
      "import '../registries/error.ts';",
      /kubernetes may not import contract/,
    ],
    [
      'a registry that knows kubernetes',
      'registries/memory.ts',
      "import '../kubernetes/store.ts';",
      /memory may not import kubernetes/,
    ],
    [
      'an operator that names an adapter',
      'operator/registry/writer.ts',
      "import '../../registries/memory.ts';",
      /operator may not import memory/,
    ],
    [
      'a command that names an adapter',
      'cli/plan.ts',
      "import('../registries/consul/consul.ts');",
      /cli may not import consul/,
    ],
    [
      'an adapter that knows another',
      'registries/memory.ts',
      "import './consul/entry.ts';",
      /memory may not import consul/,
    ],
    [
      'a contract that knows its adapters',
      'registries/registry.ts',
      "export * from './memory.ts';",
      /contract may not import memory/,
    ],
    ['api that looks up', 'api/core.ts', "export { a } from '../mirror/plan.ts';", /api may not import mirror/],
    [
      'a log in kubernetes',
      'kubernetes/store.ts',
      "import '../telemetry/log.ts';",
      /kubernetes may not import telemetry/,
    ],
    [
      'an operator that knows commands',
      'operator/registry/writer.ts',
      "import '../../cli/plan.ts';",
      /operator may not import cli/,
    ],
    ['a file that no part owns', 'utils.ts', '', /utils\.ts belongs to no part/],
    ['a file that is not there', 'mirror/plan.ts', "import './nothing.ts';", /mirror\/nothing\.ts does not exist/],
    ['an unknown package', 'operator/registry/writer.ts', "import 'lodash';", /lodash is in no row/],
    ['a package in the wrong place', 'operator/registry/writer.ts', "import 'undici';", /operator may not use undici/],
    ['mirror with files', 'mirror/plan.ts', "import { readFileSync } from 'node:fs';", /mirror may not use node:fs/],
    [
      'mirror with sockets',
      'mirror/plan.ts',
      "import { connect } from 'node:net';",
      /mirror may not take connect from node:net/,
    ],
    [
      'mirror with all of node:net',
      'mirror/plan.ts',
      "import * as net from 'node:net';",
      /mirror may not take \* as net/,
    ],
    ['mirror with a clock', 'mirror/plan.ts', 'const now = () => Date.now();', /mirror\/plan\.ts uses Date/],
    ['mirror with chance', 'mirror/plan.ts', 'const dice = Math.random();', /mirror\/plan\.ts uses Math\.random/],
    ['mirror that waits', 'mirror/plan.ts', 'await later;', /mirror\/plan\.ts uses await/],
    ['a cycle', 'mirror/instance.ts', "import './plan.ts';", /cycle: .*mirror\/instance\.ts/],
    ['a barrel', 'mirror/index.ts', '', /mirror\/index\.ts is a barrel/],
    ['a long file', 'mirror/plan.ts', '//\n'.repeat(MAX_LINES), /mirror\/plan\.ts has \d+ lines/],
  ];
  for (const [name, file, line, found] of mutants) {
    it(`is seen to be broken by ${name}`, () => {
      const before = violations(tree);
      const broken = violations(new Map([...tree, [file, `${line}\n${tree.get(file) ?? ''}`]]));
      const fresh = broken.filter((one) => !before.includes(one));
      assert.ok(
        fresh.some((one) => found.test(one)),
        `found ${JSON.stringify(fresh)}`,
      );
    });
  }
});

function violations(tree: Tree): readonly string[] {
  const imports = importsOf(tree);
  return [
    ...imports.flatMap(({ from, specifier, names }) =>
      specifier.startsWith('.') ? wrongFile(tree, from, specifier) : wrongPackage(from, specifier, names),
    ),
    ...[...tree].flatMap(([file, text]) => wrongText(file, text)),
    ...cycles(tree, imports),
  ];
}

const partOf = (file: string) => PARTS.find(([, files]) => files.test(file));

function wrongFile(tree: Tree, from: string, specifier: string): readonly string[] {
  const target = resolved(from, specifier);
  // The version that --version tells.
  if (from === 'main.ts' && specifier === '../package.json') return [];
  if (!tree.has(target)) return [`${from}: ${target} does not exist in src`];
  const [part, , mayImport] = partOf(from) ?? [''];
  const [targetPart = ''] = partOf(target) ?? [];
  return part === targetPart || mayImport?.includes(targetPart) === true
    ? []
    : [`${from}: ${part} may not import ${targetPart} (${target})`];
}

function wrongPackage(from: string, specifier: string, names: string): readonly string[] {
  const row = PACKAGES.find(([name]) => name.test(specifier));
  if (row === undefined) return [`${from}: ${specifier} is in no row of PACKAGES`];
  const [part = ''] = partOf(from) ?? [];
  if (!row[1].includes(part)) return [`${from}: ${part} may not use ${specifier}`];
  if (part !== 'mirror') return [];
  const taken = names
    .replace(/[{}]/g, '')
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  const impure = taken.length === 0 ? ['everything'] : taken.filter((name) => !PURE_NAMES.has(name));
  return impure.map((name) => `${from}: mirror may not take ${name} from ${specifier}`);
}

function wrongText(file: string, text: string): readonly string[] {
  const found: string[] = [];
  if (partOf(file) === undefined) found.push(`${file} belongs to no part`);
  if (/(^|\/)index\.ts$/.test(file)) found.push(`${file} is a barrel`);
  const lines = text.trimEnd().split('\n').length;
  if (lines > MAX_LINES && !GENERATED.test(file)) found.push(`${file} has ${lines} lines; at most ${MAX_LINES}`);
  const impure = file.startsWith('mirror/') ? IMPURE.exec(codeOf(text)) : null;
  if (impure !== null) found.push(`${file} uses ${impure[0]}`);
  return found;
}

/** Without comments and the text of strings, in which words mean nothing. */
const codeOf = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '').replace(/'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g, "''");

function cycles(tree: Tree, imports: readonly Import[]): readonly string[] {
  const edges = new Map<string, string[]>();
  for (const { from, specifier } of imports) {
    if (specifier.startsWith('.')) edges.set(from, [...(edges.get(from) ?? []), resolved(from, specifier)]);
  }
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start !== -1) found.push(`cycle: ${[...path.slice(start), file].join(' → ')}`);
    if (start !== -1 || done.has(file)) return;
    for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of tree.keys()) visit(file, []);
  return found;
}

const resolved = (from: string, specifier: string): string => posix.join(posix.dirname(from), specifier);

const STATEMENT = /^(?:import|export)\s+(?:type\s+)?([^'";]*?)\s*from\s+'([^']+)'/gm;
const BARE = /^import\s+'([^']+)'/gm;
const DYNAMIC = /\bimport\('([^']+)'\)/g;

function importsOf(tree: Tree): readonly Import[] {
  return [...tree].flatMap(([from, text]) => [
    ...[...text.matchAll(STATEMENT)].map(([, names = '', specifier = '']) => ({ from, specifier, names })),
    ...[...text.matchAll(BARE)].map(([, specifier = '']) => ({ from, specifier, names: '' })),
    ...[...text.matchAll(DYNAMIC)].map(([, specifier = '']) => ({ from, specifier, names: '' })),
  ]);
}

function readTree(root: string): Tree {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return new Map(files.sort().map((file) => [file.replaceAll('\\', '/'), readFileSync(join(root, file), 'utf8')]));
}
