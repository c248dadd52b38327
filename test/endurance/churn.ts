// Users who do not stop for an operator: Services scale, become ready and unready, come and go, by a seed.
import { setTimeout as delay } from 'node:timers/promises';
import type { Kube } from '../e2e/kube.ts';
import { service, slice } from '../e2e/objects.ts';

export interface Churn {
  /** Everything that is there at the beginning. */
  start(): Promise<void>;
  /** One thing after the other until it is told to rest. */
  goOn(): void;
  /** Resolves when nothing more is changed. */
  rest(): Promise<void>;
  /** Address to what should stand there: service and readiness. */
  wanted(): ReadonlyMap<string, string>;
  /** The API server was asked to take the address away. */
  wasRemoved(address: string): boolean;
  changes(): Readonly<Record<Change, number>>;
}

type Change = 'scaled' | 'readiness' | 'new Service' | 'Service deleted';

export interface ChurnOptions {
  readonly kube: Kube;
  readonly namespace: string;
  readonly random: () => number;
  readonly services: number;
  readonly endpoints: number;
  /** Services are deleted too. */
  readonly deletions: boolean;
}

const NEW = 0.12;
const DELETED = 0.08;
const SCALED = 0.4;
const PAUSE_MS = 120;

export function createChurn({ kube, namespace, random, services, endpoints, deletions }: ChurnOptions): Churn {
  /** Ready or not, by address, by Service. */
  const standing = new Map<string, Map<string, boolean>>();
  const removed = new Set<string>();
  const counts = { scaled: 0, readiness: 0, 'new Service': 0, 'Service deleted': 0 };
  let made = 0;
  let addresses = 0;
  let resting = true;
  let running: Promise<void> = Promise.resolve();

  const upTo = (bound: number) => Math.floor(random() * bound);
  // None is ever given twice: what is gone must never come back.
  const fresh = () => `10.${100 + (++addresses >> 16)}.${(addresses >> 8) & 255}.${addresses & 255}`;
  const write = (name: string, ready: ReadonlyMap<string, boolean>) =>
    kube.apply(
      slice(namespace, name, Object.fromEntries([...ready].map(([address, isReady]) => [address, { ready: isReady }]))),
    );

  async function create(): Promise<void> {
    const name = `web-${++made}`;
    const ready = new Map(Array.from({ length: endpoints }, () => [fresh(), true]));
    await kube.apply(service(namespace, name));
    await write(name, ready);
    standing.set(name, ready);
  }

  async function remove(name: string, ready: ReadonlyMap<string, boolean>): Promise<void> {
    standing.delete(name);
    for (const address of ready.keys()) removed.add(address);
    await kube.remove({ kind: 'Service', namespace, name });
    await kube.remove({ kind: 'EndpointSlice', namespace, name: `${name}-1` });
  }

  async function scale(name: string, ready: Map<string, boolean>): Promise<void> {
    const next = new Map(ready);
    for (const address of [...next.keys()].slice(0, next.size > 2 ? upTo(3) : 0)) {
      next.delete(address);
      // Before it is sent: from then on it may go.
      ready.delete(address);
      removed.add(address);
    }
    for (let more = next.size < 2 * endpoints ? 1 + upTo(2) : 0; more > 0; more--) next.set(fresh(), true);
    await write(name, next);
    standing.set(name, next);
  }

  async function change(): Promise<Change> {
    const [name = '', ready = new Map<string, boolean>()] = [...standing][upTo(standing.size)] ?? [];
    const drawn = random();
    if (drawn < NEW && standing.size < 2 * services) {
      await create();
      return 'new Service';
    }
    if (drawn < NEW + DELETED && deletions && standing.size > services / 2) {
      await remove(name, ready);
      return 'Service deleted';
    }
    if (drawn < NEW + DELETED + SCALED) {
      await scale(name, ready);
      return 'scaled';
    }
    const [address = ''] = [...ready.keys()].slice(upTo(ready.size));
    const next = new Map(ready).set(address, ready.get(address) !== true);
    await write(name, next);
    standing.set(name, next);
    return 'readiness';
  }

  async function run(): Promise<void> {
    while (!resting) {
      counts[await change()]++;
      await delay(random() * PAUSE_MS);
    }
  }

  return {
    async start() {
      while (standing.size < services) await create();
    },
    goOn() {
      if (!resting) return;
      resting = false;
      running = run();
      // It is told to whoever waits for the rest.
      running.catch(() => {});
    },
    rest() {
      resting = true;
      return running;
    },
    wanted: () =>
      new Map(
        [...standing].flatMap(([name, ready]) =>
          [...ready].map(([address, isReady]) => [address, `${name} ${isReady ? 'healthy' : 'unhealthy'}`]),
        ),
      ),
    wasRemoved: (address) => removed.has(address),
    changes: () => counts,
  };
}
