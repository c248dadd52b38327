import { type Command, Option } from 'commander';
import { cidrs, dnsLabel, given, type Setting, settings, variable } from '../config.ts';
import type { InspectOptions } from '../operator/reporting/inspect.ts';
import { OUTPUT_FORMATS, type OutputFormat } from './output.ts';
import { CommandError, EXIT, type Terminal } from './terminal.ts';

/** As commander hands them over. */
export interface ClusterOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
  readonly allNamespaces?: boolean;
  readonly output?: Exclude<OutputFormat, 'table'>;
}

export interface NamedClusterOptions extends ClusterOptions {
  readonly clusterName?: string;
  readonly tenantRegistryNetworks?: string;
}

export function settingOption(setting: Setting): Option {
  const { flag, placeholder, help, fallback, bare, otherwise } = setting;
  const unset = otherwise ?? (fallback === undefined ? undefined : `default: ${fallback}`);
  const notes = [...(unset === undefined ? [] : [unset]), `env: ${variable(setting)}`];
  const description = `${help} (${notes.join('; ')})`;
  if (bare === undefined) return new Option(`--${flag} <${placeholder}>`, description);
  return new Option(`--${flag} [${placeholder}]`, description).preset(bare);
}

/** Those that every command has which names something in a cluster, named as in kubectl. */
export const addContextOptions = (command: Command): Command =>
  command
    .addOption(settingOption(settings.kubeconfig))
    .addOption(settingOption(settings.context))
    .option('-n, --namespace <NAMESPACE>', 'namespace to look at (default: that of the context)');

/** Besides, those of the commands that list what is there. */
export const addClusterOptions = (command: Command): Command =>
  addContextOptions(command)
    .option('-A, --all-namespaces', 'look at all namespaces')
    .addOption(new Option('-o, --output <FORMAT>', 'how to print').choices(OUTPUT_FORMATS));

export const clusterChoice = ({ kubeconfig, context }: ClusterOptions, { env }: Terminal) => {
  const file = given(kubeconfig, settings.kubeconfig, env);
  const name = given(context, settings.context, env);
  return { ...(file !== undefined && { kubeconfig: file }), ...(name !== undefined && { context: name }) };
};

/** Those of the commands that decide as the operator would. */
export const addInspectOptions = (command: Command): Command =>
  addClusterOptions(command)
    .addOption(settingOption(settings.clusterName))
    .addOption(settingOption(settings.tenantRegistryNetworks))
    .addHelpText(
      'after',
      '\nA Memory registry lives in the operator: ROSTER_URL says where that serves HTTP, for instance http://127.0.0.1:8080.',
    );

/** Namespace to show; undefined means all. */
export const namespaceOf = ({ namespace, allNamespaces }: ClusterOptions, current: string): string | undefined =>
  allNamespaces ? undefined : (namespace ?? current);

/** Throws a usage error. */
function clusterNameOf({ clusterName }: NamedClusterOptions, { env }: Terminal): string {
  const name = given(clusterName, settings.clusterName, env);
  const outcome =
    name === undefined
      ? { ok: false as const, message: 'is required: the entries of a cluster are known by it, as `roster run` got it' }
      : dnsLabel(name);
  if (outcome.ok) return outcome.value;
  const { flag } = settings.clusterName;
  throw new CommandError(`--${flag} (${variable(settings.clusterName)}): ${outcome.message}`, EXIT.usage);
}

/** Throws a usage error. */
function networksOf({ tenantRegistryNetworks }: NamedClusterOptions, { env }: Terminal): readonly string[] | undefined {
  const text = given(tenantRegistryNetworks, settings.tenantRegistryNetworks, env);
  if (text === undefined) return undefined;
  const outcome = cidrs(text);
  if (outcome.ok) return outcome.value;
  const { flag } = settings.tenantRegistryNetworks;
  throw new CommandError(`--${flag} (${variable(settings.tenantRegistryNetworks)}): ${outcome.message}`, EXIT.usage);
}

/** What `plan`, `diff` and `explain` hand to the decisions of the operator, besides where the objects come from. */
export function inspectBasics(options: NamedClusterOptions, terminal: Terminal): Omit<InspectOptions, 'source'> {
  const { env, signal } = terminal;
  const operatorUrl = env['ROSTER_URL'];
  const networks = networksOf(options, terminal);
  return {
    cluster: clusterNameOf(options, terminal),
    operatorNamespace: given(undefined, settings.operatorNamespace, env) ?? 'roster-system',
    signal,
    ...(networks !== undefined && { tenantRegistryNetworks: networks }),
    ...(operatorUrl === undefined || operatorUrl === '' ? {} : { operatorUrl }),
  };
}

/** `NAMESPACE/NAME`, or `NAME` in the namespace at hand. Throws a usage error. */
export function objectRef(text: string, namespace: string): { readonly namespace: string; readonly name: string } {
  const parts = text.split('/');
  const [first = '', second] = parts;
  if (parts.length > 2 || first === '' || second === '') {
    throw new CommandError(`${JSON.stringify(text)} is not NAMESPACE/NAME`, EXIT.usage);
  }
  return second === undefined ? { namespace, name: first } : { namespace: first, name: second };
}
