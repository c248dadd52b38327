/** As kubectl prints tables: upper-case heads, columns as wide as their widest cell, three spaces between, nothing at the end of a line. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [heads, ...rows.map((row) => row.map((cell) => oneLine(cell) || '<none>'))];
  const widths = heads.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd((widths[column] ?? 0) + 3)).join(''))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

/** Text from the cluster may hold line breaks and escape sequences for the terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed.
export const oneLine = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();

/** A time span in the two units that kubectl would show: `45s`, `5m30s`, `3h`, `12d`. */
export function age(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const [m, h, d] = [Math.floor(s / 60), Math.floor(s / 3600), Math.floor(s / 86_400)];
  if (s < 120) return `${s}s`;
  if (m < 10) return pair(m, 'm', s % 60, 's');
  if (h < 3) return `${m}m`;
  if (h < 8) return pair(h, 'h', m % 60, 'm');
  if (h < 48) return `${h}h`;
  if (d < 8) return pair(d, 'd', h % 24, 'h');
  if (d < 2 * 365) return `${d}d`;
  return pair(Math.floor(d / 365), 'y', d % 365, 'd');
}

const pair = (big: number, bigUnit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${big}${bigUnit}` : `${big}${bigUnit}${small}${smallUnit}`;
