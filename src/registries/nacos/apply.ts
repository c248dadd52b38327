import type { Change } from '../../mirror/change.ts';
import type { Instance } from '../../mirror/instance.ts';
import { cancelled, meansUnreachable, RegistryError } from '../error.ts';
import { inParallel } from '../parallel.ts';
import type { ChangeResult } from '../registry.ts';
import type { ServiceInfo } from './answer.ts';
import { type Decision, decide, type Leftover, shared } from './apply-decide.ts';
import { applyLeased } from './apply-leased.ts';
import { applyPersistent } from './apply-persistent.ts';
import { failed, type Hands, type Item, settle, type Writing } from './apply-task.ts';
import type { Held } from './claims.ts';
import { hostOf, placeOfInstance } from './entry.ts';
import type { Naming } from './naming.ts';
import { overlaid } from './recent.ts';
import { brokenRule } from './rules.ts';

export type Apply = (changes: readonly Change[], signal: AbortSignal) => Promise<readonly ChangeResult[]>;

/** Requests under way at once: the server writes each persistent entry to its Raft log by itself, and gathers what comes together. */
const WIDTH = 16;

const READ_WIDTH = 32;

/** Reads each service that is to be changed, decides, and writes: leased entries as the list of their service, persistent ones one by one. */
export function createApply(writing: Writing): Apply {
  const { way, recent, claims, clock, clusterName } = writing;
  const asHost = (instance: Instance) => hostOf(instance, clusterName);

  async function work(items: readonly Item[], held: Held | undefined, signal: AbortSignal): Promise<void> {
    const naming = await way.naming(signal);
    const stands = () => claims.assertStands(held, signal);
    const askedAt = clock.now();
    const [standing, reading] = await Promise.allSettled([stands(), readAll(naming, items, signal)]);
    if (standing.status === 'rejected') throw standing.reason;
    if (reading.status === 'rejected') throw reading.reason;
    const infos = reading.value;
    const hosts = (service: string) => overlaid(infos.get(service) ?? NOTHING, recent.of(service, askedAt));
    const groups = new Map<string, [Item, readonly Leftover[]][]>();
    const taken = new Map<string, string>();
    for (const item of items) {
      const decision = decideBeside(taken, item.change, decide(item.change, hosts, asHost));
      if (decision.kind === 'refuse') settle(item, decision.error);
      else {
        const { service } = item.change.instance;
        groups.set(service, [...(groups.get(service) ?? []), [item, decision.remove]]);
      }
    }
    const hands: Hands = { naming, writing, signal, run: bounded(WIDTH, stands) };
    const tasks = [...groups].flatMap(([service, pairs]) => {
      const standing = hosts(service);
      // Health is checked by Nacos cluster: strangers in another one are prepared for nothing of ours.
      const beside = standing.filter((host) => host.clusterName === clusterName);
      const leased = pairs.filter(([{ change }]) => change.instance.liveness !== 'persistent');
      const persistent = pairs.filter(([{ change }]) => change.instance.liveness === 'persistent');
      return [
        ...(leased.length === 0 ? [] : [applyLeased({ service, items: leased, empty: standing.length === 0 }, hands)]),
        ...(persistent.length === 0
          ? []
          : [applyPersistent({ service, items: persistent, empty: beside.length === 0 }, hands)]),
      ];
    });
    await Promise.all(tasks);
  }

  return async (changes, signal) => {
    const items = changes.map((change): Item => {
      const item: Item = { change };
      const broken = change.action === 'deregister' ? undefined : brokenRule(change.instance);
      if (broken !== undefined) settle(item, new RegistryError('invalid', broken));
      return item;
    });
    const clusters = Map.groupBy(items, ({ change }) => change.instance.marks.cluster);
    // As claimed now: a claim that comes meanwhile was made to read again first.
    const parts = [...clusters].map(([cluster, some]) => ({ some, held: claims.heldFor(cluster) }));
    for (const { some, held } of parts) {
      const open = some.filter(isOpen);
      try {
        if (open.length > 0) await work(open, held, signal);
      } catch (cause) {
        const error = RegistryError.from(cause, 'apply');
        for (const item of open.filter(isOpen)) settle(item, error);
      }
    }
    if (signal.aborted) {
      // Something may have been written by now, whichever request it was that was cut short.
      throw cancelled('apply', signal, true);
    }
    return items.map(
      ({ result }) => result ?? { ok: false, error: new RegistryError('protocol', 'apply lost a change') },
    );
  };
}

const NOTHING: ServiceInfo = { hosts: [], shielded: false };

async function readAll(
  naming: Naming,
  items: readonly Item[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, ServiceInfo>> {
  const infos = new Map<string, ServiceInfo>();
  const services = items.flatMap(({ change }) => [
    change.instance.service,
    ...(change.action === 'update' ? [change.previous.service] : []),
  ]);
  await inParallel(new Set(services), READ_WIDTH, async (service) => {
    infos.set(service, await naming.read('apply', service, signal));
  });
  return infos;
}

/** Of two that are wanted in one place, the first gets it. */
function decideBeside(taken: Map<string, string>, { action, instance }: Change, decision: Decision): Decision {
  if (action === 'deregister' || decision.kind === 'refuse') return decision;
  const place = `${placeOfInstance(instance)} ${instance.service}`;
  const other = taken.get(place);
  if (other !== undefined && other !== instance.id) return { kind: 'refuse', error: shared(instance) };
  taken.set(place, instance.id);
  return decision;
}

const isOpen = ({ result }: Item): boolean => result === undefined;

/** Not the request is at fault, so further ones would fare no better. */
const endsAll = ({ code }: RegistryError): boolean =>
  meansUnreachable(code) || ['aborted', 'unauthorized', 'rate-limited', 'fenced'].includes(code);

/** `stands` is asked before each: a batch may take long, or a process stand still in the middle of it. */
function bounded(width: number, stands: () => Promise<void>): Hands['run'] {
  const waiting: (() => void)[] = [];
  let running = 0;
  let end: RegistryError | undefined;
  return async (request) => {
    if (running >= width) await new Promise<void>((go) => waiting.push(go));
    else running++;
    try {
      // What was not sent was not written.
      if (end !== undefined) throw failed(end, 'nothing');
      await stands();
      return await request();
    } catch (cause) {
      const error = RegistryError.from(cause, 'apply');
      if (endsAll(error)) end ??= error;
      throw error;
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
