import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import type { EtcdSettings } from '../../src/registries/etcd/etcd.ts';
import type { ZooKeeperSettings } from '../../src/registries/zookeeper/zookeeper.ts';

/** What the client is to do, as JSON. */
export interface ClientTask {
  readonly of: { readonly etcd: EtcdSettings } | { readonly zookeeper: ZooKeeperSettings };
  readonly cluster: string;
  readonly instances: readonly Instance[];
  readonly leaves?: boolean;
}

/** The client of mending-client.ts, in a process of its own, which ends with the tests of the file at the latest. */
export function clientProcess(task: ClientTask) {
  const program = join(import.meta.dirname, 'mending-client.ts');
  const child = spawn(process.execPath, [program, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const signal = (name: NodeJS.Signals) => void child.kill(name);
  after(() => signal('SIGKILL'));
  return {
    signal,
    /** The next line of this kind. */
    async line(kind: RegExp): Promise<string> {
      for (;;) {
        const { value, done } = await lines.next();
        if (done === true) return assert.fail(`the client ended before it wrote ${kind}`);
        if (kind.test(value)) return value;
      }
    },
    async exitCode(): Promise<unknown> {
      const [code] = await closed;
      return code;
    },
    async kill() {
      signal('SIGKILL');
      await closed;
    },
  };
}

/** Runs a program that has imports of its own, with this in its environment, and asserts that it ends by itself, having written this. */
export async function assertEnds(
  program: string,
  { env, wrote }: { readonly env: Readonly<Record<string, string>>; readonly wrote: string },
): Promise<void> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  const [code] = await once(child, 'close');
  assert.deepEqual([code, output], [0, wrote]);
}
