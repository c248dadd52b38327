/** JSON that anybody may have written. */

type Fields = Readonly<Record<string, unknown>>;

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const fieldsOf = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;

export const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export const number = (value: unknown, otherwise: number): number => (typeof value === 'number' ? value : otherwise);

/** Sorted, each once. */
export const texts = (value: unknown): readonly string[] =>
  Array.isArray(value) ? [...new Set(value.filter((one) => typeof one === 'string'))].sort() : [];

export const pairs = (value: unknown): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(fieldsOf(value) ?? {}).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  );
