import { isIP } from 'node:net';
import { LOG_LEVELS, type LogLevel } from './telemetry/log.ts';
import type { Address } from './telemetry/server.ts';

export type EndpointsSource = 'Auto' | 'EndpointSlice' | 'Endpoints';

/** Frozen; made once, in main. Every other part takes the few values that it uses. */
export interface Config {
  readonly clusterName: string;
  /** Absent: in the cluster its service account, outside the rules of kubectl. */
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly endpointsSource: EndpointsSource;
  /** What `credentialsDirectory` of a ClusterRegistry is below. Absent: no registry may name one. */
  readonly credentialsDirectory?: string;
  /** In CIDR form: where the registries may be that namespaces name for themselves. Absent: anywhere but at reserved addresses. */
  readonly tenantRegistryNetworks?: readonly string[];
  readonly httpAddress: Address;
  readonly logLevel: LogLevel;
  /** Several replicas share the registries between them by Leases; otherwise this process is the only one. */
  readonly leaderElect: boolean;
  /** Namespace in which the operator itself lives: never mirrored unless named. */
  readonly operatorNamespace: string;
}

export interface Setting {
  /** Its variable is `ROSTER_` and this in capitals: `cluster-name` is `ROSTER_CLUSTER_NAME`. The flag wins. */
  readonly flag: string;
  readonly placeholder: string;
  readonly help: string;
  readonly fallback?: string;
  /** What the flag means without a value; absent: it needs one. */
  readonly bare?: string;
  /** What holds without it, where that is no constant. */
  readonly otherwise?: string;
}

const SOURCES: readonly EndpointsSource[] = ['Auto', 'EndpointSlice', 'Endpoints'];

const BOOLEANS = ['true', 'false'] as const;

export const settings = {
  clusterName: {
    flag: 'cluster-name',
    placeholder: 'NAME',
    help: 'name of this cluster: part of every identity in the registries, so never change it',
    otherwise: 'required',
  },
  kubeconfig: { flag: 'kubeconfig', placeholder: 'FILE', help: 'path of the kubeconfig' },
  context: { flag: 'context', placeholder: 'NAME', help: 'context of the kubeconfig' },
  endpointsSource: {
    flag: 'endpoints-source',
    placeholder: 'SOURCE',
    help: `where endpoints are read from: ${SOURCES.join(', ')}`,
    fallback: 'Auto',
  },
  credentialsDirectory: {
    flag: 'credentials-directory',
    placeholder: 'DIRECTORY',
    help: 'where the directories are that ClusterRegistries name in credentialsDirectory',
  },
  tenantRegistryNetworks: {
    flag: 'tenant-registry-networks',
    placeholder: 'CIDR,...',
    help: 'the only networks in which Registries of namespaces may be',
    otherwise: 'default: all but loopback, link-local, multicast and metadata addresses',
  },
  httpAddress: {
    flag: 'http-address',
    placeholder: '[HOST]:PORT',
    help: 'where probes, metrics and Memory registries are served',
    fallback: ':8080',
  },
  leaderElect: {
    flag: 'leader-elect',
    placeholder: 'BOOLEAN',
    help: 'elect a leader for each registry among all replicas: true, false',
    bare: 'true',
    otherwise: 'default: true in a Pod, false elsewhere',
  },
  logLevel: {
    flag: 'log-level',
    placeholder: 'LEVEL',
    help: `least level that is logged: ${LOG_LEVELS.join(', ')}`,
    fallback: 'info',
  },
  operatorNamespace: {
    flag: 'operator-namespace',
    placeholder: 'NAMESPACE',
    help: 'namespace of the operator, never mirrored unless named',
    otherwise: 'default: that of its Pod, else roster-system',
  },
} as const satisfies Record<keyof Config, Setting>;

export const variable = ({ flag }: Setting): string => `ROSTER_${flag.toUpperCase().replaceAll('-', '_')}`;

export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };
export type ConfigOutcome =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly errors: readonly string[] };

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Namespace of the Pod that we run in. */
  readonly podNamespace?: string;
}

