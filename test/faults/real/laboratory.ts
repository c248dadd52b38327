// Plans against real servers: the same as the virtual laboratory plays, as far as there is somewhere for them to strike.
import { violations } from '../judge.ts';
import { type Subject, subjectOf } from '../laboratory.ts';
import type { Defence } from '../naive/builds.ts';
import type { Fault, Plan } from '../plan.ts';
import { registryTypes } from '../registry-rules.ts';
import type { Run } from '../run.ts';
import { WORKLOADS, type Workload } from '../workload.ts';
import { realConsul } from './consul.ts';
import { realEtcd } from './etcd.ts';
import { violationsOfReference } from './judge.ts';
import { realMemory } from './memory.ts';
import { realNacos } from './nacos.ts';
import { playReal, type RealRun } from './play.ts';
import type { RealRegistry } from './registries.ts';
import { openWorld } from './world.ts';
import { realZooKeeper } from './zookeeper.ts';

const OPEN: Readonly<Record<string, () => Promise<RealRegistry>>> = {
  Memory: async () => realMemory,
  Etcd: realEtcd,
  Consul: realConsul,
  Nacos: realNacos,
  ZooKeeper: realZooKeeper,
};

export const REAL_REGISTRIES: readonly string[] = Object.keys(OPEN);

export interface RealSubject {
  readonly workload: Workload;
  readonly registry: string;
  readonly virtual: Subject;
  readonly plans: readonly Plan[];
}

/** What a workload gives to play with a registry. */
export async function realSubject(workload: Workload, registry: string): Promise<RealSubject> {
  const type = (await registryTypes()).find(({ name }) => name === registry);
  if (type === undefined || !(registry in OPEN)) throw new Error(`there is no real ${registry} in the laboratory`);
  const virtual = await subjectOf(workload, type);
  return {
    workload,
    registry,
    virtual,
    plans: virtual.plans.filter((plan) => hasPlace(plan, registry, virtual.reference)),
  };
}

/**
 * Nothing tells a check of a registry from what it reads for a list; machines are not suspended, and there is one cluster. Nothing is between the operator and Memory, which goes with the process: what stood there
 * although nobody wanted it any more, nobody can register again.
 */
function hasPlace({ fault }: Plan, registry: string, { end, wantedAtEnd }: Run): boolean {
  if (fault.kind === 'registry' && fault.operation === 'check') return false;
  if (fault.kind === 'suspended' || fault.kind === 'namesake') return false;
  if (registry !== 'Memory') return true;
  if (fault.kind === 'registry' || fault.kind === 'overtaken' || fault.kind === 'frozen') return false;
  if (fault.kind === 'crash' && fault.of !== 'status') return false;
  return !endsProcess(fault) || end.entries.every(({ id }) => wantedAtEnd.has(id));
}

const endsProcess = (fault: Fault): boolean =>
  fault.kind === 'crash' ||
  (fault.kind === 'list' && fault.of === 'a new process') ||
  (fault.kind === 'stale' && fault.to === 'a new process');

export interface Judgement {
  readonly run: RealRun;
  readonly wrong: readonly string[];
}

export interface RealLaboratory {
  judge(subject: RealSubject, plan: Plan, without?: Defence): Promise<Judgement>;
  stop(): Promise<void>;
}

/** With the servers of these registries. */
export async function openRealLaboratory(names: readonly string[]): Promise<RealLaboratory> {
  const world = await openWorld();
  const registries = new Map<string, RealRegistry>();
  const references = new Map<string, Promise<RealRun>>();
  const stop = async () => {
    for (const registry of registries.values()) await registry.stop();
    await world.stop();
  };
  try {
    for (const name of names) registries.set(name, (await OPEN[name]?.()) ?? fail(name));
  } catch (error) {
    await stop();
    throw error;
  }

  function referenceOf({ workload, registry, virtual }: RealSubject): Promise<RealRun> {
    const key = `${workload.name}@${registry}`;
    const known = references.get(key);
    if (known !== undefined) return known;
    const played = (async () => {
      const run = await play(workload, registry, virtual.calm, undefined);
      const wrong = violationsOfReference(run, virtual.reference);
      if (wrong.length > 0) throw new Error(`${key} is wrong without any fault:\n${wrong.join('\n')}`);
      return run;
    })();
    references.set(key, played);
    return played;
  }

  const play = (workload: Workload, name: string, plan: Plan, reference: RealRun | undefined, without?: Defence) =>
    playReal({
      world,
      workload,
      registry: registries.get(name) ?? fail(name),
      plan,
      reference,
      ...(without === undefined ? {} : { without }),
    });

  return {
    async judge(subject, plan, without) {
      const reference = await referenceOf(subject);
      const run = await play(subject.workload, subject.registry, plan, reference, without);
      return { run, wrong: violations(run, reference) };
    },
    stop,
  };
}

function fail(name: string): never {
  throw new Error(`the laboratory was opened without ${name}`);
}

/** `workload/kind/number@Registry` */
export async function findRealPlan(id: string): Promise<{ readonly subject: RealSubject; readonly plan: Plan }> {
  const [name = '', registry = ''] = id.split('@');
  const workload = WORKLOADS.find((one) => name.startsWith(`${one.name}/`));
  if (workload === undefined || !(registry in OPEN))
    throw new Error(
      `${id} is no plan of the real half: it is written workload/kind/number@Registry, one of ${REAL_REGISTRIES.join(', ')}`,
    );
  const subject = await realSubject(workload, registry);
  const plan = [subject.virtual.calm, ...subject.plans].find((one) => one.id === name);
  if (plan === undefined) throw new Error(`there is no plan ${name} with the real ${registry}`);
  return { subject, plan };
}
