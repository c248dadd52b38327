// Makes the one fault of a plan happen, at its place and for its time.
import type { Clock } from '../../src/clock.ts';
import type { ApiConditions, WatchControls } from './api-link.ts';
import type { Fault } from './plan.ts';
import type { RegistryOperation, RegistryTrouble } from './registry-server.ts';
import type { Story } from './story.ts';

export interface Stage {
  readonly clock: Clock;
  readonly story: Story;
  /** Of its newest version. */
  readonly api: { readonly version: number };
  readonly conditions: ApiConditions;
  kill(): void;
  restart(): void;
  link(): WatchControls | undefined;
  /** Other processes than the one operator. Without them, plans that need some never come about. */
  readonly others?: Others;
}

export interface Others {
  /** Nothing of the leader happens until the returned function is called. What came after this version it reads last of all. */
  freeze(version: number): () => void;
  /** As `freeze`, with whoever has this clock, which stands still, too. Absent where clocks cannot. */
  suspend?(own: Clock, version: number): () => void;
  /** Of another cluster with our cluster name. The returned function ends it. Absent where there is one cluster. */
  startNamesake?(): () => void;
}

type When = 'before the answer' | 'after the answer';

const DOWN_MS = 1_000;
const TROUBLE_MS = 8_000;
/** Longer than the 30 s between two looks: a list that is empty once is another thing than one that stays so. */
const EMPTY_MS = 45_000;
/** Past the deadline of a request that is never answered. */
const SILENCE_MS = 62_000;
const STALE_MS = 20_000;
/** In which absence is proved twice over. */
const NAMESAKE_MS = 75_000;
/** A Lease lasts 15 s, is asked for every second, and then the registry is listed. */
const LED_ANEW_MS = 20_000;
/** A watch that is dead is found out by its silence, which may last 90 s. */
const DEAD_MS = 95_000;

