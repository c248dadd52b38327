import type { Change } from '../../src/mirror/change.ts';
import { RegistryError } from '../../src/registries/error.ts';
import type { ChangeResult, ServiceRegistry } from '../../src/registries/registry.ts';
import type { Fate, Line } from './line.ts';

/** What a line is to a server, for a registry in this process: it counts changes, since there are no bytes. */
export type Standstill = Pick<Line, 'sent' | 'stopAfter' | 'stands' | 'goOn'>;

/** A client whose calls of `apply` stand still after any change, and with their answers unread. */
export function openGate(registry: ServiceRegistry): Standstill & { readonly registry: ServiceRegistry } {
  let sent = 0;
  let left = Number.POSITIVE_INFINITY;
  let answers = true;
  let held: ((fate: Fate) => void)[] = [];
  let waiting: (() => void)[] = [];

  const fateOf = () =>
    new Promise<Fate>((resolve) => {
      held.push(resolve);
      for (const wake of waiting) wake();
      waiting = [];
    });

  async function apply(changes: readonly Change[], signal: AbortSignal): Promise<readonly ChangeResult[]> {
    sent += changes.length;
    const passing = changes.slice(0, left);
    left -= passing.length;
    const done = await registry.apply(passing, signal);
    if (answers && left > 0) return done;
    const fate = await fateOf();
    const rest = changes.slice(passing.length);
    const late = fate === 'lost' ? [] : await registry.apply(rest, signal);
    return fate === 'arrives' ? [...done, ...late] : changes.map(unanswered);
  }

  return {
    registry: { ...registry, apply },
    sent: () => sent,
    stopAfter(changes) {
      if (changes === 'answers') answers = false;
      else left = changes;
    },
    stands: () => (held.length > 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    async goOn(fate) {
      left = Number.POSITIVE_INFINITY;
      answers = true;
      for (const release of held) release(fate);
      held = [];
    },
  };
}

const unanswered = (): ChangeResult => ({
  ok: false,
  error: new RegistryError('unreachable', 'apply: the answer was lost', { ambiguous: true }),
});
