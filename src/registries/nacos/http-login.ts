import type { Clock } from '../../clock.ts';
import { cancelled, type RegistryError } from '../error.ts';
import { unlessAborted } from '../parallel.ts';
import { type Fields, parseFields } from './answer.ts';
import { type Credentials, isBadStatus, notNacos, ofAnswer } from './http-failure.ts';
import { hasVersion3 } from './http-version.ts';
import type { Answer, HttpCall, Wire } from './http-wire.ts';

export interface Account {
  readonly username: string;
  readonly password: string;
}

/**
 * The token that goes with every call. A refused login is no failure of its own, since servers without access control refuse every one: calls then go
 * without a token, and where it is wanted they fail as `unauthorized`.
 */
export interface Login {
  /** `stale`: a token that the server did not take. One login at a time; undefined where there is none. */
  token(signal: AbortSignal, stale?: string): Promise<string | undefined>;
  /** For the sentence of a refusal. */
  credentials(): Credentials;
}

type State =
  | { readonly kind: 'none' }
  | { readonly kind: 'held'; readonly token: string; readonly since: number; readonly until: number }
  | { readonly kind: 'refused'; readonly until: number };

/** A new token that is not taken is not the token's fault; and a refused login is not tried with every call. */
const AGAIN_MS = 10_000;

const DEFAULT_TTL_SECONDS = 18_000;

export interface LoginOptions {
  readonly wire: Wire;
  readonly account: Account | undefined;
  readonly version: (signal: AbortSignal) => Promise<string>;
  readonly clock: Clock;
  readonly closing: AbortSignal;
}

export function createLogin({ wire, account, version, clock, closing }: LoginOptions): Login {
  let state: State = { kind: 'none' };
  let attempt: Promise<string | undefined> | undefined;

  const refused = (): undefined => {
    state = { kind: 'refused', until: clock.now() + AGAIN_MS };
  };

  const login = async ({ username, password }: Account): Promise<string | undefined> => {
    const path = hasVersion3(await version(closing)) ? '/v3/auth/user/login' : '/v1/auth/login';
    const call: HttpCall = { operation: 'login', writes: false, method: 'POST', path, params: { username, password } };
    const since = clock.now();
    let answer: Answer;
    try {
      answer = await wire.ask(call, undefined, closing);
    } catch (error) {
      if (isBadStatus(error)) return refused();
      throw error;
    }
    const { status, body, origin } = answer;
    const isRefusal = REFUSALS.has(status) || (status === 500 && body.trim() === `caused: ${username};`);
    if (isRefusal) return refused();
    if (status !== 200) throw ofAnswer(answer, { ...call, origin }, 'refused');
    const fields = fieldsIn(body, () => notNacos({ ...call, origin }));
    const { accessToken: token, tokenTtl = DEFAULT_TTL_SECONDS } = fields;
    if (typeof token !== 'string' || token === '') return refused();
    const ttlMs = (typeof tokenTtl === 'number' && tokenTtl > 0 ? tokenTtl : DEFAULT_TTL_SECONDS) * 1_000;
    state = { kind: 'held', token, since, until: since + ttlMs * 0.8 };
    return token;
  };

  return {
    async token(signal, stale) {
      if (account === undefined) return undefined;
      const now = clock.now();
      if (state.kind === 'refused' && now < state.until) return undefined;
      if (state.kind === 'held' && now < state.until) {
        if (stale !== state.token || now - state.since < AGAIN_MS) return state.token;
      }
      attempt ??= login(account).finally(() => {
        attempt = undefined;
      });
      return unlessAborted(attempt, signal, () => cancelled('login', signal));
    },
    credentials: () => (account === undefined ? 'none' : state.kind === 'held' ? 'taken' : 'refused'),
  };
}

/** 404 and 501: a server without accounts. */
const REFUSALS: ReadonlySet<number> = new Set([400, 401, 403, 404, 410, 501]);

function fieldsIn(body: string, failure: () => RegistryError): Fields {
  try {
    return parseFields(body);
  } catch {
    throw failure();
  }
}