export function openDirector(fault: Fault, stage: Stage) {
  const { clock, story, conditions } = stage;
  /** Of what users wrote: the version before it. */
  const versionsBefore = new Map<number, number>();
  let state: 'waiting' | 'on' | 'over' = fault.kind === 'none' ? 'over' : 'waiting';
  let overAt = 0;
  let hasSuccessor = false;

  const begin = (): boolean => {
    if (state !== 'waiting') return false;
    state = 'on';
    return true;
  };
  const over = () => {
    if (state !== 'on') return;
    state = 'over';
    overAt = clock.now();
  };
  const after = (ms: number, run: () => void) => void clock.setTimer(ms, run);

  function crash(then: () => void): void {
    stage.kill();
    after(DOWN_MS, () => {
      stage.restart();
      then();
    });
  }

  function onWrite(of: 'registry' | 'status' | 'claim', number: number, when: When): void {
    if (fault.kind !== 'crash' || fault.of !== of || fault.write !== number || fault.when !== when) return;
    if (begin()) crash(over);
  }

  /** What came while it was frozen is read in its turn, after what it had read before. */
  function freeze(forMs: number, version: number): void {
    if (stage.others === undefined || !begin()) return;
    story.tell('fault', `the leader freezes, and has read version ${version}`);
    goOnAfter(forMs, stage.others.freeze(version));
  }

  /** Who takes the place of the leader is suspended before it claims. */
  function succeed(): void {
    if (stage.others?.suspend === undefined || !begin()) return;
    hasSuccessor = true;
    crash(() => {});
  }

  function suspend(own: Clock, forMs: number): void {
    if (stage.others?.suspend === undefined || !hasSuccessor) return;
    hasSuccessor = false;
    story.tell('fault', `the next leader is suspended, and has read version ${stage.api.version}`);
    goOnAfter(forMs, stage.others.suspend(own, stage.api.version));
  }

  function goOnAfter(forMs: number, goOn: () => void): void {
    after(forMs, () => {
      story.tell('fault', 'the leader goes on');
      goOn();
      after(LED_ANEW_MS, over);
    });
  }

  function meetNamesake(): void {
    if (stage.others?.startNamesake === undefined || !begin()) return;
    const end = stage.others.startNamesake();
    after(NAMESAKE_MS, () => {
      story.tell('fault', 'the operator of the other cluster is gone');
      end();
      over();
    });
  }

  /** The watch of it breaks, and must begin with a list. */
  const listAnew = (resource: string) => stage.link()?.breakWatch(resource, '410');

  function goStale({ before, to }: Extract<Fault, { kind: 'stale' }>): void {
    if (!begin()) return;
    const version = versionsBefore.get(before) ?? 0;
    conditions.view = { version, of: to === 'lists' ? 'everything' : 'caches' };
    story.tell('fault', `the API server shows its version ${version}`);
    if (to === 'lists') for (const resource of RESOURCES) listAnew(resource);
    else crash(() => {});
    after(STALE_MS, () => {
      conditions.view = undefined;
      story.tell('fault', 'the API server shows everything again');
      stage.link()?.flush();
      over();
    });
  }

  function troubleLists(one: Extract<Fault, { kind: 'list' }>): void {
    if (!begin()) return;
    const { resource, trouble, of } = one;
    story.tell('fault', `lists of ${resource} for ${of}: ${trouble}`);
    conditions.lists.set(resource, trouble);
    conditions.olderVersion = (versionsBefore.get(versionsBefore.size) ?? stage.api.version) - 1;
    if (of === 'a watch') listAnew(resource);
    else crash(() => {});
    after(trouble === 'empty' ? EMPTY_MS : trouble === 'silence' ? SILENCE_MS : TROUBLE_MS, () => {
      conditions.lists.delete(resource);
      story.tell('fault', `lists of ${resource} are well again`);
      over();
    });
  }

  function troubleWatch({ resource, trouble }: Extract<Fault, { kind: 'watch' }>): void {
    if (!begin()) return;
    story.tell('fault', `the watch of ${resource}: ${trouble}`);
    conditions.watches.set(resource, trouble);
    if (trouble === '429' || trouble === '500') stage.link()?.breakWatch(resource, 'reset');
    after(trouble === 'dead' ? DEAD_MS : TROUBLE_MS, () => {
      conditions.watches.delete(resource);
      story.tell('fault', `the watch of ${resource} is well again`);
      stage.link()?.flush();
      over();
    });
  }

  function beginToHide({ resource, from }: Extract<Fault, { kind: 'hidden' }>, number: number): void {
    if (number !== from || !begin()) return;
    story.tell('fault', `${resource}: events are hidden`);
    conditions.hidden.add(resource);
  }

  function hide(one: Extract<Fault, { kind: 'hidden' }>, number: number): void {
    beginToHide(one, number);
    const { resource, to, then } = one;
    if (number === to && state === 'on') {
      // Its own event is the first that is seen again.
      story.tell('fault', `${resource}: the watch ${then}`);
      after(1, () => {
        if (then === 'goes on') stage.link()?.showHidden(resource);
        else {
          conditions.hidden.delete(resource);
          listAnew(resource);
        }
        over();
      });
    }
  }

  return {
    over,
    isOver: () => state === 'over',
    isOn: () => state === 'on',
    /** Users wait for its end before they go on: it lasts longer than what they do, and would be no fault of one step. */
    isLong: () => state === 'on' && isLong(fault),
    overAt: () => overAt,
    onStep(step: number): void {
      if (fault.kind === 'list' && fault.step === step) troubleLists(fault);
      if (fault.kind === 'watch' && fault.step === step) troubleWatch(fault);
      if (fault.kind === 'namesake' && fault.step === step) meetNamesake();
    },
    /** Where the events of a write may be on their way before its answer. */
    beforeUserEvent(number: number): void {
      if (fault.kind === 'hidden') beginToHide(fault, number);
    },
    onUserEvent(number: number, version: number): void {
      versionsBefore.set(number, version - 1);
      if (fault.kind === 'stale' && fault.after === number) after(2_000, () => goStale(fault));
      if (fault.kind === 'hidden') hide(fault, number);
      if (fault.kind === 'frozen' && fault.event === number) freeze(fault.forMs, version);
      if (fault.kind === 'suspended' && fault.event === number) succeed();
    },
    onUnit: (number: number, when: When): void => onWrite('registry', number, when),
    /** Before it is sent. */
    onClaiming(own: Clock): void {
      if (fault.kind === 'suspended') suspend(own, fault.forMs);
    },
    onClaim: (number: number, when: When): void => onWrite('claim', number, when),
    onApiWrite: (number: number, when: When): void => onWrite('status', number, when),
    onCall(
      operation: RegistryOperation,
      number: number,
    ): RegistryTrouble | { readonly overtakenByMs: number } | undefined {
      if (fault.kind === 'overtaken' && operation === 'apply' && fault.call === number && begin()) {
        crash(() => {});
        return { overtakenByMs: fault.byMs };
      }
      if (fault.kind !== 'registry' || fault.operation !== operation || fault.call !== number) return undefined;
      return begin() ? fault.trouble : undefined;
    },
  };
}

const isLong = (fault: Fault): boolean =>
  'trouble' in fault && ['dead', 'silence', 'long-frozen'].includes(fault.trouble);

const RESOURCES = [
  'namespaces',
  'services',
  'endpointslices.discovery.k8s.io',
  'serviceregistrations.roster.dev',
  'clusterserviceregistrations.roster.dev',
  'clusterregistries.roster.dev',
] as const;
