import { AddressNotAllowed, NOT_ALLOWED } from '../address-rule.ts';
import { RegistryError, type RegistryErrorCode } from '../error.ts';

/** The codes of gRPC that are told apart here. */
const Status = { CANCELLED: 1, DEADLINE_EXCEEDED: 4, RESOURCE_EXHAUSTED: 8, UNAVAILABLE: 14 } as const;

/** The codes of NacosException that are told apart here. */
const Answer = {
  DISCONNECTED: -401,
  STARTING: 300,
  UNREGISTERED: 301,
  NO_HANDLER: 302,
  INVALID: 400,
  FORBIDDEN: 403,
  CONFLICT: 409,
  SERVER_ERROR: 500,
  OVER_THRESHOLD: 503,
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
type Meaning = 'stale-connection' | 'stale-token';

/** The answer of a server, without its words: they may hold names and values. */
class NacosAnswer extends Error {
  override readonly name = 'NacosAnswer';
  readonly meaning: Meaning | undefined;

  constructor(message: string, meaning?: Meaning) {
    super(message);
    this.meaning = meaning;
  }
}

export const meaningOf = (error: unknown): Meaning | undefined =>
  error instanceof RegistryError && error.cause instanceof NacosAnswer ? error.cause.meaning : undefined;

interface Verdict {
  readonly code: RegistryErrorCode;
  readonly sentence: string;
  /** The request went out, and nobody says that it was not carried out. */
  readonly sent?: boolean;
  readonly meaning?: Meaning;
}

/** What gRPC says of a call that got no answer. */
export const ofStatus = (
  status: { readonly code: number; readonly details: string },
  call: FailedCall,
): RegistryError => errorOf(verdictOnStatus(status), `gRPC status ${status.code}`, call);

/** What Nacos answers when it does not do what it was asked. */
export const ofAnswer = (code: number, words: string, call: FailedCall): RegistryError =>
  errorOf(verdictOnAnswer(code, words), `Nacos code ${code}`, call);

export const notNacos = (call: FailedCall): RegistryError => errorOf(NOT_NACOS, 'not an answer of Nacos', call);

export const noConnection = (call: FailedCall): RegistryError => errorOf(NO_CONNECTION, 'no connection', call);

/** A connection that broke under a call. */
export const broken = (call: FailedCall): RegistryError => errorOf(BROKEN, 'broken connection', call);

function errorOf({ code, sentence, sent, meaning }: Verdict, cause: string, { operation, writes, origin }: FailedCall) {
  return new RegistryError(code, `${operation}: Nacos at ${origin} ${sentence}`, {
    cause: new NacosAnswer(cause, meaning),
    ambiguous: writes && sent === true,
  });
}

const BROKEN: Verdict = { code: 'unreachable', sentence: 'broke the connection before it had answered', sent: true };

const NO_CONNECTION: Verdict = {
  code: 'unreachable',
  sentence: 'took no gRPC connection in time; check the address, http or https, and the network in between',
};

const NOT_NACOS: Verdict = {
  code: 'protocol',
  sentence: 'answered something that Nacos does not; check that its gRPC port is the HTTP port + 1000',
  sent: true,
};

function verdictOnStatus({ code, details }: { readonly code: number; readonly details: string }): Verdict {
  switch (code) {
    case Status.UNAVAILABLE:
      return unavailable(details);
    case Status.DEADLINE_EXCEEDED:
      return {
        code: 'timeout',
        sentence: 'did not answer in time; it is overloaded or frozen, or spec.timeouts.requestSeconds is too short',
        sent: true,
      };
    case Status.RESOURCE_EXHAUSTED:
      return /message larger than max/i.test(details) && !/\d{10,}/.test(details) ? TOO_LARGE : NOT_NACOS;
    case Status.CANCELLED:
      // What the server does with a message over its 10 MiB.
      return BROKEN;
    default:
      return /RST_STREAM|ECONNRESET|EPIPE|Connection (dropped|closed)|socket|without gRPC status/i.test(details)
        ? BROKEN
        : NOT_NACOS;
  }
}

const TOO_LARGE: Verdict = {
  code: 'too-large',
  sentence: 'takes no request of this size; put fewer instances into one service, or use less metadata',
};

function unavailable(details: string): Verdict {
  const before = (sentence: string, code: RegistryErrorCode = 'unreachable'): Verdict => ({ code, sentence });
  if (details.includes(AddressNotAllowed.code)) return before(NOT_ALLOWED, 'not-allowed');
  if (details.includes('Name resolution failed') || /ENOTFOUND|EAI_AGAIN/.test(details)) {
    return before('could not be found by name; check the address and the DNS');
  }
  if (details.includes('Received HTTP status code')) {
    return { code: 'unavailable', sentence: 'is behind a proxy that does not reach it', sent: true };
  }
  if (!/No connection established|Channel closed before call|LB pick/.test(details)) return BROKEN;
  if (details.includes('ECONNREFUSED')) {
    return before(
      'refused the gRPC connection; check that it runs and that its gRPC port, the HTTP port + 1000, is open',
    );
  }
  if (/EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|ETIMEDOUT|EADDRNOTAVAIL/.test(details)) {
    return before('cannot be reached over the network; check the address and the routes');
  }
  if (details.includes('Failed to connect')) {
    return before('closed the connection at once; check the port, and http or https');
  }
  if (/ alert /.test(details)) {
    return before('does not accept our certificate, or wants one; check spec.nacos.tls.certSecretRef');
  }
  if (/certificate|altnames|self-signed|issuer|CERT_/i.test(details)) {
    return before('has a certificate that was not accepted; check spec.nacos.tls.caSecretRef and serverName');
  }
  return before('makes no gRPC connection; check the port, http or https, and the certificates', 'protocol');
}

function verdictOnAnswer(code: number, words: string): Verdict {
  switch (code) {
    case Answer.DISCONNECTED:
    case Answer.UNREGISTERED:
      return { code: 'unreachable', sentence: 'has forgotten the connection', meaning: 'stale-connection' };
    case Answer.STARTING:
      return { code: 'unavailable', sentence: 'is starting; give it time' };
    case Answer.NO_HANDLER:
      return { code: 'unsupported', sentence: 'does not know this request; it is older than Nacos 2.1' };
    case Answer.FORBIDDEN:
      return /authorization failed/i.test(words)
        ? {
            code: 'forbidden',
            sentence: 'does not allow this to the user; give its role read and write on the namespace',
          }
        : {
            code: 'unauthorized',
            sentence:
              'wants other credentials; check the Secrets of spec.nacos.usernameSecretRef and passwordSecretRef',
            meaning: 'stale-token',
          };
    case Answer.OVER_THRESHOLD:
      return { code: 'rate-limited', sentence: 'takes no more requests for now; raise its limits if this goes on' };
    case Answer.CONFLICT:
    case Answer.INVALID:
      return invalid(words);
    case Answer.SERVER_ERROR:
      return { code: 'unavailable', sentence: 'cannot serve now; see its log, it may be without a leader', sent: true };
    default:
      return { code: 'unavailable', sentence: `answered with code ${code}; see its log`, sent: true };
  }
}

/** Nacos has one code for all that it does not take. */
function invalid(words: string): Verdict {
  const kind = /is (ephemeral|persistent) service/.exec(words)?.[1];
  if (kind === undefined) return { code: 'invalid', sentence: 'does not take this entry; its log says why' };
  const [stands, wanted] = kind === 'ephemeral' ? ['leased', 'persistent'] : ['persistent', 'leased'];
  return { code: 'conflict', sentence: oneKind(stands, wanted) };
}

/** Also said of the HTTP API. */
export const oneKind = (stands: string, wanted: string): string =>
  `holds ${stands} entries under this service name and takes no ${wanted} ones beside them; use another name or spec.nacos.group, ` +
  'or remove them and wait a minute until Nacos has dropped the empty service';
