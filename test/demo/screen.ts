// What the demo prints: short lines, and colour only where somebody looks.
import { table } from '../../src/cli/table.ts';
import type { Entry } from './registry-view.ts';

// Who has seen enough (`make demo | head`) must not keep the demo from cleaning up.
process.stdout.on('error', () => {});

const colours = process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined;
const styled = (code: number, text: string): string => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
const bold = (text: string): string => styled(1, text);
const dim = (text: string): string => styled(2, text);

export const say = (text = ''): void => {
  process.stdout.write(`${text}\n`);
};

export const headline = (text: string): void => say(`\n${bold(text)}`);

export function openSteps(): (done: string) => void {
  let since = performance.now();
  return (done) => {
    const now = performance.now();
    say(`  ${styled(32, '✓')} ${done}  ${dim(duration(now - since))}`);
    since = now;
  };
}

/** One line for each service name. */
export function showEntries(entries: readonly Entry[]): void {
  const rows = [...Map.groupBy(entries, ({ service }) => service)].map(([service, all]) => [
    service,
    `${all.filter(({ healthy }) => healthy).length}/${all.length}`,
    all.map(({ endpoint, healthy }) => (healthy ? endpoint : `${endpoint} (unhealthy)`)).join(' '),
  ]);
  show(table(['NAME', 'HEALTHY', 'INSTANCES'], rows));
}

/** The output of a program, set apart. */
export const show = (text: string): void => say(text.trimEnd().replaceAll(/^(?=.)/gm, '  '));

export const command = (line: string): void => say(`\n${dim('$')} ${bold(line)}`);

export const duration = (ms: number): string =>
  ms < 1 ? '<1 ms' : ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
