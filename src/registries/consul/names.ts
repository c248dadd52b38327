import { RegistryError } from '../error.ts';

/**
 * Of a name or key that goes into the path of a request. Consul redirects paths with empty, `.` and `..` parts to other paths, and answers what it
 * cannot print with an empty 400, which anything else in its place may do as well.
 */
export function assertAddressable(operation: string, name: string): void {
  const rule = brokenRule(name);
  if (rule !== undefined) throw new RegistryError('invalid', `${operation}: Consul has no place for a name ${rule}`);
}

function brokenRule(name: string): string | undefined {
  if (!name.isWellFormed()) return 'that is not valid Unicode';
  if (!PRINTABLE.test(name)) return 'with characters that cannot be printed, or with spaces other than the plain one';
  const parts = name.split('/');
  return parts.some((part) => part === '' || part === '.' || part === '..')
    ? 'with parts between slashes that are empty or dots'
    : undefined;
}

/** `unicode.IsPrint` of Go. */
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u;
