import assert from 'node:assert/strict';
import type { Capabilities, ServiceRegistry } from '../../../src/registries/registry.ts';
import {
  assertKeepsSecret,
  assertOk,
  assertTold,
  failureIn,
  failureOf,
  never,
  stored,
  using,
} from '../expectations.ts';
import { type Collect, SECRET, type Subject } from '../harness.ts';
import { freshCluster, register, sampleOf, update } from '../samples.ts';

/** What an error tells, and what it keeps to itself. */
export function errors(subject: Subject, it: Collect): void {
  const { told, openWith, capabilities, intruder, spoil, open } = subject;

  it('errors of what was cancelled, refused, closed or is not supported say what they are of', () =>
    using(open, async (registry) => {
      const assertEach = async (code: string, signal: AbortSignal) => {
        for (const { operation, call, isClaimed } of callsOf(registry, capabilities)) {
          const error = await failureOf(call(signal));
          assertTold(error, operation, told);
          if (isClaimed || error.code !== 'unsupported') assert.equal(error.code, code);
        }
      };
      await assertEach('aborted', AbortSignal.abort());

      const cluster = freshCluster();
      const ours = stored(registry, sampleOf(cluster));
      assertOk(await registry.apply([register(ours)], never));
      await intruder.takeOver(ours);
      const bad = spoil(stored(registry, sampleOf(cluster, { number: 2 })));
      const changes = [update({ ...ours, port: 1 }, ours), register(bad)];
      const refused = (await registry.apply(changes, never)).map(failureIn);
      assert.deepEqual(
        refused.map(({ code }) => code),
        ['conflict', 'invalid'],
      );
      for (const [n, error] of refused.entries()) {
        assertTold(error, 'apply', told);
        if (told !== undefined) assert.equal(error.context['id'], changes[n]?.instance.id);
      }

      await registry.close();
      await assertEach('closed', never);
    }));

  if (openWith === undefined) return;
  it('no credential is in what a client gives, throws, or shows of itself', async () => {
    const registry = openWith(SECRET);
    const outcomes = (signal: AbortSignal) =>
      callsOf(registry, capabilities)
        .filter(({ isLasting, isClaimed }) => signal.aborted || !(isLasting && isClaimed))
        .map(({ call }) => call(signal).catch((error: unknown) => error));
    const shown = await Promise.all([...outcomes(never), ...outcomes(AbortSignal.abort())]);
    await registry.close();
    for (const one of [registry, ...shown]) assertKeepsSecret(one);
  });
}

interface Call {
  readonly operation: string;
  readonly isClaimed: boolean;
  /** Ends only when it is ended. */
  readonly isLasting: boolean;
  readonly call: (signal: AbortSignal) => Promise<unknown>;
}

/** Each operation once, without a trace where it succeeds. */
function callsOf(registry: ServiceRegistry, { watch, kv }: Capabilities): readonly Call[] {
  const cluster = freshCluster();
  const nothing = () => {};
  const of = (operation: string, call: Call['call'], isClaimed = true): Call => ({
    operation,
    isClaimed,
    isLasting: operation.endsWith('watch'),
    call,
  });
  return [
    of('apply', (signal) => registry.apply([], signal)),
    of('list', (signal) => registry.list(cluster, signal)),
    of('discover', (signal) => registry.discover(`${cluster}-web`, signal)),
    of('check', (signal) => registry.check(signal)),
    of('watch', (signal) => registry.watch({ cluster }, nothing, signal), watch),
    of('watch', (signal) => registry.watch({ service: `${cluster}-web` }, nothing, signal), watch),
    of('kv.get', (signal) => registry.kv.get(`${cluster}-web`, 'key', signal), kv),
    of('kv.put', (signal) => registry.kv.put(`${cluster}-web`, 'key', undefined, signal), kv),
    of('kv.watch', (signal) => registry.kv.watch(`${cluster}-web`, 'key', nothing, signal), kv),
  ];
}
