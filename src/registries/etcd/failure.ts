import { AddressNotAllowed, NOT_ALLOWED } from '../address-rule.ts';
import { RegistryError, type RegistryErrorCode } from '../error.ts';

/** The codes of gRPC that are told apart here. */
const Status = {
  CANCELLED: 1,
  DEADLINE_EXCEEDED: 4,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

export interface FailedCall {
  /** `list`, `apply` …: begins the message. */
  readonly operation: string;
  /** A write whose answer got lost may have happened. */
  readonly writes: boolean;
  /** Scheme, host and port. */
  readonly origin: string;
}

/** What a failed call means to the one who made it, where the code of the error does not say. */
export type Refusal =
  | 'request-too-large'
  | 'too-many-operations'
  | 'answer-too-large'
  | 'full'
  | 'compacted'
  | 'no-lease'
  | 'stale-token'
  | 'no-authentication';

/** The answer of a server, without its words: they may hold keys and values. */
class EtcdStatus extends Error {
  override readonly name = 'EtcdStatus';
  readonly refusal: Refusal | undefined;

  constructor(code: number, refusal?: Refusal) {
    super(`gRPC status ${code}`);
    this.refusal = refusal;
  }
}

export const refusalIn = (error: unknown): Refusal | undefined =>
  error instanceof RegistryError && error.cause instanceof EtcdStatus ? error.cause.refusal : undefined;

/** The outcome of a call as gRPC tells it. */
export interface StatusAnswer {
  readonly code: number;
  readonly details: string;
}

/** A stream that the server ended, and what it said. */
export class Ended extends Error {
  override readonly name = 'Ended';
  readonly answer: StatusAnswer;

  constructor(details: string, code: number = Status.UNAVAILABLE) {
    super('the stream ended');
    this.answer = { code, details };
  }
}

/** A stream that brings nothing. */
export const endedInSilence = (): Ended => new Ended('', Status.DEADLINE_EXCEEDED);

interface Verdict {
  readonly code: RegistryErrorCode;
  readonly sentence: string;
  /** The request went out, and nobody says that it was not carried out. */
  readonly sent?: boolean;
  readonly refusal?: Refusal;
}

export function failureOf(answer: StatusAnswer, { operation, writes, origin }: FailedCall): RegistryError {
  const { code, sentence, sent, refusal } = verdictOn(answer);
  return new RegistryError(code, `${operation}: etcd at ${origin} ${sentence}`, {
    cause: new EtcdStatus(answer.code, refusal),
    ambiguous: writes && sent === true,
  });
}

export function connectTimeout({ operation, origin }: FailedCall): RegistryError {
  return new RegistryError('unreachable', `${operation}: etcd at ${origin} ${NO_CONNECTION}`);
}

const NO_CONNECTION = 'took no connection in time; check the address, http or https, and the network in between';

function verdictOn({ code, details }: StatusAnswer): Verdict {
  const told = SENTENCES.find(([words]) => details.includes(words) && !isWebPage(details));
  if (told !== undefined) return told[1];
  if (isOfServer(details)) return ofServer(code);
  switch (code) {
    case Status.UNAVAILABLE:
      return unavailable(details);
    case Status.DEADLINE_EXCEEDED:
      if (/waiting for (LB pick|name resolution)/i.test(details))
        return { code: 'unreachable', sentence: NO_CONNECTION };
      return {
        code: 'timeout',
        sentence: 'did not answer in time; it is overloaded or frozen, or spec.timeouts.requestSeconds is too short',
        sent: true,
      };
    case Status.PERMISSION_DENIED:
      return FORBIDDEN;
    case Status.UNAUTHENTICATED:
      return UNAUTHORIZED;
    case Status.CANCELLED:
    case Status.INTERNAL:
      if (details.includes('without gRPC status')) return NOT_ETCD;
      if (/RST_STREAM|ECONNRESET|EPIPE|Connection (dropped|closed)|socket/i.test(details)) return BROKEN;
      return NOT_ETCD;
    default:
      return NOT_ETCD;
  }
}

const FORBIDDEN: Verdict = {
  code: 'forbidden',
  sentence:
    'does not allow this to the user; give its role readwrite on the prefixes of the layout and of spec.etcd.prefix',
};

const UNAUTHORIZED: Verdict = {
  code: 'unauthorized',
  sentence: 'wants other credentials; check the Secrets of spec.etcd.usernameSecretRef and passwordSecretRef',
};

const BROKEN: Verdict = { code: 'unreachable', sentence: 'broke the connection before it had answered', sent: true };

const NOT_ETCD: Verdict = {
  code: 'protocol',
  sentence: 'answered something that etcd does not; check that the address is that of the client port of an etcd 3',
  sent: true,
};

/** Words by which etcd and gRPC say it; they stand in the sources of both, and in no list that a program could ask for. */
const SENTENCES: readonly (readonly [words: string, verdict: Verdict])[] = [
  ['etcdserver: user name is empty', UNAUTHORIZED_WITHOUT()],
  ['etcdserver: authentication failed', UNAUTHORIZED],
  ['etcdserver: invalid auth token', { ...UNAUTHORIZED, refusal: 'stale-token' }],
  ['etcdserver: revision of auth store is old', { ...UNAUTHORIZED, refusal: 'stale-token' }],
  ['etcdserver: authentication is not enabled', { ...UNAUTHORIZED, refusal: 'no-authentication' }],
  ['etcdserver: permission denied', FORBIDDEN],
  ['etcdserver: request is too large', TOO_LARGE()],
  ['grpc: received message larger than max', TOO_LARGE()],
  [
    'too many operations in txn request',
    {
      code: 'too-large',
      sentence: 'takes fewer operations at once; raise --max-txn-ops',
      refusal: 'too-many-operations',
    },
  ],
  [
    'Received message larger than max',
    { code: 'too-large', sentence: 'holds values too large to be read here; remove them', refusal: 'answer-too-large' },
  ],
  [
    'database space exceeded',
    {
      code: 'too-large',
      sentence: 'is full; compact and defragment it or raise --quota-backend-bytes, then disarm its NOSPACE alarm',
      refusal: 'full',
    },
  ],
  [
    'requested lease not found',
    {
      code: 'conflict',
      sentence: 'loses the leases of entries again and again; raise spec.etcd.ttlSeconds',
      refusal: 'no-lease',
    },
  ],
  ['etcdserver: too many requests', { code: 'rate-limited', sentence: 'takes no more requests for now; give it time' }],
  [
    'required revision has been compacted',
    { code: 'conflict', sentence: 'was compacted while it was read; compact it less often', refusal: 'compacted' },
  ],
];

function UNAUTHORIZED_WITHOUT(): Verdict {
  return {
    code: 'unauthorized',
    sentence: 'wants credentials; set spec.etcd.usernameSecretRef and passwordSecretRef, or tls.certSecretRef',
    refusal: 'stale-token',
  };
}

function TOO_LARGE(): Verdict {
  return {
    code: 'too-large',
    sentence: 'takes no request of this size; raise --max-request-bytes there, or use less metadata',
    refusal: 'request-too-large',
  };
}

/** Its first bytes, taken for the length of a message. */
const isWebPage = (details: string): boolean => /message larger than max \(\d{10,}/.test(details);

const isOfServer = (details: string): boolean => /etcdserver: |auth: |mvcc: /.test(details);

function ofServer(code: number): Verdict {
  if (code === Status.UNAUTHENTICATED) return UNAUTHORIZED;
  if (code === Status.PERMISSION_DENIED) return FORBIDDEN;
  if (code === Status.RESOURCE_EXHAUSTED) {
    return { code: 'rate-limited', sentence: 'takes no more for now; see its log' };
  }
  return CANNOT_SERVE;
}

/** Also when the leader was lost with the write half way. */
const CANNOT_SERVE: Verdict = {
  code: 'unavailable',
  sentence: 'cannot serve now; see its log, it may be without a leader',
  sent: true,
};

/** No connection, and why; or one that broke. */
function unavailable(details: string): Verdict {
  const before = (sentence: string, code: RegistryErrorCode = 'unreachable'): Verdict => ({ code, sentence });
  if (details.includes(AddressNotAllowed.code)) return before(NOT_ALLOWED, 'not-allowed');
  if (details.includes('Name resolution failed') || /ENOTFOUND|EAI_AGAIN/.test(details)) {
    return before('could not be found by name; check the address and the DNS');
  }
  if (details.includes('Received HTTP status code'))
    return { ...CANNOT_SERVE, sentence: 'is behind a proxy that does not reach it' };
  if (!/No connection established|Channel closed before call|LB pick/.test(details)) return BROKEN;
  if (details.includes('ECONNREFUSED')) return before('refused the connection; check the address, and that it runs');
  if (/EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|ETIMEDOUT|EADDRNOTAVAIL/.test(details)) {
    return before('cannot be reached over the network; check the address and the routes');
  }
  if (details.includes('Failed to connect'))
    return before('closed the connection at once; check the port, and http or https');
  if (/ alert /.test(details)) {
    return before('does not accept our certificate, or wants one; check spec.etcd.tls.certSecretRef');
  }
  if (/certificate|altnames|self-signed|issuer|CERT_/i.test(details)) {
    return before('has a certificate that was not accepted; check spec.etcd.tls.caSecretRef and serverName');
  }
  return before('makes no gRPC connection; check the port, http or https, and the certificates', 'protocol');
}
