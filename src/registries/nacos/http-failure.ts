import { isNotAllowed, NOT_ALLOWED } from '../address-rule.ts';
import { RegistryError, type RegistryErrorCode } from '../error.ts';
import { oneKind } from './grpc-failure.ts';

export interface FailedRequest {
  /** `list`, `apply` …: begins the message. */
  readonly operation: string;
  /** A write whose answer got lost may have happened. */
  readonly writes: boolean;
  /** Scheme, host and port. */
  readonly origin: string;
}

/** The connection was not there within `timeouts.connectSeconds`. */
export class ConnectTimeout extends Error {
  override readonly name = 'ConnectTimeout';
}

/** The answer was not there within `timeouts.requestSeconds`. */
export class AnswerTimeout extends Error {
  override readonly name = 'AnswerTimeout';
}

interface Verdict {
  readonly code: RegistryErrorCode;
  readonly sentence: string;
  /** The request went out, and nobody says that it was not carried out. */
  readonly sent?: boolean;
  readonly retryAfterMs?: number | undefined;
}

function errorOf({ code, sentence, sent, retryAfterMs }: Verdict, call: FailedRequest, cause?: unknown): RegistryError {
  const { operation, writes, origin } = call;
  return new RegistryError(code, `${operation}: Nacos at ${origin} ${sentence}`, {
    ...(cause === undefined ? {} : { cause }),
    ambiguous: writes && sent === true,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** Who asked, and whether a token went with it. */
export type Credentials = 'none' | 'refused' | 'taken';

/** An answer that is not the one that was wanted. Bodies are looked at and never quoted. */
export function ofAnswer(
  answer: { readonly status: number; readonly body: string; readonly retryAfter: string | undefined },
  call: FailedRequest,
  credentials: Credentials,
): RegistryError {
  const verdict = verdictOn(answer, credentials);
  return errorOf(verdict, call, new Error(`HTTP status ${answer.status}`));
}

export const notNacos = (call: FailedRequest): RegistryError => errorOf(NOT_NACOS, call);

const NOT_NACOS: Verdict = {
  code: 'protocol',
  sentence:
    'answered something that Nacos does not; check that the address is that of its HTTP API, which is below /nacos',
  sent: true,
};

/** In 3.x the API of 2.x is gone or switched off, and the other way round. */
const OTHER_VERSION: Verdict = {
  code: 'protocol',
  sentence: 'does not have this API; check that the address is that of Nacos 2.0 or later, and its context path /nacos',
  sent: true,
};

function verdictOn(
  { status, body, retryAfter }: { status: number; body: string; retryAfter: string | undefined },
  credentials: Credentials,
): Verdict {
  const kind = /is (ephemeral|persistent) service/.exec(body)?.[1];
  if (status >= 400 && kind !== undefined) {
    const [stands, wanted] = kind === 'ephemeral' ? ['leased', 'persistent'] : ['persistent', 'leased'];
    return { code: 'conflict', sentence: oneKind(stands, wanted) };
  }
  switch (status) {
    case 400:
      return { code: 'invalid', sentence: 'does not take this; its log says why' };
    case 401:
    case 403:
      return denied(body, credentials);
    case 404:
    case 405:
    case 410:
    case 501:
      return OTHER_VERSION;
    case 413:
    case 414:
    case 431:
      return { code: 'too-large', sentence: 'takes no request of this size; use less metadata' };
    case 429:
      return {
        code: 'rate-limited',
        sentence: 'takes no more requests for now; raise its limits if this goes on',
        retryAfterMs: milliseconds(retryAfter),
      };
  }
  if (status < 500) return NOT_NACOS;
  return {
    code: 'unavailable',
    sentence: `cannot serve now (status ${status}); see its log, it may be starting or without a leader`,
    sent: true,
    retryAfterMs: milliseconds(retryAfter),
  };
}

function denied(body: string, credentials: Credentials): Verdict {
  if (credentials === 'none') {
    const refs = 'spec.nacos.usernameSecretRef and passwordSecretRef';
    return { code: 'unauthorized', sentence: `wants credentials; set ${refs}` };
  }
  if (credentials === 'refused' || /unknown user|user not found|token (invalid|expired)/i.test(body)) {
    return {
      code: 'unauthorized',
      sentence:
        'does not take the username and password; check the Secrets of spec.nacos.usernameSecretRef and passwordSecretRef',
    };
  }
  return {
    code: 'forbidden',
    sentence:
      'does not allow this to the user; give its role read and write on the namespace, and on 3.x the admin API',
  };
}

/** Seconds only: a date would have to be compared with the wall clock of another machine. */
const milliseconds = (retryAfter: string | undefined): number | undefined =>
  retryAfter !== undefined && /^\d{1,5}$/.test(retryAfter) ? Number(retryAfter) * 1_000 : undefined;

/** What a request without an answer ended with. `sent`: there was a connection. */
export function ofSocket(error: unknown, call: FailedRequest & { readonly sent: boolean }): RegistryError {
  const { sent } = call;
  const fail = (code: RegistryErrorCode, sentence: string) => errorOf({ code, sentence, sent }, call, quotable(error));
  if (isNotAllowed(error)) return fail('not-allowed', NOT_ALLOWED);
  if (error instanceof AnswerTimeout) {
    const words = 'did not answer in time; it is overloaded or frozen, or spec.timeouts.requestSeconds is too short';
    return fail('timeout', words);
  }
  if (error instanceof ConnectTimeout) {
    return fail('unreachable', 'accepted no connection in time; check the address and the network in between');
  }
  const code = codeOf(error);
  if (code === 'ECONNREFUSED') {
    return fail('unreachable', 'refused the connection; check the address, and that it runs');
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return fail('unreachable', 'could not be found by name; check the address and the DNS');
  }
  if (UNROUTABLE.has(code)) {
    return fail('unreachable', 'cannot be reached over the network; check the address and the routes');
  }
  if (isCertificate(code)) {
    const words = 'check spec.nacos.tls.caSecretRef and serverName';
    return fail('unreachable', `has a certificate that was not accepted (${code}); ${words}`);
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    const words = 'check http or https, and the certificates';
    return fail('protocol', `and this side could not agree on TLS (${code}); ${words}`);
  }
  if (code.startsWith('HPE_')) {
    const words = 'the address takes the HTTP port, 8848 as a rule, and never the gRPC one 1000 above it';
    return fail('protocol', `did not answer with HTTP; ${words}`);
  }
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED') {
    return fail('unreachable', 'broke the connection before it had answered');
  }
  return fail('protocol', `could not be asked (${code === '' ? 'unexpected error' : code})`);
}

/** Of an answer whose status line is none: Nacos 2.2 without its console refuses a login with status 0. */
export const isBadStatus = (error: unknown): boolean =>
  error instanceof RegistryError && codeOf(error.cause) === 'HPE_INVALID_STATUS';

/** Parse errors hold what was received. */
function quotable(error: unknown): unknown {
  const code = codeOf(error);
  return code.startsWith('HPE_') ? Object.assign(new Error(code), { code }) : error;
}

const UNROUTABLE: ReadonlySet<string> = new Set([
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'ETIMEDOUT',
  'EADDRNOTAVAIL',
]);

const isCertificate = (code: string): boolean =>
  code.startsWith('ERR_TLS_') || code.startsWith('CERT_') || /^(DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code);

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
