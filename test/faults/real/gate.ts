// What stands between the operator and a real registry server: every call comes by here, is counted, and goes wrong as the director says.
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../../src/clock.ts';
import type { Call, CallHandler, Fate } from '../../links/call.ts';
import {
  type Effect,
  FROZEN_MS,
  LONG_FROZEN_MS,
  REFUSED_MS,
  type RegistryOperation,
  type RegistryTrouble,
  SLOW_MS,
} from '../registry-server.ts';

export interface Written {
  readonly effect: Effect;
  readonly id: string;
}

export interface RegistryTruth {
  /** What was done since it was last asked; asked after every write, of which there is one at a time. */
  changes(): Promise<readonly Written[]>;
  /** The server forgets what is of this run; gives the ids. */
  wipe(): Promise<readonly string[]>;
}

export interface GateOptions {
  readonly clock: Clock;
  readonly truth: RegistryTruth;
  onCall(
    operation: RegistryOperation,
    number: number,
  ): RegistryTrouble | { readonly overtakenByMs: number } | undefined;
  /** It stands; nobody has been told. */
  onUnit(number: number, written: readonly Written[]): void;
  onUnitAnswered(number: number): void;
  onClaim(number: number): void;
  onClaimAnswered(number: number): void;
  onTrouble(trouble: RegistryTrouble): void;
  onWiped(ids: readonly string[]): void;
  /** What was on its way of a process that froze is with the server. */
  onArrivedLate(): void;
  onHealed(): void;
  onDefect(error: unknown): void;
  breakConnections(): void;
}

/** In which what has left for the operator is with it. */
const DELIVERED_MS = 10;
/** A write that has no answer by then has none: its connection broke. */
const GIVEN_UP_MS = 10_000;

/** In which a process takes over that finds a Lease held: 15 s, and its start. */
const TAKEOVER_MS = 90_000;
const LOOK_MS = 50;
/** Of the times of the plans, in which virtual time knows no Lease. */
const AFTER_TAKEOVER = 0.2;

const OPERATIONS = { write: 'apply', claim: 'claim', read: 'list', other: undefined } as const;

export function openGate(options: GateOptions): CallHandler {
  const { clock, truth } = options;
  /** Calls that are under way, with what is to become of them once they are answered. */
  const underWay = new Map<Call, { readonly trouble: RegistryTrouble | 'overtaken' | undefined; done(): void }>();
  let state: 'up' | 'refusing' | 'frozen' = 'up';
  let thawed: Promise<void> = Promise.resolve();
  let turn: Promise<void> = Promise.resolve();
  let units = 0;
  let claims = 0;

  const heal = () => {
    state = 'up';
    options.onHealed();
  };

  /** So that each write is told apart from the next. Gives what ends the turn. */
  async function inTurn(): Promise<() => void> {
    const before = turn;
    let done = () => {};
    turn = Promise.race([
      new Promise<void>((resolve) => (done = resolve)),
      before.then(() => delay(GIVEN_UP_MS, undefined, { ref: false })),
    ]);
    await before;
    return done;
  }

  function strike(trouble: RegistryTrouble): void {
    options.onTrouble(trouble);
    switch (trouble) {
      case 'frozen':
      case 'long-frozen':
        state = 'frozen';
        thawed = delay(trouble === 'frozen' ? FROZEN_MS : LONG_FROZEN_MS).then(heal);
        return;
      case 'slow':
        clock.setTimer(SLOW_MS, options.onHealed);
        return;
      case 'lost':
      case 'limited':
        options.onHealed();
        return;
      case 'refused':
      case 'restart':
      case 'wiped':
        state = 'refusing';
        options.breakConnections();
        Promise.all([delay(REFUSED_MS), trouble === 'wiped' ? wipe() : undefined]).then(heal, options.onDefect);
    }
  }

  async function wipe(): Promise<void> {
    const done = await inTurn();
    options.onWiped(await truth.wipe());
    done();
  }

  /** Until another process has claimed the registry, or written without it, and a while longer, in which it does what there is to do. */
  async function overtaken(byMs: number): Promise<void> {
    const before = claims + units;
    for (let waited = 0; claims + units === before && waited < TAKEOVER_MS; waited += LOOK_MS) await delay(LOOK_MS);
    await delay(byMs * AFTER_TAKEOVER);
  }

  async function asked(call: Call): Promise<Fate> {
    if (state === 'refusing') return 'refuse';
    const operation = OPERATIONS[call.kind];
    const trouble = operation === undefined ? undefined : options.onCall(operation, call.number);
    if (typeof trouble === 'object') await overtaken(trouble.overtakenByMs);
    else if (trouble !== undefined) strike(trouble);
    if (state !== 'up' && state !== 'frozen') return 'refuse';
    if (trouble === 'limited') return 'limit';
    if (state === 'frozen') await thawed;
    const writes = call.kind === 'write' || call.kind === 'claim';
    underWay.set(call, {
      trouble: typeof trouble === 'object' ? 'overtaken' : trouble,
      done: writes ? await inTurn() : () => {},
    });
    return trouble === 'lost' ? 'lose' : 'pass';
  }

  async function answered(call: Call): Promise<void> {
    const { trouble, done = () => {} } = underWay.get(call) ?? {};
    underWay.delete(call);
    const after = (tell: () => void) => void clock.setTimer(DELIVERED_MS, tell);
    if (call.kind === 'claim') {
      const number = ++claims;
      options.onClaim(number);
      if (trouble === undefined) after(() => options.onClaimAnswered(number));
    }
    if (call.kind === 'write') {
      const number = ++units;
      options.onUnit(number, await truth.changes());
      if (trouble === undefined) after(() => options.onUnitAnswered(number));
    }
    done();
    if (trouble === 'overtaken') options.onArrivedLate();
    if (trouble === 'slow') await delay(SLOW_MS);
  }

  return { asked, answered };
}
