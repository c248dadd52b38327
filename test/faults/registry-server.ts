// One registry server of the virtual laboratory. It outlives the operator, counts what is written to it, and goes wrong as it is told. Its rules and
// limits are those of the real adapter; its content is a Memory registry.
import type { Clock } from '../../src/clock.ts';
import type { Change } from '../../src/mirror/change.ts';
import { type Instance, sameInstance } from '../../src/mirror/instance.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { openMemory } from '../../src/registries/memory.ts';
import { storeOf } from '../../src/registries/memory-store.ts';
import type { ChangeResult, ServiceRegistry } from '../../src/registries/registry.ts';
import type { ProcessClock } from './process-clock.ts';
import type { RegistryType } from './registry-rules.ts';

export type RegistryOperation = 'apply' | 'list' | 'check' | 'claim';

/**
 * slow: what is read is answered late, as it was when it was asked for. lost: done, and the connection breaks before the answer. refused: no connection for a while. limited: not now. frozen: takes what comes, does it and
 * answers when it thaws, whether anybody still waits or not. restart: every connection breaks, and none is taken for a while. wiped: the same, and
 * everything is forgotten.
 */
export type RegistryTrouble = 'slow' | 'lost' | 'refused' | 'limited' | 'frozen' | 'long-frozen' | 'restart' | 'wiped';

/** What a change did to what stands. */
export type Effect = 'register' | 'update' | 'deregister' | 'repeat';

export interface Written {
  readonly effect: Effect;
  readonly change: Change;
  readonly at: number;
}

/** Changes that the server takes as one: it has taken them all or none of them. */
export interface WriteUnit {
  readonly number: number;
  readonly written: readonly Written[];
}

/** Who may write from now on. It is no write of entries: nobody counts it, and what stands is as it was. */
export interface ClaimUnit {
  readonly number: number;
}

export interface RegistryServerOptions {
  readonly type: RegistryType;
  readonly clock: Clock;
  /** Before the call is carried out. */
  onCall(
    operation: RegistryOperation,
    number: number,
  ): RegistryTrouble | { readonly overtakenByMs: number } | undefined;
  /** It stands; nobody has been told. */
  onUnit(unit: WriteUnit): void;
  onAnswered(unit: WriteUnit): void;
  /** Before the claim is sent. */
  onClaiming(own: ProcessClock): void;
  onClaim(unit: ClaimUnit): void;
  onClaimAnswered(unit: ClaimUnit): void;
  onTrouble(trouble: RegistryTrouble): void;
  /** The server has dealt with what a process sent that is gone. */
  onArrivedLate(): void;
  /** The last trouble is over. */
  onHealed(): void;
}

const LATENCY_MS = 3;
/** Long enough for a step, shorter than a deadline. */
export const SLOW_MS = 12_000;
export const REFUSED_MS = 3_000;
export const FROZEN_MS = 20_000;
/** Longer than any deadline of a call. */
export const LONG_FROZEN_MS = 100_000;
const TTL_MS = 180_000;

