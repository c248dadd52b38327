import type { Clock } from '../../clock.ts';
import { cancelled } from '../error.ts';
import { unlessAborted } from '../parallel.ts';
import { type Fields, parseFields } from './answer.ts';
import { ofAnswer } from './http-failure.ts';
import type { HttpCall, Wire } from './http-wire.ts';

/** Servers are upgraded while clients live. */
const KNOWN_MS = 60_000;

/** Version 3, version 2, and a version 2 whose console is left out: none of them asks for a login. */
const PROBES: readonly (readonly [path: string, read: (answer: Fields) => unknown])[] = [
  ['/v3/admin/core/state', ({ data }) => within(data)['version']],
  ['/v1/console/server/state', ({ version }) => version],
  ['/v1/core/cluster/self', ({ data }) => within(within(data)['extendInfo'])['version']],
];

/** Which version the server is, asked once a minute; one question at a time. */
export function createVersion(wire: Wire, clock: Clock, closing: AbortSignal) {
  let known: { readonly version: string; readonly until: number } | undefined;
  let attempt: Promise<string> | undefined;

  const detect = async (): Promise<string> => {
    for (let at = 0; ; at++) {
      const [path, read] = PROBES[at] ?? ['', () => undefined];
      const call: HttpCall = { operation: 'check', writes: false, method: 'GET', path, params: {} };
      const answer = await wire.ask(call, undefined, closing);
      const version = answer.status === 200 ? versionIn(answer.body, read) : undefined;
      if (version !== undefined) {
        known = { version, until: clock.now() + KNOWN_MS };
        return version;
      }
      const mayBeElsewhere = answer.status < 500 || answer.status === 501;
      if (!mayBeElsewhere || at === PROBES.length - 1) {
        throw ofAnswer(answer, { ...call, origin: answer.origin }, 'none');
      }
    }
  };

  return (signal: AbortSignal): Promise<string> => {
    if (known !== undefined && clock.now() < known.until) return Promise.resolve(known.version);
    attempt ??= detect().finally(() => {
      attempt = undefined;
    });
    return unlessAborted(attempt, signal, () => cancelled('check', signal));
  };
}

/** From 3.0 on; 3.2 has no other API any more. */
export const hasVersion3 = (version: string): boolean => Number.parseInt(version, 10) >= 3;

function versionIn(body: string, read: (answer: Fields) => unknown): string | undefined {
  try {
    const version = read(parseFields(body));
    return typeof version === 'string' && /^\d+\./.test(version) ? version : undefined;
  } catch {
    return undefined;
  }
}

const within = (value: unknown): Fields => (typeof value === 'object' && value !== null ? { ...value } : {});
