/**
 * invalid: this registry cannot hold what was asked; no retry will help.
 * unauthorized, forbidden: credentials. not-found: datacenter, namespace or partition is missing.
 * conflict: another writer was there first; read again. rate-limited: later, see `retryAfterMs`. too-large: over a limit of the server.
 * unreachable: no connection, so nothing was written, or a connection that broke before the answer (then with `ambiguous`).
 * timeout: no answer in time, so it may have been written.
 * protocol: the answer was not one of this registry. unavailable: the server says that it cannot serve now (no leader, 5xx).
 * owned: another operator writes for this cluster name here. fenced: what this client claimed has been claimed anew, or is gone; nothing was written.
 * not-allowed: the address is one that this client may not connect to; nothing was sent.
 * aborted: by the caller's signal. closed: used after close. unsupported: the registry has no such operation.
 */
export type RegistryErrorCode =
  | 'invalid'
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'rate-limited'
  | 'too-large'
  | 'unreachable'
  | 'timeout'
  | 'protocol'
  | 'unavailable'
  | 'owned'
  | 'fenced'
  | 'not-allowed'
  | 'aborted'
  | 'closed'
  | 'unsupported';

export interface RegistryErrorDetails {
  readonly cause?: unknown;
  readonly retryAfterMs?: number;
  /** True when the write may have happened although no answer came: what stands in the registry must be read again. */
  readonly ambiguous?: boolean;
  readonly operation?: string;
  readonly context?: ErrorContext;
}

/** Where it happened: the type and name of the registry, what was asked of it. Facts for a log; never a credential. */
export type ErrorContext = Readonly<Record<string, string | number>>;

/**
 * The one error of all registries. Neither the message nor the context ever holds a credential or a response body. `operation` and `context` are
 * there on every error that leaves a registry made by `createRegistry`.
 */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  readonly code: RegistryErrorCode;
  readonly retryAfterMs: number | undefined;
  readonly ambiguous: boolean;
  readonly operation: string | undefined;
  readonly context: ErrorContext;

  constructor(code: RegistryErrorCode, message: string, details: RegistryErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.code = code;
    this.retryAfterMs = details.retryAfterMs;
    this.ambiguous = details.ambiguous ?? false;
    this.operation = details.operation;
    this.context = details.context ?? {};
  }

  /** The same error, told with where it happened; one that knows its operation already stays as it is. */
  during(operation: string, context: ErrorContext): RegistryError {
    if (this.operation !== undefined) return this;
    const { code, message, cause, retryAfterMs, ambiguous } = this;
    const details = { cause, ambiguous, operation, context: { ...context, ...this.context } };
    const told = new RegistryError(code, message, { ...details, ...(retryAfterMs !== undefined && { retryAfterMs }) });
    if (this.stack !== undefined) told.stack = this.stack;
    return told;
  }

  static from(error: unknown, operation: string): RegistryError {
    if (error instanceof RegistryError) return error;
    if (error instanceof Error && error.name === 'AbortError') {
      return new RegistryError('aborted', `${operation} was cancelled`, { cause: error, ambiguous: true });
    }
    return new RegistryError('protocol', `${operation} failed unexpectedly`, { cause: error, ambiguous: true });
  }
}

/** Whoever asked does not want it any more. `ambiguous`: something of it may have been written. */
export const cancelled = (operation: string, { reason }: AbortSignal, ambiguous = false): RegistryError =>
  new RegistryError('aborted', `${operation} was cancelled`, { cause: reason, ambiguous });

/** Codes after which the registry, not the request, is what is wrong: everything for it waits until it answers again. */
export const meansUnreachable = (code: RegistryErrorCode): boolean =>
  code === 'unreachable' ||
  code === 'timeout' ||
  code === 'unavailable' ||
  code === 'protocol' ||
  code === 'not-allowed';
