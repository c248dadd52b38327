import { type ErrorContext, RegistryError } from '../error.ts';
import type { ChangeResult, ServiceRegistry } from '../registry.ts';
import { around } from './around.ts';

/** Every failure is a RegistryError that says in which operation and in which registry it happened. */
export function withContext<R extends ServiceRegistry>(registry: R, context: ErrorContext): R {
  const told = around(registry, async (operation, signal, run) => {
    try {
      return await run(signal);
    } catch (error) {
      throw RegistryError.from(error, operation).during(operation, context);
    }
  });
  return {
    ...told,
    async apply(changes, signal) {
      const results = await told.apply(changes, signal);
      return results.map((result, index): ChangeResult => {
        if (result.ok) return result;
        const id = changes[index]?.instance.id;
        return { ok: false, error: result.error.during('apply', { ...context, ...(id !== undefined && { id }) }) };
      });
    },
  };
}
