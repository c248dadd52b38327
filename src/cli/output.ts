import { stringify } from 'yaml';

export type OutputFormat = 'table' | 'wide' | 'json' | 'yaml';
export const OUTPUT_FORMATS = ['wide', 'json', 'yaml'] as const satisfies readonly OutputFormat[];

/** `data` as JSON or YAML, or the text that `draw` makes of it. */
export function rendered<T>(format: OutputFormat, data: T, draw: (data: T, wide: boolean) => string): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(data, null, 2)}\n`;
    case 'yaml':
      // Scripts and diffs want one value per line, whatever its length.
      return stringify(data, { lineWidth: 0 });
    case 'table':
      return draw(data, false);
    case 'wide':
      return draw(data, true);
  }
}
