import { type Clock, pause } from '../../clock.ts';
import type { Instance } from '../../mirror/instance.ts';
import { cancelled } from '../error.ts';
import { inParallel } from '../parallel.ts';
import type { ServiceInfo } from './answer.ts';
import { canonicalHost, idOf, instanceOf, isOurs } from './entry.ts';
import type { NacosHost } from './host.ts';
import type { List } from './leases.ts';
import type { Naming } from './naming.ts';
import { overlaid, type Recent, SETTLE_MS } from './recent.ts';

export interface Reading {
  readonly naming: Naming;
  readonly recent: Recent;
  readonly clock: Clock;
  held(service: string): List;
}

/** With 32 a list of 500 services takes 1.0 s and not 1.8, and the changes that are written beside it 200 ms each and not 60. */
const WIDTH = 8;
const LOOK_AGAIN_MS = 50;

/** Twice what an idle server takes until it shows a write. */
const SHOWN_MS = 1_000;

/** Every instance of a cluster; `seen` gets each service that was read, strangers' too. */
export async function readOwned(
  reading: Reading,
  cluster: string,
  signal: AbortSignal,
  seen?: (service: string, info: ServiceInfo) => void,
): Promise<readonly Instance[]> {
  await overDoubts(reading, signal);
  const names = await reading.naming.names('list', signal);
  const services = new Set([...names, ...reading.recent.services()]);
  const found: Instance[] = [];
  await inParallel(services, WIDTH, async (service) => {
    const info = await readSettled(reading, 'list', service, signal);
    found.push(...owned(info, service, cluster, reading.held(service)));
    seen?.(service, info);
  });
  return found;
}

export async function readService(
  reading: Reading,
  service: string,
  signal: AbortSignal,
): Promise<readonly Instance[]> {
  const info = await readSettled(reading, 'discover', service, signal);
  const held = reading.held(service);
  return info.hosts.map((host) => seenAs(host, info, service, held));
}

/** A server that answers again has just carried out what it had taken, and shows it later: taken for missing, it would be written once more. */
async function overDoubts({ naming, recent, clock }: Reading, signal: AbortSignal): Promise<void> {
  const since = recent.doubtfulSince;
  if (since === undefined) return;
  await naming.probe('list', signal);
  await pause(clock, SHOWN_MS, signal);
  if (signal.aborted) throw cancelled('list', signal);
  recent.believe(since);
}

/**
 * As fresh as our last acknowledged write; when it does not show, the server is given time, and then believed. What we wrote while that ran is ours to tell.
 */
async function readSettled(
  { naming, recent, clock }: Reading,
  operation: string,
  service: string,
  signal: AbortSignal,
): Promise<ServiceInfo> {
  for (const start = clock.now(); ; ) {
    const askedAt = clock.now();
    const info = await naming.read(operation, service, signal);
    if (recent.confirm(service, info, askedAt) || clock.now() - start >= SETTLE_MS)
      return { ...info, hosts: overlaid(info, recent.of(service, askedAt)) };
    await pause(clock, LOOK_AGAIN_MS, signal);
    if (signal.aborted) throw cancelled(operation, signal);
  }
}

/**
 * One instance for each id. Two entries with one id are there for a moment while another client's lease ends, or for good when a move was cut short:
 * then the one that is out of its place is told, so that it gets mended.
 */
function owned(info: ServiceInfo, service: string, cluster: string, held: List): readonly Instance[] {
  const byId = new Map<string, Instance>();
  for (const host of info.hosts) {
    if (!isOurs(host, cluster)) continue;
    const instance = seenAs(host, info, service, held);
    const other = byId.get(instance.id);
    if (other === undefined || rank(instance) > rank(other)) byId.set(instance.id, instance);
  }
  return [...byId.values()];
}

function rank({ liveness, id, address, port }: Instance): number {
  const inPlace = id.endsWith(`/${address}:${port}`) || id.endsWith(`/[${address}]:${port}`);
  return (liveness === 'lapsing' ? 0 : 2) + (inPlace ? 0 : 1);
}

function seenAs(host: NacosHost, { shielded }: ServiceInfo, service: string, held: List): Instance {
  const mine = held.get(idOf(host) ?? '');
  const isHeld = mine !== undefined && canonicalHost(mine, shielded) === canonicalHost(host, shielded);
  return instanceOf(host, { service, shielded, held: isHeld });
}
