import { cancelled, RegistryError } from '../error.ts';
import { unlessAborted } from '../parallel.ts';
import { CODES, Refused } from './codes.ts';
import { type Connection, endsSession } from './connection.ts';
import type { Endpoint } from './dial.ts';
import { failureOf } from './failure.ts';
import { follow, type Tree } from './follow.ts';
import type { Operation, Request } from './requests.ts';
import { type Reach, superviseSession } from './supervisor.ts';
import type { Session } from './wire.ts';

/** What a request finds, where that is no failure but the state of the tree. */
export type Answer<Value> =
  | { readonly outcome: 'ok'; readonly value: Value }
  | { readonly outcome: 'no-node' | 'node-exists' | 'bad-version' | 'not-empty' };

export interface ZooKeeperClient {
  /** Rejects with a RegistryError, and ends at once with the signal. */
  call<Value>(operation: string, request: Request<Value>, signal: AbortSignal): Promise<Answer<Value>>;
  /** Events of a node and all below it, until it rejects: with the signal, or when the connection is lost. */
  watch(tree: Tree, signal: AbortSignal): Promise<never>;
  /** Throws when a call with this signal would be in vain. */
  assertUsable(operation: string, signal: AbortSignal): void;
  /** The session that is open now, or was open last and may still be continued. */
  session(): Session;
  /** The server that answers now, or was tried last. */
  endpoint(): Endpoint;
  close(): Promise<void>;
}

/** Requests to ZooKeeper, over whichever connection there is: when that is lost, every request on it fails at once. */
export function openClient(reach: Reach): ZooKeeperClient {
  const supervisor = superviseSession(reach);
  const { endpoint } = supervisor;

  const assertUsable = (operation: string, signal: AbortSignal) => {
    if (supervisor.isClosed())
      throw new RegistryError('closed', `${operation} was called after the ZooKeeper registry was closed`);
    if (signal.aborted) throw cancelled(operation, signal);
  };

  async function ask<Value>(
    operation: string,
    request: Request<Value>,
    progress: { sent: boolean },
  ): Promise<Answer<Value>> {
    let at: Endpoint | undefined;
    let connection: Connection | undefined;
    try {
      connection = await supervisor.connected();
      at = endpoint();
      progress.sent = true;
      if (request.effect?.operations.some(isLease)) supervisor.holdLeases();
      return { outcome: 'ok', value: await connection.call(request) };
    } catch (error) {
      if (error instanceof Refused) {
        const outcome = outcomeOf(error.code);
        if (outcome !== undefined) return { outcome };
        if (endsSession(error.code) && connection !== undefined) supervisor.giveUp(connection);
      }
      throw failureOf(error, { operation, sentWrite: progress.sent && request.writes, endpoint: at ?? endpoint() });
    }
  }

  /** What a failure is, once it is known whether it is not rather the caller's wish. */
  function reasonOf(error: unknown, operation: string, signal: AbortSignal, ambiguous = false): unknown {
    if (supervisor.isClosed()) {
      const message = `${operation} was under way when the ZooKeeper registry was closed`;
      return new RegistryError('closed', message, { ambiguous });
    }
    if (signal.aborted) return cancelled(operation, signal, ambiguous);
    return error;
  }

  return {
    assertUsable,
    session: supervisor.session,
    endpoint,
    async call(operation, request, signal) {
      assertUsable(operation, signal);
      const progress = { sent: false };
      try {
        return await unlessAborted(ask(operation, request, progress), signal);
      } catch (error) {
        throw reasonOf(error, operation, signal, progress.sent && request.writes);
      }
    },
    async watch(tree, signal) {
      assertUsable('watch', signal);
      try {
        return await follow(await unlessAborted(supervisor.connected(), signal), tree, signal);
      } catch (error) {
        throw reasonOf(
          failureOf(error, { operation: 'watch', sentWrite: false, endpoint: endpoint() }),
          'watch',
          signal,
        );
      }
    },
    close: supervisor.close,
  };
}

const isLease = (operation: Operation): boolean => operation.kind === 'create' && operation.ephemeral === true;

/** Undefined for a code that is a failure. */
export const outcomeOf = (code: number): Exclude<Answer<unknown>['outcome'], 'ok'> | undefined => STATES.get(code);

const STATES: ReadonlyMap<number, Exclude<Answer<unknown>['outcome'], 'ok'>> = new Map([
  [CODES.noNode, 'no-node'],
  [CODES.nodeExists, 'node-exists'],
  [CODES.badVersion, 'bad-version'],
  [CODES.notEmpty, 'not-empty'],
]);