/** All errors at once, each naming the flag and its variable. `flags` are keyed like Config. */
export function readConfig(
  flags: Readonly<Record<string, unknown>>,
  { env, podNamespace }: Surroundings,
): ConfigOutcome {
  const errors: string[] = [];
  const value = (key: keyof Config): string | undefined => {
    const setting: Setting = settings[key];
    return given(flags[key], setting, env) ?? setting.fallback;
  };
  const read = <T>(key: keyof Config, parse: (text: string) => Outcome<T>, fallback: T, text = value(key)): T => {
    const outcome = text === undefined ? missing : parse(text);
    if (outcome.ok) return outcome.value;
    errors.push(`--${settings[key].flag} (${variable(settings[key])}): ${outcome.message}`);
    return fallback;
  };
  const kubeconfig = value('kubeconfig');
  const context = value('context');
  const credentialsDirectory = value('credentialsDirectory');
  const networks = value('tenantRegistryNetworks');
  const inPod = podNamespace === undefined ? 'false' : 'true';
  const namespace = value('operatorNamespace') ?? podNamespace ?? 'roster-system';

  const config: Config = Object.freeze({
    clusterName: read('clusterName', dnsLabel, ''),
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(context !== undefined && { context }),
    ...(credentialsDirectory !== undefined && { credentialsDirectory }),
    ...(networks !== undefined && {
      tenantRegistryNetworks: read('tenantRegistryNetworks', cidrs, [], networks),
    }),
    endpointsSource: read('endpointsSource', oneOf(SOURCES), 'Auto'),
    httpAddress: read('httpAddress', httpAddress, { port: 0 }),
    leaderElect: read('leaderElect', oneOf(BOOLEANS), 'false', value('leaderElect') ?? inPod) === 'true',
    logLevel: read('logLevel', oneOf(LOG_LEVELS), 'info'),
    operatorNamespace: read('operatorNamespace', dnsLabel, '', namespace),
  });
  return errors.length === 0 ? { ok: true, config } : { ok: false, errors };
}

/** The flag, else its variable. An empty variable is an unset one: that is how manifests leave a value out. */
export function given(flag: unknown, setting: Setting, env: Surroundings['env']): string | undefined {
  if (typeof flag === 'string') return flag;
  const fromEnv = env[variable(setting)];
  return fromEnv === undefined || fromEnv === '' ? undefined : fromEnv;
}

const missing: { ok: false; message: string } = { ok: false, message: 'is required' };

/** A DNS-1123 label: the name becomes a part of keys and identities in every registry. */
export function dnsLabel(text: string): Outcome<string> {
  if (text.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text)) return { ok: true, value: text };
  const rule = 'at most 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit';
  return { ok: false, message: `${JSON.stringify(text)} is not a name of ${rule}` };
}

/** A list without an entry would be taken for none given by one, and for nothing allowed by another: it is refused. */
export function cidrs(text: string): Outcome<readonly string[]> {
  const networks = text.split(',').map((network) => network.trim());
  const wrong = networks.find((network) => !isCidr(network));
  if (wrong === undefined) return { ok: true, value: networks };
  return { ok: false, message: `${JSON.stringify(wrong)} is not a network, for instance 10.20.0.0/16 or fd00:20::/64` };
}

function isCidr(network: string): boolean {
  const [, address = '', bits] = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(network) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(bits) <= (family === 6 ? 128 : 32);
}

const oneOf =
  <T extends string>(allowed: readonly T[]) =>
  (text: string): Outcome<T> => {
    const value = allowed.find((each) => each === text);
    if (value !== undefined) return { ok: true, value };
    return { ok: false, message: `${JSON.stringify(text)} is not one of ${allowed.join(', ')}` };
  };

function httpAddress(text: string): Outcome<Address> {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/i.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65535) {
    return { ok: false, message: `${JSON.stringify(text)} is not HOST:PORT or :PORT, for instance 127.0.0.1:8080` };
  }
  const host = bracketed ?? plain;
  return { ok: true, value: host === undefined || host === '' ? { port } : { host, port } };
}
