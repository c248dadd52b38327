import type { Malformed } from '../../kubernetes/intake.ts';
import type { Resource } from '../../kubernetes/resources.ts';
import { splitKey } from '../../kubernetes/resources.ts';
import type { StatusUpdate } from '../../kubernetes/status-writer.ts';
import { conditions, no, summary, unknown } from '../../mirror/conditions.ts';

interface Noted extends Malformed {
  readonly resource: Resource;
  /** RFC 3339. */
  readonly at: string;
}

/**
 * Objects of ours that the API server holds and that break the schema, as when a rule was tightened after they were stored. They are answered
 * with `InvalidSpec`; what was known of them before stays in force, and entries that name them are held.
 */
export function createUnreadable(now: () => string) {
  const noted = new Map<string, Noted>();
  return {
    /** True when it is news: our own status write comes back as one more look at the same object. */
    note(resource: Resource, object: Malformed): boolean {
      const id = `${resource.kind}/${object.key}`;
      const before = noted.get(id);
      if (before?.uid === object.uid && before.generation === object.generation && before.message === object.message)
        return false;
      noted.set(id, { ...object, resource, at: now() });
      return true;
    },
    /** It was read, or is gone. */
    clear: (id: string): boolean => noted.delete(id),
    ids: (): Iterable<string> => noted.keys(),
    has: (id: string): boolean => noted.has(id),
    status(id: string): StatusUpdate | undefined {
      const object = noted.get(id);
      if (object === undefined) return undefined;
      const { resource, key, uid, generation, message, at } = object;
      const [namespace, name] = splitKey(key);
      const invalid = no('InvalidSpec', message);
      const facts = resource.kind.endsWith('Registration')
        ? {
            Accepted: invalid,
            Synced: no('InvalidSpec', 'not accepted: the entries that stand are left as they are'),
            ...summary(invalid),
          }
        : { Reachable: unknown('InvalidSpec', message), ...summary(invalid) };
      const status = { observedGeneration: generation, conditions: conditions(facts, [], generation, at) };
      const where = namespace === undefined ? {} : { namespace };
      return { resource, ...where, name, uid, current: undefined, status, settled: true };
    },
  };
}

export type Unreadable = ReturnType<typeof createUnreadable>;
