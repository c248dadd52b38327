import { cancelled, RegistryError } from '../error.ts';
import { unlessAborted } from '../parallel.ts';
import type { Fields } from './answer.ts';
import { broken, meaningOf } from './grpc-failure.ts';
import type { Link, LinkAccess, LinkCall } from './grpc-link.ts';
import type { Servers } from './servers.ts';

/** One connection at a time, to the first server that takes it; made when it is wanted, and made anew when it was lost. */
export interface Line {
  /** One request. Rejects with a RegistryError, and ends at once with the signal. */
  call(call: Omit<LinkCall, 'token'>, signal: AbortSignal): Promise<Fields>;
  /** Resolves when there is a connection. */
  ready(signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface LineOptions {
  readonly servers: Servers;
  readonly access: LinkAccess;
  readonly token: (signal: AbortSignal, stale?: string) => Promise<string | undefined>;
  /** Makes a connection fit for use, before anybody else has it: publishes again what stood on the one before. */
  readonly onOpen?: (request: Request, signal: AbortSignal) => Promise<void>;
  readonly onPush?: (answer: Fields) => void;
  /** The connection is gone, and what was subscribed or published on it; another may have taken its place. */
  readonly onLost?: () => void;
}

export type Request = (call: Omit<LinkCall, 'token'>, signal: AbortSignal) => Promise<Fields>;

export function openLine({ servers, access, token, onOpen, onPush, onLost }: LineOptions): Line {
  const closing = new AbortController();
  let current: Link | undefined;
  let attempt: Promise<Link> | undefined;

  const requestOn =
    (link: Link): Request =>
    async (call, signal) => {
      const bearer = await token(signal);
      try {
        return await link.request({ ...call, token: bearer }, signal);
      } catch (error) {
        if (bearer === undefined || meaningOf(error) !== 'stale-token') throw error;
        // The server was restarted with another secret, or the user was changed: nothing was done.
        return link.request({ ...call, token: await token(signal, bearer) }, signal);
      }
    };

  /** Tries each server once; gives the first that works. */
  async function openAny(): Promise<Link> {
    const { openLink } = await import('./grpc-link.ts');
    for (let left = servers.all.length; ; left--) {
      const at = servers.preferred;
      const server = servers.all[at];
      if (server === undefined) throw new RegistryError('invalid', 'spec.nacos.addresses is empty; name at least one');
      let link: Link | undefined;
      try {
        link = await openLink(
          server,
          access,
          {
            onPush: (answer) => onPush?.(answer),
            onReset: () => void move(),
            onEnd() {
              if (current !== link) return;
              current = undefined;
              onLost?.();
            },
          },
          closing.signal,
        );
        await onOpen?.(requestOn(link), closing.signal);
        if (link.isOpen()) return link;
        throw broken({ operation: 'connect', writes: false, origin: server.origin });
      } catch (error) {
        link?.close();
        // Unless a line beside this one has moved on already.
        if (servers.preferred === at) servers.preferred = (at + 1) % servers.all.length;
        if (left <= 1 || closing.signal.aborted) throw error;
      }
    }
  }

  const establish = (): Promise<Link> => {
    attempt ??= openAny()
      .then((link) => {
        if (closing.signal.aborted) link.close();
        else current = link;
        return link;
      })
      .finally(() => {
        attempt = undefined;
      });
    return attempt;
  };

  /** What was published stands on the new connection before the old one goes. */
  async function move(): Promise<void> {
    const old = current;
    if (old === undefined || attempt !== undefined) return;
    // Who asks from now on waits for the new one.
    current = undefined;
    try {
      await establish();
    } catch {
      // It serves on until the server cuts it off.
      if (old.isOpen() && !closing.signal.aborted) {
        current = old;
        return;
      }
    }
    old.close();
    onLost?.();
  }

  return {
    async call(call, signal) {
      for (let tries = 3; ; tries--) {
        const link = current ?? (await unlessAborted(establish(), signal, () => cancelled(call.operation, signal)));
        try {
          const answer = await requestOn(link)(call, signal);
          // What was published on a connection that was left meanwhile goes with it.
          if (onOpen === undefined || link === current) return answer;
          if (tries <= 1) throw broken({ operation: call.operation, writes: call.writes, origin: link.origin });
        } catch (error) {
          // Nothing was done, and the connection is not ours any more.
          if (tries <= 1 || meaningOf(error) !== 'stale-connection') throw error;
        }
      }
    },
    async ready(signal) {
      if (current === undefined) await unlessAborted(establish(), signal, () => cancelled('connect', signal));
    },
    close() {
      closing.abort();
      const link = current;
      current = undefined;
      link?.close();
    },
  };
}
