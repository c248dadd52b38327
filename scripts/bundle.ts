/** src/main.ts and all it needs → dist/roster.mjs, one executable file; installed as `kubectl-roster` it is a plugin of kubectl. */
import { chmod, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const root = new URL('..', import.meta.url);
const outfile = fileURLToPath(new URL('dist/roster.mjs', root));
const { engines } = JSON.parse(await readFile(new URL('package.json', root), 'utf8'));
const oldest: string = engines.node.replace('>=', '');
const [major = '', minor = '0'] = oldest.split('.');

// An older Node fails deep inside a package, with a message that helps nobody. The packages that are still CommonJS call require(),
// which a module has to make for itself.
const PROLOGUE = `{
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < ${major} || (major === ${major} && minor < ${minor})) {
    process.stderr.write('roster: needs Node.js ${oldest} or newer, this is ' + process.versions.node + '\\n');
    process.exit(1);
  }
}
import { createRequire as requireFrom } from 'node:module';
const require = requireFrom(import.meta.url);
`;

/** etcd3 reads its messages from files beside itself when it is loaded; in the bundle they are part of it. */
const etcdMessages: Plugin = {
  name: 'etcd-messages',
  setup({ onLoad }) {
    onLoad({ filter: /etcd3\/lib\/connection-pool\.js$/ }, async ({ path }) => {
      const load = createRequire(createRequire(path).resolve('@grpc/proto-loader'));
      const { Root }: ProtobufJs = load('protobufjs');
      const messages = new Root().loadSync(join(dirname(path), '../proto/rpc.proto'), { keepCase: true }).toJSON();
      const code = await readFile(path, 'utf8');
      const loading = /\.loadSync\)\(`[^`]*rpc\.proto`,/;
      if (!loading.test(code)) throw new Error(`${path} reads its messages in another way than before`);
      return { contents: code.replace(loading, () => `.fromJSON)(${JSON.stringify(messages)},`) };
    });
  },
};

/** What is used of it. */
interface ProtobufJs {
  readonly Root: new () => { loadSync(path: string, options: object): { toJSON(): object } };
}

await build({
  absWorkingDir: fileURLToPath(root),
  entryPoints: ['src/main.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: `node${oldest}`,
  minifySyntax: true,
  // Identifiers are not minified, so that the stack in a bug report can be read. `keepNames` would do more, at a call for each closure that is made.
  legalComments: 'none',
  banner: { js: PROLOGUE },
  plugins: [etcdMessages],
  logLevel: 'warning',
});
await chmod(outfile, 0o755);
