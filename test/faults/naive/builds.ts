// Operators with one defence switched off, for the laboratory alone. A part of the operator is put in the place of another by the way its modules are
// found, so that nothing in src/ knows of it: the operator is loaded once more for each.
import { registerHooks } from 'node:module';
import type { Build } from '../virtual.ts';
import {
  absenceWithoutLook,
  listsFromCache,
  lostAnswersAreRefusals,
  ownedByAnybody,
  withoutClaims,
} from './clients.ts';

type Wrappers = Pick<Build, 'client' | 'registry'>;

/**
 * To add one: what is switched off, the module of src/ whose part does it and the one here that does not (or a wrapper around the cluster or the
 * registry), and a plan that it must not survive, see `defences.test.ts`.
 */
const DEFENCES: Readonly<Record<string, Wrappers & { readonly part?: readonly [of: string, instead: string] }>> = {
  'the initial gate': { part: ['operator/cluster/caches.ts', 'caches.ts'] },
  'evidence before removal': { part: ['mirror/plan.ts', 'plan.ts'] },
  'what a list lacks is not gone': { part: ['kubernetes/intake.ts', 'believing-lists.ts'] },
  'older lists are refused': { part: ['kubernetes/intake.ts', 'believing-older.ts'] },
  'a silent watch is dead': { part: ['kubernetes/reflector.ts', 'reflector.ts'] },
  'acknowledgements outlive an older list': { part: ['operator/registry/ledger.ts', 'ledger.ts'] },
  'a status that comes back is looked at': { part: ['operator/cluster/cluster.ts', 'cluster.ts'] },
  'the deletion guard': { part: ['mirror/deletion-guard.ts', 'deletion-guard.ts'] },
  'the term is asked before each batch': { part: ['kubernetes/lease.ts', 'lease.ts'] },
  'a claim is confirmed': { part: ['operator/leading/registry-claim.ts', 'registry-claim.ts'] },
  'lists are quorum reads': { client: listsFromCache },
  'absence is asked live': { client: absenceWithoutLook },
  'the fence': { registry: withoutClaims },
  'a second operator is refused': { registry: ownedByAnybody },
  'what is ambiguous is read again': { registry: lostAnswersAreRefusals },
};

export type Defence = keyof typeof DEFENCES & string;
export const defences: readonly Defence[] = Object.keys(DEFENCES);

const SRC = new URL('../../../src/', import.meta.url).href;
/** Loaded anew for each build: the way from the operator to every part that can be replaced. Errors, which are told by their class, are shared. */
const CLONED = /\/src\/(operator\/(?:\w+\/)?[\w-]+|kubernetes\/reflector)\.ts$/;

let hooked = false;

function hook(): void {
  if (hooked) return;
  hooked = true;
  registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context);
      const without = new URL(context.parentURL ?? 'file:///').searchParams.get('without');
      if (without === null || !context.parentURL?.startsWith(SRC)) return resolved;
      const part = DEFENCES[without]?.part;
      if (part !== undefined && resolved.url === `${SRC}${part[0]}`)
        return { ...resolved, url: new URL(part[1], import.meta.url).href, format: 'module-typescript' };
      return CLONED.test(resolved.url)
        ? { ...resolved, url: `${resolved.url}?without=${encodeURIComponent(without)}` }
        : resolved;
    },
  });
}

export async function buildWithout(defence: Defence): Promise<Build> {
  hook();
  const { part: _, ...wrappers } = DEFENCES[defence] ?? {};
  const url = `${SRC}operator/operator.ts?without=${encodeURIComponent(defence)}`;
  const { openOperator }: typeof import('../../../src/operator/operator.ts') = await import(url);
  return { open: openOperator, ...wrappers };
}
