import { type DestinationStream, pino } from 'pino';
import type { Change } from '../mirror/change.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

type Write = (fields: object, message: string) => void;

/** The message is constant; what varies is a field: `registry, namespace, service, instance, action, reason, evidence, durationMs, error`. */
export interface Log {
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Standard output when absent. */
  readonly destination?: DestinationStream;
}

/** One JSON object a line, with `level`, `time` (RFC 3339) and `msg`. Credentials never leave, see {@link redacted}. */
export function createLog({ level, destination }: LogOptions): Log {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: createTimestamp(),
      formatters: { level: (label) => ({ level: label }), log: redactedFields },
      // pino would print every own property of an error: bodies and headers of requests among them.
      serializers: { err: (error: unknown) => error },
    },
    destination ?? standardOutput(),
  );
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
  };
}

/** As pino's isoTime; of a batch of changes most lines have one. */
function createTimestamp(): () => string {
  let at = Number.NaN;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== at) text = `,"time":"${new Date(now).toISOString()}"`;
    at = now;
    return text;
  };
}

/**
 * The lines of one turn of the event loop in one write: a batch of changes is a hundred lines. Synchronous, and no later than the process ends:
 * the last line before a crash is the one that is needed.
 */
function standardOutput(): DestinationStream {
  const output = pino.destination({ dest: 1, sync: true });
  let lines = '';
  const flush = () => {
    const text = lines;
    lines = '';
    if (text !== '') output.write(text);
  };
  process.once('exit', flush);
  return {
    write(line) {
      if (lines === '') setImmediate(flush);
      lines += line;
    },
  };
}

export interface Written {
  readonly registry: string;
  readonly change: Change;
  /** Code of the registry's error; absent when the registry acknowledged. */
  readonly error?: string;
  readonly durationMs: number;
}

const PAST = {
  register: 'instance registered',
  update: 'instance updated',
  deregister: 'instance deregistered',
} as const;

/** The one line that each change leaves behind. */
export function logChange(log: Log, { registry, change, error, durationMs }: Written): void {
  const { id, service: name, marks } = change.instance;
  const [namespace, service] = marks.owner.split('/');
  const { action, reason } = change;
  const fields = {
    registry,
    namespace,
    service,
    name,
    instance: id,
    action,
    reason,
    ...(change.action === 'deregister' && change.evidence !== undefined && { evidence: change.evidence }),
    durationMs: Math.round(durationMs),
  };
  if (error === undefined) log.info(fields, PAST[action]);
  else log.warn({ ...fields, error }, 'change not written');
}

const REDACTED = '[redacted]';
const MAX_DEPTH = 6;

/** By the last word of the name: `token`, `x-consul-token`, `clientKey`; a reference such as `tokenSecretRef` may be shown. */
const SECRET_NAME = /(?:^|[^a-z0-9])(?:token|password|passphrase|secret|authorization|cookie|ca|key)$/;
const SEEN_NAMES = 1_000;
const seenNames = new Map<string, boolean>();

/** Most names come with every line. */
function isSecretName(name: string): boolean {
  const seen = seenNames.get(name);
  if (seen !== undefined) return seen;
  const is = SECRET_NAME.test(name.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase());
  if (seenNames.size < SEEN_NAMES) seenNames.set(name, is);
  return is;
}

const SECRET_TEXT: readonly (readonly [RegExp, string])[] = [
  [/(:\/\/)[^/\s@]+@/g, `$1${REDACTED}@`],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, `$1 ${REDACTED}`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
];

/** Something of each of them: most texts are told apart by one look. */
const SUSPECT = /:\/\/|bearer|basic|-----BEGIN/i;

const redactedText = (text: string): string =>
  SUSPECT.test(text)
    ? SECRET_TEXT.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), text)
    : text;

/** Of a line that tells of a change nothing is, and it is not copied. */
const isSuspect = ([name, value]: readonly [string, unknown]): boolean =>
  isSecretName(name) || (typeof value === 'string' ? SUSPECT.test(value) : typeof value === 'object');

function redactedFields(fields: object, depth = 0): Record<string, unknown> {
  const entries = Object.entries(fields);
  if (!entries.some(isSuspect)) return fields as Record<string, unknown>;
  const shown = entries.map(([name, value]): [string, unknown] => [
    name,
    isSecretName(name) && value !== undefined ? REDACTED : redacted(value, depth + 1),
  ]);
  return Object.fromEntries(shown);
}

/**
 * At any depth, unlike pino's own paths: values under the name of a secret, credentials inside URLs, bearer tokens and
 * private keys inside text. Of an error only name, code, message, stack and cause are kept.
 */
function redacted(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactedText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return '[deep]';
  if (value instanceof Error) return redactedError(value, depth);
  if (Array.isArray(value)) return value.map((item) => redacted(item, depth + 1));
  return redactedFields(value, depth);
}

function redactedError(error: Error, depth: number): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  return {
    name,
    message: redactedText(message),
    ...('code' in error && { code: redacted(error.code, depth + 1) }),
    ...(depth === 1 && stack !== undefined && { stack: redactedText(stack) }),
    ...(cause !== undefined && { cause: redacted(cause, depth + 1) }),
  };
}
