import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { canonical, type Instance } from '../../src/mirror/instance.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { RETRIED } from '../../src/registries/layers/retry.ts';
import type { ChangeResult, ServiceRegistry } from '../../src/registries/registry.ts';
import { type Harness, SECRET } from './harness.ts';
import { freshCluster, register, sampleOf } from './samples.ts';

/** A signal for calls that nobody cancels. */
export const never = new AbortController().signal;

/** Runs a test with a client that is closed after it. */
export async function using(
  open: () => ServiceRegistry,
  test: (registry: ServiceRegistry) => Promise<void>,
): Promise<void> {
  const registry = open();
  try {
    await test(registry);
  } finally {
    await registry.close();
  }
}

export function assertOk(results: readonly ChangeResult[]): void {
  assert.deepEqual(
    results.flatMap((result) => (result.ok ? [] : [result.error.message])),
    [],
  );
}

export function assertSame(actual: readonly Instance[], expected: readonly Instance[]): void {
  assert.deepEqual(actual.map(canonical).sort(), expected.map(canonical).sort());
}

/** The registry's own view and the adapter's are both exactly this. */
export async function assertStanding(
  harness: Harness,
  registry: ServiceRegistry,
  cluster: string,
  expected: readonly Instance[],
): Promise<void> {
  assertSame(await harness.peek(cluster), expected);
  assertSame(await registry.list(cluster, never), expected);
}

export function stored(registry: ServiceRegistry, instance: Instance): Instance {
  const normalised = registry.normalise(instance);
  assert.ok(normalised.ok, normalised.ok ? '' : normalised.message);
  return normalised.instance;
}

export async function failureOf(call: Promise<unknown>): Promise<RegistryError> {
  try {
    await call;
  } catch (error) {
    return assertTellable(error);
  }
  return assert.fail('the call resolved');
}

export function failureIn(result: ChangeResult | undefined): RegistryError {
  assert.ok(result !== undefined && !result.ok, 'the change succeeded');
  return assertTellable(result.error);
}

/** Its certificate is not one that this client takes, which is told; nothing was written then. Closes the client. */
export const assertDistrusted = (registry: ServiceRegistry): Promise<void> =>
  using(
    () => registry,
    async () => {
      const { code, message } = await failureOf(registry.check(never));
      assert.equal(code, 'unreachable');
      assert.match(message, /caSecretRef and serverName/);
      const [result] = await registry.apply([register(sampleOf(freshCluster()))], never);
      assert.equal(failureIn(result).ambiguous, false);
    },
  );

/** An error for a status, an event and a log: ours, in one line, without anything that the server or the config would not show. */
function assertTellable(error: unknown): RegistryError {
  assert.ok(error instanceof RegistryError, inspect(error));
  assertSentence(error.message);
  assertKeepsSecret(error);
  return error;
}

/** What is there on every error that leaves a registry inside its layers, whose type `told` is. */
export function assertTold(error: RegistryError, operation: string, told: string | undefined): void {
  assert.ok(Object.hasOwn(RETRIED, error.code), `${error.code} is no code of the contract`);
  if (told !== undefined) assert.deepEqual([error.operation, error.context['type']], [operation, told]);
}

export const assertSentence = (message: string): void => assert.match(message, /^\S[^\n]{15,400}[^\s.]$/);

/** Neither it nor its causes, as a log, a status or a debugger would show them. */
export function assertKeepsSecret(shown: unknown): void {
  const texts = [inspect(shown, { depth: 8, showHidden: true }), String(shown), JSON.stringify(shown) ?? ''];
  for (let cause = shown; cause instanceof Error; cause = cause.cause)
    texts.push(cause.stack ?? '', JSON.stringify(cause));
  // The answer of an assertion would tell it too.
  assert.ok(!texts.some((text) => text.includes(SECRET)), 'a credential is shown');
}
