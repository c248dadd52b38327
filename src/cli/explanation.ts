import type { InspectedKey, Inspection } from '../operator/reporting/inspect.ts';
import { type OutputFormat, rendered } from './output.ts';
import { endpointText, type PlanReport, planReport, renderPlan } from './plan-report.ts';
import { oneLine, table } from './table.ts';

/** What `-o json` and `-o yaml` print: one entry for each registry that has to do with the Service. */
export interface Explanation {
  /** `namespace/name`. */
  readonly service: string;
  readonly registries: readonly RegistryExplanation[];
}

export interface RegistryExplanation {
  readonly registry: string;
  readonly endpoints: readonly {
    readonly endpoint: string;
    readonly family: string;
    readonly included: boolean;
    readonly rule: string;
  }[];
  readonly problems: readonly { readonly code: string; readonly message: string }[];
  /** Entries that stand now and vanish when no operator keeps them alive. */
  readonly leased: number;
  readonly plan: Omit<PlanReport, 'problems'>;
}

export function explanation(service: string, { keys }: Inspection): Explanation {
  const registries = keys
    .filter((key) => key.service === service)
    .toSorted((a, b) => (a.registry < b.registry ? -1 : 1))
    .map(explained);
  return { service, registries };
}

function explained(key: InspectedKey): RegistryExplanation {
  const { problems: _told, ...plan } = planReport({ keys: [key] });
  const endpoints = key.endpoints.map(({ address, port, family, included, rule }) => ({
    endpoint: port === undefined ? address : endpointText({ address, port }),
    family,
    included,
    rule,
  }));
  return { registry: key.registry, endpoints, problems: key.problems, leased: key.leased, plan };
}

export const renderExplanation = (of: Explanation, format: OutputFormat): string => rendered(format, of, draw);

function draw({ service, registries }: Explanation, wide: boolean): string {
  if (registries.length === 0) {
    return `No registration covers Service ${service}, and no registry holds entries of it.\n`;
  }
  return registries.map((each) => drawRegistry(service, each, wide)).join('\n');
}

function drawRegistry(
  service: string,
  { registry, endpoints, problems, leased, plan }: RegistryExplanation,
  wide: boolean,
): string {
  const rows = endpoints.map(({ endpoint, family, included, rule }) => [
    endpoint,
    family,
    included ? 'in' : 'out',
    rule,
  ]);
  return [
    `Service ${service} in registry ${registry}\n\n`,
    rows.length === 0 ? 'It has no endpoints.\n' : table(['ENDPOINT', 'FAMILY', 'DECISION', 'RULE'], rows),
    problems.length === 0 ? '' : `\nProblems:\n${problems.map(problemLine).join('')}`,
    leased === 0 ? '' : `\nLeased: ${leased}, which vanish when no operator keeps them alive\n`,
    `\n${renderPlan({ ...plan, problems: [] }, wide ? 'wide' : 'table')}`,
  ].join('');
}

const problemLine = ({ code, message }: { readonly code: string; readonly message: string }): string =>
  `  ${oneLine(`${code}: ${message}`)}\n`;
