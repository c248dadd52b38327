import { type Clock, pause } from '../../clock.ts';
import { type Connection, openConnection } from './connection.ts';
import type { Endpoint, Manner } from './dial.ts';
import { ConnectionLost } from './loss.ts';
import { NO_SESSION, type Session } from './wire.ts';

/** How to reach ZooKeeper. */
export interface Reach extends Manner {
  /** At least one; the next one is taken when one does not answer. */
  readonly servers: readonly Endpoint[];
  readonly sessionTimeoutMs: number;
  /** Each `user:password` of the scheme digest. */
  readonly accounts: readonly string[];
  readonly connectMs: number;
  readonly requestMs: number;
  readonly clock: Clock;
}

/** One connection at a time, and the session on it. */
export interface Supervisor {
  /** The connection that is open, or another one. Rejects with {@link ConnectionLost}. */
  connected(): Promise<Connection>;
  /** The session that is open now, or was open last and may still be continued. */
  session(): Session;
  /** The server that answers now, or was tried last. */
  endpoint(): Endpoint;
  /** From now on nodes may go with the session. */
  holdLeases(): void;
  /** The session is over although its connection is not. */
  giveUp(connection: Connection): void;
  isClosed(): boolean;
  close(): Promise<void>;
}

/** Between attempts to continue a session with which leases go. */
const RECONNECT_MS = 500;

/**
 * Opens a connection when one is asked for. When it is lost, the next one goes to the next server, with the same session as long as the servers keep
 * that. A session with which leases would go is continued without being asked for too.
 */
export function superviseSession(reach: Reach): Supervisor {
  const { servers, clock } = reach;
  const closing = new AbortController();
  let preferred = 0;
  let session: Session = NO_SESSION;
  /** Whether nodes may go with the session. */
  let holdsLeases = false;
  let current: Connection | undefined;
  let connecting: Promise<Connection> | undefined;

  const endpoint = (): Endpoint => servers[preferred % servers.length] ?? { host: '', port: 0 };

  function connected(): Promise<Connection> {
    if (current !== undefined) return Promise.resolve(current);
    connecting ??= connectToOne().finally(() => {
      connecting = undefined;
    });
    return connecting;
  }

  /** Each server once, or one more time when it is only the session that it does not know. Rejects with the last one's refusal. */
  async function connectToOne(): Promise<Connection> {
    for (let left = servers.length; ; left--) {
      try {
        const connection = await openOn(endpoint());
        if (!closing.signal.aborted) return adopt(connection);
        await leave(connection);
        throw new ConnectionLost('closed');
      } catch (error) {
        if (error instanceof ConnectionLost && error.loss === 'expired' && session !== NO_SESSION) {
          forgetSession();
          left++;
          continue;
        }
        if (left <= 1 || closing.signal.aborted) throw error;
        preferred++;
      }
    }
  }

  const openOn = (server: Endpoint): Promise<Connection> =>
    openConnection({ ...reach, endpoint: server, session, signal: closing.signal });

  function adopt(connection: Connection): Connection {
    current = connection;
    session = connection.session;
    void connection.ended.then(() => {
      if (current !== connection) return;
      current = undefined;
      preferred++;
      void continueLeases();
    });
    return connection;
  }

  async function continueLeases(): Promise<void> {
    while (holdsLeases && current === undefined && !closing.signal.aborted) {
      try {
        await connected();
        return;
      } catch {
        await pause(clock, RECONNECT_MS, closing.signal);
      }
    }
  }

  function forgetSession(): void {
    session = NO_SESSION;
    holdsLeases = false;
  }

  /** Leases are left to lapse: a client of the next process may take them over until then. */
  const leave = async (connection: Connection): Promise<void> =>
    holdsLeases ? connection.drop() : await connection.close();

  return {
    connected,
    session: () => session,
    endpoint,
    holdLeases() {
      holdsLeases = true;
    },
    giveUp(connection) {
      if (current === connection) current = undefined;
      void leave(connection);
      forgetSession();
    },
    isClosed: () => closing.signal.aborted,
    async close() {
      if (closing.signal.aborted) return;
      const open = current;
      closing.abort();
      if (open !== undefined) await leave(open);
      await connecting?.catch(() => {
        // It failed because of this.
      });
    },
  };
}
