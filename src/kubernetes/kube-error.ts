import { isFields } from '../api/metadata.ts';

export interface KubeErrorDetails {
  readonly retryAfterMs?: number | undefined;
  /** Name of the object that a Status of the API server speaks of. */
  readonly objectName?: string | undefined;
  readonly cause?: unknown;
}

/**
 * What the API server answered, or that it did not answer. Never holds a header, a credential or a body that is not a Status.
 */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status; 0: no answer, so a write may have happened. */
  readonly status: number;
  /** `reason` of the Status (`NotFound`, `Expired`, `Conflict` …); without a Status `Unreachable`, `Timeout`, `Malformed` or `Unknown`. */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;
  readonly objectName: string | undefined;

  constructor(status: number, reason: string, message: string, details: KubeErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = details.retryAfterMs;
    this.objectName = details.objectName;
  }
}

/** From a `Status` object, as the body of an answer or in an ERROR event of a watch. */
export function fromStatus(
  status: unknown,
  fallback: { readonly code: number; readonly what: string; readonly retryAfterMs?: number | undefined },
): KubeError {
  if (!isFields(status) || status['kind'] !== 'Status') {
    return new KubeError(
      fallback.code,
      'Unknown',
      `${fallback.what}: the API server answered ${fallback.code}`,
      fallback,
    );
  }
  const details = isFields(status['details']) ? status['details'] : {};
  const code = typeof status['code'] === 'number' ? status['code'] : fallback.code;
  const reason = typeof status['reason'] === 'string' && status['reason'] !== '' ? status['reason'] : 'Unknown';
  const message = typeof status['message'] === 'string' ? status['message'] : `status ${code}`;
  const seconds = details['retryAfterSeconds'];
  return new KubeError(code, reason, `${fallback.what}: ${message}`, {
    retryAfterMs: fallback.retryAfterMs ?? (typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : undefined),
    objectName: typeof details['name'] === 'string' ? details['name'] : undefined,
  });
}

/** A connection that failed, with the code of the failure and nothing else of it. */
export function fromTransport(error: unknown, what: string): KubeError {
  if (error instanceof KubeError) return error;
  const code = codeOf(error);
  const timedOut = /TIMEOUT|TIMEDOUT/.test(code);
  return new KubeError(0, timedOut ? 'Timeout' : 'Unreachable', `${what}: no answer from the API server (${code})`, {
    cause: error,
  });
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.cause === undefined ? error.name : codeOf(error.cause);
}
