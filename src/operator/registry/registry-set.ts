import { createHash } from 'node:crypto';
import type { RegistryObject } from '../../api/kinds.generated.ts';
import type { ConditionReason } from '../../api/reasons.ts';
import type { Clock } from '../../clock.ts';
import type { OpenRegistry } from '../../registries/create.ts';
import { RegistryError } from '../../registries/error.ts';
import type { Secrets } from '../../registries/secrets.ts';
import type { Credentials } from './credentials.ts';
import type { RegistryWorker } from './registry-worker.ts';

/** Why a registry cannot be used as it is configured. */
export interface RegistryProblem {
  readonly reason: ConditionReason;
  readonly message: string;
}

/** A configured registry: at work, unusable, or at work as it was before its configuration became unusable. */
export interface RegistrySlot {
  readonly object: RegistryObject;
  readonly worker?: RegistryWorker;
  readonly problem?: RegistryProblem;
}

export interface RegistrySetOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  find(id: string): RegistryObject | undefined;
  credentials(object: RegistryObject, signal: AbortSignal): Promise<Credentials>;
  create(object: RegistryObject, secrets: Secrets): OpenRegistry;
  open(object: RegistryObject, registry: OpenRegistry): RegistryWorker;
  /** The slot changed: its status and that of its registrations may have to be told. */
  onChange(id: string): void;
  /** What the decisions read of the registry changed while it stayed open. */
  onReconfigured(worker: RegistryWorker): void;
  onError(id: string, error: unknown): void;
}

/** After its object is gone a registry stays open this long, for registrations that go with it to deregister what they must. */
const LINGER_MS = 60_000;

/**
 * The registries that the cluster's Registry and ClusterRegistry objects describe, opened and closed as those say.
 *
 * Guarantees: one worker for each at most; a configuration that cannot be used leaves the worker at work that stands; closing a registry
 * removes nothing from it.
 */
export function createRegistrySet(options: RegistrySetOptions) {
  const { clock, signal } = options;
  const slots = new Map<string, RegistrySlot & { readonly connection?: string }>();
  const turns = new Map<string, Promise<void>>();
  /** Of registries whose object is gone: cancels their closing. */
  const lingering = new Map<string, () => void>();

  /** Brings the slot in line with its object. One call at a time for each registry. */
  const sync = (id: string): Promise<void> => inTurn(id, () => align(id));

  function inTurn(id: string, step: () => Promise<void>): Promise<void> {
    const turn = (turns.get(id) ?? Promise.resolve())
      .then(() => (signal.aborted ? undefined : step()))
      .catch((error: unknown) => {
        if (!signal.aborted) options.onError(id, error);
      });
    turns.set(id, turn);
    return turn;
  }

  async function align(id: string): Promise<void> {
    const object = options.find(id);
    if (object === undefined) return linger(id);
    lingering.get(id)?.();
    lingering.delete(id);
    const slot = slots.get(id);
    const usable = await prepare(object);
    if (signal.aborted) return;
    if ('problem' in usable) {
      slots.set(id, { ...slot, object, problem: usable.problem });
    } else if (slot?.worker !== undefined && slot.connection === usable.connection) {
      slots.set(id, { object, worker: slot.worker, connection: usable.connection });
      // While it could not be used, its object may have changed too.
      if (slot.problem !== undefined || !sameSpec(slot.object, object)) options.onReconfigured(slot.worker);
    } else {
      await replace(id, object, usable);
    }
    options.onChange(id);
  }

  /** The new one is made before the old one is given up: a configuration that the adapter refuses costs nothing. */
  async function replace(
    id: string,
    object: RegistryObject,
    { connection, registry }: Extract<Usable, { connection: string }>,
  ): Promise<void> {
    const slot = slots.get(id);
    let created: OpenRegistry;
    try {
      created = registry();
    } catch (error) {
      slots.set(id, { ...slot, object, problem: problemOf(error) });
      return;
    }
    await end(id, slot?.worker);
    if (signal.aborted) return;
    slots.set(id, { object, worker: options.open(object, created), connection });
  }

  type Usable = { readonly connection: string; registry(): OpenRegistry } | { readonly problem: RegistryProblem };

  async function prepare(object: RegistryObject): Promise<Usable> {
    const credentials = await options.credentials(object, signal);
    if (!credentials.ok) return { problem: credentials };
    const { secrets } = credentials;
    return { connection: fingerprint(object, secrets), registry: () => options.create(object, secrets) };
  }

  async function linger(id: string): Promise<void> {
    const slot = slots.get(id);
    if (slot === undefined || lingering.has(id)) return;
    options.onChange(id);
    const cancel = clock.setTimer(LINGER_MS, () => void inTurn(id, () => drop(id)));
    lingering.set(id, cancel);
  }

  async function drop(id: string): Promise<void> {
    lingering.delete(id);
    const worker = slots.get(id)?.worker;
    slots.delete(id);
    await end(id, worker);
    options.onChange(id);
  }

  /** What cannot be closed is left behind: it must not stand in the way of what comes after it. */
  async function end(id: string, worker: RegistryWorker | undefined): Promise<void> {
    await worker?.close().catch((error: unknown) => options.onError(id, error));
  }

  return {
    sync,
    get: (id: string): RegistrySlot | undefined => slots.get(id),
    ids: (): Iterable<string> => slots.keys(),
    workers: (): readonly RegistryWorker[] =>
      [...slots.values()].flatMap(({ worker }) => (worker === undefined ? [] : [worker])),
    async drain(deadline: AbortSignal): Promise<void> {
      await Promise.all([...slots.values()].map(({ worker }) => worker?.drain(deadline)));
    },
    async close(): Promise<void> {
      for (const cancel of lingering.values()) cancel();
      await Promise.all([...slots].map(([id, { worker }]) => end(id, worker)));
    },
  };
}

export type RegistrySet = ReturnType<typeof createRegistrySet>;

const sameSpec = ({ metadata: a }: RegistryObject, { metadata: b }: RegistryObject): boolean =>
  a.uid === b.uid && a.generation === b.generation;

/** What a connection depends on; everything else of a registry can change while it stays open. */
function fingerprint({ spec }: RegistryObject, secrets: Secrets): string {
  const {
    allowedNamespaces: _,
    allowUnmanagedEndpoints: __,
    deletionGuard: ___,
    audit: ____,
    ...connection
  } = { allowedNamespaces: {}, ...spec };
  return createHash('sha256')
    .update(JSON.stringify([connection, secrets]))
    .digest('hex');
}

/** A configuration that an adapter cannot use, as a problem of the registry. */
function problemOf(error: unknown): RegistryProblem {
  const { code, message } = RegistryError.from(error, 'open');
  return { reason: code === 'unsupported' ? 'NotYetSupported' : 'InvalidSpec', message };
}
