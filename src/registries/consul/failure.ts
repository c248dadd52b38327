import { isNotAllowed, NOT_ALLOWED } from '../address-rule.ts';
import { RegistryError, type RegistryErrorCode } from '../error.ts';
import { NotConsul } from './wire.ts';

export interface FailedCall {
  /** `list`, `apply` …: begins the message. */
  readonly operation: string;
  /** A write whose answer got lost may have happened. */
  readonly writes: boolean;
  /** What the token needs for it; default: what entries need. */
  readonly needs?: string | undefined;
  /** Scheme, host and port. */
  readonly origin: string;
  readonly datacenter: string | undefined;
  /** A namespace or partition is configured. */
  readonly tenant: boolean;
}

/** The connection was not there within `timeouts.connectSeconds`. */
export class ConnectTimeout extends Error {
  override readonly name = 'ConnectTimeout';
}

interface Response {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

/** An answer of the client, whatever its kind, as the one error of all registries. Bodies are looked at and never quoted. */
export function failureOf(error: unknown, call: FailedCall): RegistryError {
  const { operation, writes, origin } = call;
  const fail = (code: RegistryErrorCode, sentence: string, more: { retryAfterMs?: number; sent?: boolean } = {}) =>
    new RegistryError(code, `${operation}: Consul at ${origin} ${sentence}`, {
      cause: quotable(error),
      ambiguous: writes && more.sent === true,
      ...(more.retryAfterMs === undefined ? {} : { retryAfterMs: more.retryAfterMs }),
    });

  if (error instanceof RegistryError) return error;
  if (error instanceof NotConsul || has(error, 'isCodec')) {
    return fail(
      'protocol',
      'answered something that Consul does not; check that the address is that of a Consul HTTP API',
      {
        sent: true,
      },
    );
  }
  if (has(error, 'isAbort')) {
    return new RegistryError('aborted', `${operation} was cancelled`, { ambiguous: writes });
  }
  if (has(error, 'isTimeout')) {
    return fail(
      'timeout',
      'did not answer in time; it is overloaded or frozen, or spec.timeouts.requestSeconds is too short',
      {
        sent: true,
      },
    );
  }
  const response = responseOf(error);
  if (response !== undefined) return ofStatus(response, call, fail);
  return ofSocket(error, fail);
}

/** The errors of the client quote answers, and hold them with their headers and ours: a log that prints causes must not see them. */
function quotable(error: unknown): unknown {
  if (!has(error, 'isPapi') && !has(error, 'response')) return error;
  const code = codeOf(error);
  return code === '' ? undefined : new Error(code);
}

type Fail = (
  code: RegistryErrorCode,
  sentence: string,
  more?: { retryAfterMs?: number; sent?: boolean },
) => RegistryError;

function ofStatus({ statusCode, headers, body }: Response, call: FailedCall, fail: Fail): RegistryError {
  const says = (words: string) => typeof body === 'string' && body.includes(words);
  const retryAfterMs = retryAfter(headers['retry-after']);
  const later = retryAfterMs === undefined ? {} : { retryAfterMs };

  // What only the leader can do is refused with 503, before it is done.
  if (statusCode === 429 || (statusCode === 503 && says('rate limit exceeded'))) {
    return fail('rate-limited', 'takes no more requests from here for now; raise its limits if this goes on', later);
  }
  switch (statusCode) {
    case 400:
      if (!call.tenant) break;
      return fail(
        'not-found',
        'does not know the namespace or partition; both exist in Consul Enterprise only, correct or remove them',
      );
    case 401:
      return fail('unauthorized', 'wants credentials; set spec.consul.tokenSecretRef');
    case 403:
      return says('ACL not found')
        ? fail('unauthorized', 'does not know the token; put a valid one into the Secret of spec.consul.tokenSecretRef')
        : fail(
            'forbidden',
            `does not allow this to the token; it needs ${call.needs ?? 'node:write on the prefix roster-, and service:write and service:read'}`,
          );
    case 413:
      return fail(
        'too-large',
        'takes no request of this size; raise limits.txn_max_req_len there, or use less metadata',
      );
    case 500:
      if (says('invalid key name')) {
        return fail('invalid', 'takes no key that ends in a space, or has a space or ".." behind percent signs');
      }
      if (!says('No path to datacenter')) break;
      return fail('not-found', `knows no datacenter "${call.datacenter ?? ''}"; correct spec.consul.datacenter`);
  }
  if (statusCode >= 500) {
    // Also when leadership was lost with the write half way.
    return fail('unavailable', `cannot serve now (status ${statusCode}); see its log, it may be without a leader`, {
      ...later,
      sent: true,
    });
  }
  return fail(
    'protocol',
    `answered with status ${statusCode}, which Consul does not; check that the address is that of its HTTP API`,
    {
      sent: true,
    },
  );
}

function ofSocket(error: unknown, fail: Fail): RegistryError {
  const code = codeOf(error);
  if (isNotAllowed(error)) return fail('not-allowed', NOT_ALLOWED);
  if (error instanceof ConnectTimeout) {
    return fail('unreachable', 'accepted no connection in time; check the address and the network in between');
  }
  if (code === 'ECONNREFUSED')
    return fail('unreachable', 'refused the connection; check the address, and that it runs');
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return fail('unreachable', 'could not be found by name; check the address and the DNS');
  }
  if (UNROUTABLE.has(code))
    return fail('unreachable', 'cannot be reached over the network; check the address and the routes');
  if (isCertificate(code)) {
    return fail(
      'unreachable',
      `has a certificate that was not accepted (${code}); check spec.consul.tls.caSecretRef and serverName`,
    );
  }
  if (/^ERR_SSL_.*ALERT_.*(CERTIFICATE|UNKNOWN_CA)/.test(code)) {
    return fail(
      'unreachable',
      `does not accept our certificate, or wants one (${code}); check spec.consul.tls.certSecretRef`,
    );
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    return fail(
      'protocol',
      `and this side could not agree on TLS (${code}); check http or https, and the certificates`,
    );
  }
  if (code.startsWith('HPE_')) return fail('protocol', 'did not answer with HTTP; check the port', { sent: true });
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED') {
    return fail('unreachable', 'broke the connection before it had answered', { sent: true });
  }
  return fail('protocol', `could not be asked (${code === '' ? 'unexpected error' : code})`, { sent: true });
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

/** Seconds only: a date would have to be compared with the wall clock of another machine. */
function retryAfter(header: unknown): number | undefined {
  return typeof header === 'string' && /^\d{1,5}$/.test(header) ? Number(header) * 1_000 : undefined;
}

export function responseOf(error: unknown): Response | undefined {
  if (!has(error, 'isResponse') || !has(error, 'response')) return undefined;
  const { response } = error;
  if (!has(response, 'statusCode') || !has(response, 'headers') || typeof response.statusCode !== 'number')
    return undefined;
  const headers = typeof response.headers === 'object' && response.headers !== null ? { ...response.headers } : {};
  return { statusCode: response.statusCode, headers, body: has(response, 'body') ? response.body : undefined };
}

const codeOf = (error: unknown): string => (has(error, 'code') && typeof error.code === 'string' ? error.code : '');

function has<K extends string>(value: unknown, key: K): value is Record<K, unknown> {
  return typeof value === 'object' && value !== null && key in value;
}
