// The processes of the operator in one run, each with a proxy of its own before the API server.
import type { Clock } from '../../../src/clock.ts';
import type { ApiConditions } from '../api-link.ts';
import type { Defence } from '../naive/builds.ts';
import { type ApiProxy, openApiProxy } from './api-proxy.ts';
import { type Operator, startOperator } from './process.ts';
import type { History, Scope } from './recorder.ts';
import type { World } from './world.ts';

interface ReplicasOptions {
  readonly world: World;
  readonly scope: Scope;
  readonly history: History;
  readonly clock: Clock;
  readonly conditions: ApiConditions;
  /** Of their files. */
  readonly directory: string;
  readonly clusterName: string;
  readonly elects: boolean;
  readonly without: Defence | undefined;
  /** Those that were started so far are put here. */
  readonly operators: Operator[];
  onWrite(what: string, effective: boolean): number;
  onAnswered(write: number): void;
  onDeletionSeen(version: number): void;
  onStart(): void;
  onEnd(how: 'dies' | 'freezes'): void;
  /** What is to be done between the death of one and the start of the next. */
  beforeNext(): Promise<void>;
}

/** In which what has left for the operator is with it. */
const DELIVERED_MS = 10;

export function createReplicas(options: ReplicasOptions) {
  const { world, scope, history, clock, conditions, directory, clusterName, elects, without, operators } = options;
  const proxies: ApiProxy[] = [];
  let alive: { readonly operator: Operator; readonly proxy: ApiProxy } | undefined;
  let frozen: Operator | undefined;
  let settled: Promise<void> = Promise.resolve();

  async function startNext(): Promise<void> {
    options.onStart();
    const proxy = await openApiProxy({
      upstream: world.upstream,
      scope,
      history,
      clock,
      conditions,
      onWrite: options.onWrite,
      onAnswered: (write) => void clock.setTimer(DELIVERED_MS, () => options.onAnswered(write)),
      onDeletionSeen(version) {
        if (alive?.proxy === proxy) options.onDeletionSeen(version);
      },
    });
    proxies.push(proxy);
    const name = `${clusterName}-${proxies.length}`;
    const token = await world.operatorToken();
    const operator = await startOperator({ directory, name, api: proxy.url, token, clusterName, elects, without });
    operators.push(operator);
    alive = { operator, proxy };
  }

  function stop(operator: Operator | undefined): void {
    frozen = operator;
    frozen?.kill('SIGSTOP');
    options.onEnd('freezes');
  }

  return {
    proxy: () => alive?.proxy,
    start(): Promise<void> {
      settled = settled.then(startNext);
      return settled;
    },
    /** Resolves when whatever was to be started is. */
    started: () => settled,
    kill(): void {
      alive?.operator.kill('SIGKILL');
      alive?.proxy.close();
      alive = undefined;
      options.onEnd('dies');
      settled = settled.then(options.beforeNext);
    },
    freeze(): void {
      stop(alive?.operator);
      alive = undefined;
    },
    /** The one that was started first leads, and others stand by. */
    freezeLeader: () => stop(operators[0]),
    thaw: () => frozen?.kill('SIGCONT'),
    close(): void {
      for (const proxy of proxies) proxy.close();
    },
  };
}

/** What the operator itself calls one, and what it writes past its log. */
export async function defectsOf(operators: readonly Operator[]): Promise<readonly string[]> {
  const of = operators.map(async (operator) => {
    const errors = (await operator.log()).filter(({ level }) => level === 'error');
    return [...errors.map((line) => JSON.stringify(line)), ...(await operator.stray())];
  });
  return (await Promise.all(of)).flat();
}
