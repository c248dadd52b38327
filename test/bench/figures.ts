// Figures with their targets: printed as a table, kept as JSON.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { table } from '../../src/cli/table.ts';

export type Figure = {
  readonly part: string;
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** Absent: told for information. */
  readonly target?: { readonly atMost?: number; readonly atLeast?: number; readonly text: string };
  /** All single values, where `value` is the median of several runs. */
  readonly runs?: readonly number[];
};

/** Takes one figure. */
export type Add = (
  part: string,
  name: string,
  value: number,
  unit: string,
  target?: Figure['target'],
  runs?: readonly number[],
) => void;

/** `ok`, `missed`, or nothing to reach. */
export function verdict({ value, target }: Figure): 'ok' | 'missed' | '' {
  if (target === undefined) return '';
  const { atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY } = target;
  return value <= atMost && value >= atLeast ? 'ok' : 'missed';
}

export const atMost = (limit: number, text: string) => ({ atMost: limit, text: `≤ ${text}` });
export const atLeast = (limit: number, text: string) => ({ atLeast: limit, text: `≥ ${text}` });

export function render(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const spread = figure.runs === undefined || figure.runs.length < 2 ? '' : ` (${range(figure.runs)})`;
    const { part, name, unit, target } = figure;
    return [part, name, `${shown(figure.value)} ${unit}${spread}`, target?.text ?? '-', verdict(figure) || '-'];
  });
  return table(['PART', 'FIGURE', 'MEASURED', 'TARGET', 'RESULT'], rows);
}

const range = (runs: readonly number[]): string => `${shown(Math.min(...runs))} to ${shown(Math.max(...runs))}`;

function shown(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export async function save(path: string, content: object): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(content, null, 2)}\n`);
}

/** The smallest value that at least this share of all does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);
