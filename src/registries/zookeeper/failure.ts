import { isNotAllowed, NOT_ALLOWED } from '../address-rule.ts';
import { RegistryError, type RegistryErrorCode } from '../error.ts';
import { CODES, NotZooKeeper, Refused } from './codes.ts';
import type { Endpoint } from './dial.ts';
import { ConnectionLost } from './loss.ts';

export interface FailedCall {
  /** `list`, `apply` …: begins the message. */
  readonly operation: string;
  /** The request would have changed something, and went out: without an answer nobody knows. */
  readonly sentWrite: boolean;
  readonly endpoint: Endpoint;
}

/** Whatever a request ended with, as the one error of all registries. */
export function failureOf(error: unknown, { operation, sentWrite, endpoint }: FailedCall): RegistryError {
  if (error instanceof RegistryError) return error;
  const fail: Fail = (code, sentence, ambiguous = false) =>
    new RegistryError(code, `${operation}: ZooKeeper at ${shown(endpoint)} ${sentence}`, {
      cause: error,
      ambiguous: ambiguous && sentWrite,
    });
  if (error instanceof Refused) return ofCode(error.code, fail);
  if (error instanceof ConnectionLost) return ofLoss(error, fail);
  if (error instanceof NotZooKeeper) return fail('protocol', NOT_ZOOKEEPER, true);
  return fail('protocol', 'could not be asked (unexpected error)', true);
}

type Fail = (code: RegistryErrorCode, sentence: string, ambiguous?: boolean) => RegistryError;

const NOT_ZOOKEEPER =
  'answered something that ZooKeeper does not; check that the port is its client port (2181 as a rule), or with spec.zookeeper.tls its secureClientPort';

/** What the server says of a request that reached it. */
export function ofCode(code: number, fail: Fail): RegistryError {
  switch (code) {
    case CODES.noAuth:
      return fail('forbidden', `does not allow this (ACL); ${CREDENTIALS} an account that may read and write there`);
    case CODES.authFailed:
    case CODES.needsAuthentication:
      return fail('unauthorized', `does not take the credentials; ${CREDENTIALS} user:password of an account there`);
    case CODES.invalidAcl:
      return fail('unauthorized', `does not know the account of the credentials; ${CREDENTIALS} user:password`);
    case CODES.quotaExceeded:
      return fail('too-large', 'takes no more: a quota of the path is full; raise it there');
    case CODES.throttled:
      return fail('rate-limited', 'takes no more requests for now; raise its throttling limits if this goes on');
    case CODES.sessionExpired:
    case CODES.sessionMoved:
      return fail('unreachable', 'had given up the session; a new one is opened with the next request');
    case CODES.notReadOnly:
      return fail('unavailable', 'is read-only now: it has lost its quorum');
    case CODES.badArguments:
      return fail('invalid', 'does not take a path that was asked for; its log says why');
    case CODES.notEmpty:
      return fail('conflict', 'keeps the node, because someone else put others below it; remove those there');
    case CODES.noChildrenForEphemerals:
      return fail('conflict', 'has an ephemeral node in place of the node of a service; someone else must remove it');
    case CODES.noNode:
      return fail('conflict', 'lacks a node that was just there; someone else removes nodes, try again');
    default:
      return fail('protocol', `answered with error ${code}, which was not expected; see its log`, true);
  }
}

const CREDENTIALS = 'put into the Secret of spec.zookeeper.digestAuthSecretRef';

function ofLoss({ loss, cause }: ConnectionLost, fail: Fail): RegistryError {
  switch (loss) {
    case 'unreached':
      if (isNotAllowed(cause)) return fail('not-allowed', NOT_ALLOWED);
      return fail('unreachable', notReached(codeOf(cause)));
    case 'insecure':
      return ofHandshake(codeOf(cause), fail);
    case 'ungreeted':
      return fail('timeout', NOT_GREETED);
    case 'hung-up':
      // The end of a handshake may come after its beginning was taken for the whole.
      return isTls(codeOf(cause)) ? ofHandshake(codeOf(cause), fail) : fail('unreachable', HUNG_UP, true);
    case 'silent':
      return fail(
        'timeout',
        'did not answer in time; it is overloaded or frozen, or spec.timeouts is too short for it',
        true,
      );
    case 'garbled':
      return fail('protocol', NOT_ZOOKEEPER, true);
    case 'expired':
      return ofCode(CODES.sessionExpired, fail);
    case 'unauthorized':
      return ofCode(CODES.authFailed, fail);
    case 'closed':
      return fail('unreachable', 'was being left for another server', true);
  }
}

function ofHandshake(code: string, fail: Fail): RegistryError {
  if (isCertificate(code)) {
    const sentence = `has a certificate that was not accepted (${code}); check spec.zookeeper.tls.caSecretRef and serverName`;
    return fail('unreachable', sentence);
  }
  if (code.includes('ALERT')) {
    const sentence = `does not accept our certificate, or wants one (${code}); check spec.zookeeper.tls.certSecretRef`;
    return fail('unreachable', sentence);
  }
  const port = 'check that the port is its secureClientPort, and that both sides speak TLS 1.2 or later';
  return fail('unreachable', `began no TLS${code === '' ? '' : ` (${code})`}; ${port}`);
}

const isTls = (code: string): boolean => code === 'EPROTO' || code.startsWith('ERR_SSL_') || isCertificate(code);

const isCertificate = (code: string): boolean =>
  code.startsWith('ERR_TLS_') || code.startsWith('CERT_') || /^(DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code);

const HUNG_UP =
  'closed the connection; it has no quorum, takes no more connections from here (maxClientCnxns), wants TLS or a client certificate, or was sent too much';

const NOT_GREETED =
  'took the connection and said nothing in time; it is overloaded or frozen, or waits for another protocol: check that the port is its client port (2181 as a rule), or with spec.zookeeper.tls its secureClientPort';

function notReached(code: string): string {
  if (code === 'ECONNRESET' || code === 'EPIPE') return HUNG_UP;
  if (code === 'ECONNREFUSED') return 'refused the connection; check the address, and that it runs';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'could not be found by name; check the address and the DNS';
  if (code === '') return 'accepted no connection in time; check the address and the network in between';
  return `cannot be reached over the network (${code}); check the address and the routes`;
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

export const shown = ({ host, port }: Endpoint): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
