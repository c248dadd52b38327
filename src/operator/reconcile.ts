import type { Failure, Registration } from '../api/kinds.generated.ts';
import type { Change, Plan } from '../mirror/change.ts';
import { type ClaimIndex, heldBy } from '../mirror/claims.ts';
import { desired, type Wanted } from '../mirror/desired.ts';
import { planChanges } from '../mirror/plan.ts';
import { claimsOf } from '../mirror/ports.ts';
import type { Outcome } from '../mirror/status.ts';
import { registrationId, type View } from '../mirror/view.ts';
import { meansUnreachable, type RegistryError } from '../registries/error.ts';
import type { Guard } from './deletion-guards.ts';
import type { RegistryWorker } from './registry/registry-worker.ts';
import type { RunResult } from './registry/work-queue.ts';

export interface Reconciled {
  readonly view: View;
  readonly plan: Plan;
  /** By id of the registration. */
  readonly outcomes: ReadonlyMap<string, Outcome>;
  readonly result: RunResult;
}

/** Refused for good unless somebody changes something; looked at again this seldom. */
const PERMANENT_RETRY_MS = 60_000;

export type Seen = Omit<View, 'claims'>;

/** Read the cluster, decide, write the registry: one Service in one registry. What comes of it is for the caller to report. */
export async function reconcile(
  worker: RegistryWorker,
  owner: string,
  { look, guard }: { look(owner: string): Seen; readonly guard: Guard },
): Promise<Reconciled> {
  const touch = (touched: string) => worker.queue.add(touched);
  const seen = look(owner);
  const view = confirmClaims(withClaims(seen, worker.claims, touch), worker.claims, touch, look);
  const wanted = desired(view, worker.registry.normalise);
  const { plan, againMs } = guard.judge(view, planChanges(view, wanted), worker.ledger.size);
  const results = await worker.writer.submit(plan.changes);

  const failed = plan.changes.flatMap((change, index) => {
    const result = results[index];
    return result === undefined || result.ok ? [] : [{ change, error: result.error }];
  });
  for (const { error } of failed) worker.report(error);
  guard.acknowledged(owner, removed(plan, failed));
  const outcomes = new Map(wanted.map((one) => [registrationId(one.registration), outcomeOf(one, plan, failed)]));
  return {
    view,
    plan,
    outcomes,
    result: resultOf(
      plan,
      failed.map(({ error }) => error),
      againMs,
    ),
  };
}

/** The claims of the Service are brought up to date first, and those whose names that touches look again. */
export function withClaims(seen: Seen, index: ClaimIndex, onTouched: (owner: string) => void): View {
  const claims = claimsOf(seen);
  for (const owner of index.update(seen.owner, claims)) onTouched(owner);
  return { ...seen, claims: claimsOn(claims.keys(), index) };
}

const claimsOn = (names: Iterable<string>, index: ClaimIndex): View['claims'] =>
  Object.fromEntries([...names].map((name) => [name, index.on(name)]));

/**
 * Others claimed what they did when they were looked at last. Before a name counts as lost, whoever holds it is asked what it claims now:
 * entries go for it.
 */
export function confirmClaims(
  view: View,
  index: ClaimIndex,
  onTouched: (owner: string) => void,
  look: (owner: string) => Seen,
): View {
  const { owner } = view;
  const names = Object.keys(view.claims);
  for (const name of names) {
    let asked: string | undefined;
    for (let holder = heldBy(owner, index.on(name)); holder !== undefined; holder = heldBy(owner, index.on(name))) {
      if (holder.owner === asked) break;
      asked = holder.owner;
      for (const touched of index.update(asked, claimsOf(look(asked)))) if (touched !== owner) onTouched(touched);
    }
  }
  return { ...view, claims: claimsOn(names, index) };
}

interface Failed {
  readonly change: Change;
  readonly error: RegistryError;
}

function removed({ changes }: Plan, failed: readonly Failed[]): ReadonlySet<string> {
  const stand = new Set(failed.map(({ change }) => change.instance.id));
  const gone = changes.filter(({ action, instance }) => action === 'deregister' && !stand.has(instance.id));
  return new Set(gone.map(({ instance }) => instance.id));
}

function outcomeOf(wanted: Wanted, plan: Plan, failed: readonly Failed[]): Outcome {
  const { registration, instances, names, problem, notes, unfit } = wanted;
  const id = registrationId(registration);
  const reconcileAt = registration.metadata.annotations['roster.dev/reconcile-at'];
  const mine = failed.filter(({ change }) => change.instance.marks.registration === id);
  const left = plan.leftAlone.filter(({ instance }) => instance.marks.registration === id);
  const held = left.find(({ because }) => because === 'unconfirmed' || because === 'no-endpoint-slices')?.message;
  const astray = new Set([...mine.map(({ change }) => change.instance.id), ...left.map(({ instance }) => instance.id)]);
  return {
    uid: registration.metadata.uid,
    generation: generationOf(registration),
    ...(reconcileAt === undefined ? {} : { reconcileAt }),
    desired: instances.length + unfit.length,
    standing: instances.filter((instance) => !astray.has(instance.id)).length,
    names,
    ...(problem === undefined ? {} : { problem }),
    notes,
    refused: [
      ...unfit.map((one) => ({ ...one, permanent: true })),
      ...mine.map(({ change, error }) => ({ ...failureOf(change, error), permanent: isPermanent(error) })),
    ],
    withheld: left.filter(({ because }) => because === 'dry-run' || because === 'update-policy').length,
    ...(held === undefined ? {} : { held }),
  };
}

export const generationOf = ({ metadata }: Registration): number => metadata.generation ?? 0;

const failureOf = ({ instance }: Change, { code, message }: RegistryError): Omit<Failure, 'service'> => ({
  instance: instance.id,
  code: failureCode(code),
  message,
});

function failureCode(code: RegistryError['code']): string {
  if (code === 'rate-limited') return 'RateLimited';
  if (code === 'too-large') return 'TooLarge';
  const notNow = code === 'aborted' || code === 'closed' || code === 'fenced' || code === 'owned';
  return meansUnreachable(code) || notNow ? 'RegistryUnreachable' : 'RegistryRefused';
}

const isPermanent = ({ code }: RegistryError): boolean =>
  code === 'invalid' ||
  code === 'forbidden' ||
  code === 'unauthorized' ||
  code === 'not-found' ||
  code === 'too-large' ||
  code === 'unsupported';

function resultOf(plan: Plan, errors: readonly RegistryError[], againMs: number | undefined): RunResult {
  if (errors.length > 0) {
    const waits = errors.map((error) => error.retryAfterMs ?? (isPermanent(error) ? PERMANENT_RETRY_MS : 0));
    return { kind: 'retry', afterMs: Math.max(...waits) };
  }
  const unconfirmed = plan.leftAlone.some(({ because }) => because === 'unconfirmed');
  const waits = [...(unconfirmed ? [CONFIRM_MS] : []), ...(againMs === undefined ? [] : [againMs])];
  return waits.length === 0 ? { kind: 'done' } : { kind: 'retry', afterMs: Math.min(...waits) };
}

/** Rule 2c: the time between the two looks that must both find an object absent. */
export const CONFIRM_MS = 30_000;
