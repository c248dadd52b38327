import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { RegistryConfig } from '../../src/api/kinds.generated.ts';
import { createRegistry, type OpenRegistry } from '../../src/registries/create.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { RETRIED } from '../../src/registries/layers/retry.ts';
import { parseRegistryConfig } from '../../src/registries/parse-config.ts';
import { register, sampleOf } from '../conformance/samples.ts';

// What a server may answer that is none, or one that means harm.

export const CLUSTER = 'prod';

/** Any JSON, with the keys that every object has among its keys. */
export const anyJson: fc.Arbitrary<string> = fc.oneof(
  fc.json(),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'length').map((key) => `{"${key}": {"${key}": [null]}}`),
  fc.integer({ min: 1, max: 5_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth)),
  fc.integer({ min: 1, max: 5_000 }).map((depth) => `${'{"a":'.repeat(depth)}null${'}'.repeat(depth)}`),
  fc.integer({ min: 1, max: 50_000 }).map((length) => JSON.stringify(Array(length).fill({}))),
  fc.integer({ min: 1, max: 500_000 }).map((length) => JSON.stringify('x'.repeat(length))),
);

export const anyBytes = fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes));

/** A value of the kind, something else in one of many places. */
export function spoiled(value: unknown): fc.Arbitrary<unknown> {
  const wrong = fc.oneof(fc.constantFrom(null, true, -1, 1e300, '', [], {}, [[]]), fc.string(), fc.jsonValue());
  const inside = (one: unknown): fc.Arbitrary<unknown> => {
    if (Array.isArray(one) && one.length > 0) {
      return fc.nat(one.length - 1).chain((at) => spoiled(one[at]).map((bad) => one.with(at, bad)));
    }
    if (typeof one === 'object' && one !== null && Object.keys(one).length > 0) {
      return fc
        .constantFrom(...Object.entries(one))
        .chain(([key, old]) => spoiled(old).map((bad) => ({ ...one, [key]: bad })));
    }
    return wrong;
  };
  return fc.oneof({ weight: 1, arbitrary: wrong }, { weight: 6, arbitrary: inside(value) });
}

const CODES: ReadonlySet<string> = new Set(Object.keys(RETRIED));

export function open(config: object, seconds = 5): OpenRegistry {
  const timeouts = { connectSeconds: seconds, requestSeconds: seconds };
  const parsed = parseRegistryConfig({ ...config, timeouts });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return createRegistry(parsed.value as RegistryConfig, {}, { retry: false });
}

/** The result, or the code of the one error that there is; everything else is a defect. */
export async function outcome<T>(call: Promise<T>): Promise<{ readonly value: T } | { readonly code: string }> {
  try {
    return { value: await call };
  } catch (error) {
    assert.ok(error instanceof RegistryError, String(error));
    assert.ok(CODES.has(error.code), error.code);
    assert.ok(!error.message.includes('\n') && error.message.length < 500, error.message);
    // Not a surprise of the code that reads, which would be told so.
    assert.doesNotMatch(error.message, /unexpectedly/);
    return { code: error.code };
  }
}

const OPERATIONS: readonly ((registry: OpenRegistry, signal: AbortSignal) => Promise<unknown>)[] = [
  (registry, signal) => registry.check(signal),
  (registry, signal) => registry.list(CLUSTER, signal),
  (registry, signal) => registry.discover('web', signal),
  async (registry, signal) => {
    const [result] = await registry.apply([register(sampleOf(CLUSTER))], signal);
    assert.ok(result !== undefined);
    if (!result.ok) throw result.error;
  },
];

/** Every operation ends, with a result or with the one error that there is: each of a new client, since a breaker would spare the next ones the answer. */
export async function survives(openOne: () => OpenRegistry): Promise<void> {
  for (const operation of OPERATIONS)
    await using(openOne, (registry) => outcome(operation(registry, AbortSignal.timeout(20_000))));
}

export async function using<T>(openOne: () => OpenRegistry, run: (registry: OpenRegistry) => Promise<T>): Promise<T> {
  const registry = openOne();
  try {
    return await run(registry);
  } finally {
    await registry.close();
  }
}