export function openRegistryServer(options: RegistryServerOptions) {
  const { type, clock } = options;
  const entries = new Map<string, Instance>();
  const watches = new Set<() => void>();
  const calls = { apply: 0, list: 0, check: 0, claim: 0 };
  const { claims } = storeOf(entries, clock);
  /** Forgotten by the server itself, by id. */
  const wiped = new Map<string, number>();
  let units = 0;
  let claimUnits = 0;
  let state: 'up' | 'refusing' | 'frozen' = 'up';
  let thawed: Promise<void> = Promise.resolve();

  const later = (ms: number) => new Promise<void>((resolve) => clock.setTimer(ms, resolve));

  function strike(trouble: RegistryTrouble): void {
    options.onTrouble(trouble);
    const healAfter = (ms: number) =>
      clock.setTimer(ms, () => {
        state = 'up';
        options.onHealed();
      });
    switch (trouble) {
      case 'frozen':
      case 'long-frozen':
        state = 'frozen';
        thawed = new Promise((resolve) => {
          clock.setTimer(trouble === 'frozen' ? FROZEN_MS : LONG_FROZEN_MS, () => {
            state = 'up';
            options.onHealed();
            resolve();
          });
        });
        return;
      case 'wiped':
        for (const id of entries.keys()) wiped.set(id, (wiped.get(id) ?? 0) + 1);
        entries.clear();
        claims.clear();
        break;
      case 'slow':
        clock.setTimer(SLOW_MS, options.onHealed);
        return;
      case 'lost':
      case 'limited':
        options.onHealed();
        return;
      case 'refused':
      case 'restart':
        break;
    }
    if (trouble === 'restart' || trouble === 'wiped') for (const end of [...watches]) end();
    state = 'refusing';
    healAfter(REFUSED_MS);
  }

  const broken = (ambiguous: boolean) => new RegistryError('unreachable', 'the connection broke', { ambiguous });

  /** One client of the server: one process of the operator. It is out of touch once that is dead, and hears nothing while it is frozen. */
  function connect(own: ProcessClock): ServiceRegistry & { lose(): Promise<void> } {
    const isAlive = () => own.alive;
    /** Until an answer is read. */
    const heard = (ms: number) => new Promise<void>((resolve) => own.setTimer(ms, resolve));
    const { normalise, capabilities, oneByOne } = type.rules;
    const open = () => openMemory({ entries, clock, ttlMs: TTL_MS, leasesAll: false });
    const memory = open();
    /** Who has claimed nothing writes without being compared. */
    const claiming = capabilities.fenced ? memory : open();

    /** What is still on its way of a process that is gone. */
    let late: Promise<void> = Promise.resolve();
    let isLate = false;

    /** Nobody in a dead process ever hears an answer. */
    async function call<T>(operation: RegistryOperation, signal: AbortSignal, carryOut: () => Promise<T>): Promise<T> {
      await later(LATENCY_MS);
      if (!isAlive()) return new Promise(() => {});
      const trouble = options.onCall(operation, ++calls[operation]);
      if (typeof trouble === 'object') return arriveLate(trouble.overtakenByMs, carryOut);
      if (trouble !== undefined) strike(trouble);
      if (state === 'refusing') throw broken(false);
      if (trouble === 'limited') throw new RegistryError('rate-limited', 'not now');
      const given = state === 'frozen' ? abandoned(signal, operation) : undefined;
      const done = (async () => {
        if (state === 'frozen') await thawed;
        const result = await carryOut();
        if (trouble === 'lost') throw broken(operation === 'apply' || operation === 'claim');
        await heard(trouble === 'slow' ? SLOW_MS : LATENCY_MS);
        return result;
      })();
      return given === undefined ? done : Promise.race([done, given]);
    }

    /** Whoever sent it is frozen, and hears no answer. */
    function arriveLate<T>(ms: number, carryOut: () => Promise<T>): Promise<never> {
      late = later(ms).then(async () => {
        isLate = true;
        await carryOut();
        isLate = false;
        options.onArrivedLate();
      });
      return new Promise(() => {});
    }

    /** The server goes on with what nobody waits for any more. */
    function abandoned(signal: AbortSignal, operation: string): Promise<never> {
      return new Promise((_, reject) => {
        const giveUp = () => reject(new RegistryError('aborted', `${operation} was given up`, { ambiguous: true }));
        if (signal.aborted) giveUp();
        signal.addEventListener('abort', giveUp, { once: true });
      });
    }

    async function take(changes: readonly Change[]): Promise<{ results: readonly ChangeResult[]; unit: WriteUnit }> {
      const written: Written[] = [];
      const results: ChangeResult[] = [];
      for (const change of changes) {
        const before = entries.get(change.instance.id);
        const [result] = await memory.apply([change], new AbortController().signal);
        if (result !== undefined) results.push(result);
        const effect = effectOf(before, entries.get(change.instance.id));
        if (result?.ok === true) written.push({ effect, change, at: clock.now() });
      }
      const unit = { number: ++units, written };
      options.onUnit(unit);
      return { results, unit };
    }

    return {
      ...memory,
      normalise,
      capabilities,
      async apply(changes, signal) {
        const parts = oneByOne ? changes.map((change) => [change]) : [changes];
        const taken: WriteUnit[] = [];
        const results = await call('apply', signal, async () => {
          const all: ChangeResult[] = [];
          for (const part of parts) {
            if (!isAlive() && !isLate) break;
            const { results, unit } = await take(part);
            all.push(...results);
            taken.push(unit);
          }
          return all;
        });
        queueMicrotask(() => {
          for (const unit of taken) options.onAnswered(unit);
        });
        return results;
      },
      list: (cluster, signal) => call('list', signal, () => memory.list(cluster, signal)),
      check: (signal) => call('check', signal, () => claiming.check(signal)),
      async claim(claim, signal) {
        let unit: ClaimUnit | undefined;
        options.onClaiming(own);
        await own.whenRunning();
        await call('claim', signal, async () => {
          if (!isAlive()) return;
          await claiming.claim(claim, new AbortController().signal);
          unit = { number: ++claimUnits };
          options.onClaim(unit);
        });
        queueMicrotask(() => {
          if (unit !== undefined) options.onClaimAnswered(unit);
        });
      },
      async watch(scope, onHint, signal) {
        await later(LATENCY_MS);
        if (state === 'refusing') throw broken(false);
        // Not AbortSignal.any: what listens to one that never aborts is kept for ever, with the whole process behind it.
        const ending = new AbortController();
        const end = () => ending.abort();
        watches.add(end);
        signal.addEventListener('abort', end, { once: true });
        const hint = () => {
          if (!ending.signal.aborted) onHint();
        };
        try {
          return await memory.watch(scope, () => void heard(LATENCY_MS).then(hint), ending.signal);
        } catch (error) {
          if (!isAlive()) return new Promise<never>(() => {});
          throw signal.aborted ? error : broken(false);
        } finally {
          watches.delete(end);
          signal.removeEventListener('abort', end);
        }
      },
      async lose() {
        // It may be the call that is being answered now.
        await Promise.resolve().then(() => late);
        await Promise.all([memory.close(), claiming.close()]);
      },
    };
  }

  return {
    connect,
    strike,
    wiped: wiped as ReadonlyMap<string, number>,
    entries: entries as ReadonlyMap<string, Instance>,
  };
}

export type RegistryServer = ReturnType<typeof openRegistryServer>;

function effectOf(before: Instance | undefined, after: Instance | undefined): Effect {
  if (before === undefined) return after === undefined ? 'repeat' : 'register';
  if (after === undefined) return 'deregister';
  return sameInstance(before, after) ? 'repeat' : 'update';
}
