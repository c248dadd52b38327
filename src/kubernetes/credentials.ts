import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { HttpMethod, RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js';
import type { Dispatcher } from 'undici';

export interface ClusterChoice {
  /** Path of a kubeconfig file. */
  readonly kubeconfig?: string;
  /** Name of a context in it; its current one when absent. */
  readonly context?: string;
}

export interface Tls {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface Access {
  readonly headers: Readonly<Record<string, string>>;
  /** Changes with whatever a connection is made from: CA, client certificate, key, server name, proxy. */
  readonly fingerprint: string;
  readonly tls: Tls;
  readonly proxyUrl: string | undefined;
  /** For a SOCKS proxy, whose connector client-node keeps to itself. */
  socksDispatcher(): Promise<Dispatcher | undefined>;
}

export interface Credentials {
  readonly server: string;
  /** Of the context; "default" when it names none. */
  readonly namespace: string;
  access(): Promise<Access>;
  /** The server said 401: forget every token and certificate and read all of it again. */
  refused(): void;
}

const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * Reads the kubeconfig, or the files of the service account. Tokens and certificates are read again every `refreshMs`, so that a
 * rotation needs no restart (client-node itself keeps a token file for 60 s).
 *
 * Order without a choice: KUBECONFIG, the service account of the Pod, ~/.kube/config.
 */
export function openCredentials(choice: ClusterChoice, now: () => number, refreshMs = 10_000): Credentials {
  let config = load(choice);
  const cluster = clusterOf(config);
  let known: { readonly at: number; readonly access: Promise<Access> } | undefined;

  return {
    server: cluster.server.replace(/\/+$/, ''),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace?.trim() || 'default',
    access() {
      if (known && now() - known.at < refreshMs) return known.access;
      const access = readAccess(config);
      const entry = { at: now(), access };
      known = entry;
      access.catch(() => {
        if (known === entry) known = undefined;
      });
      return access;
    },
    refused() {
      known = undefined;
      try {
        config = load(choice);
      } catch {
        // A kubeconfig that is just being rewritten: the old one stays, and the next 401 tries again.
      }
    },
  };
}

function load({ kubeconfig, context }: ClusterChoice): KubeConfig {
  const config = new KubeConfig();
  if (kubeconfig !== undefined) config.loadFromFile(kubeconfig);
  else if (!process.env['KUBECONFIG'] && process.env['KUBERNETES_SERVICE_HOST'] && existsSync(SERVICE_ACCOUNT_TOKEN))
    config.loadFromCluster();
  else config.loadFromDefault();

  if (context !== undefined) {
    const names = config.getContexts().map(({ name }) => name);
    if (!names.includes(context)) {
      throw new Error(`the kubeconfig has no context "${context}": it has ${names.join(', ') || 'none'}`);
    }
    config.setCurrentContext(context);
  }
  return config;
}

function clusterOf(config: KubeConfig) {
  const cluster = config.getCurrentCluster();
  // What client-node makes up when it finds nothing at all.
  if (cluster?.server === 'http://localhost:8080' && config.getCurrentContext() === 'loaded-context') {
    throw new Error(
      'no cluster to connect to: give --kubeconfig, set KUBECONFIG, write ~/.kube/config, or run in a Pod with a service account',
    );
  }
  if (!cluster?.server) {
    throw new Error(
      `the kubeconfig's context "${config.getCurrentContext() ?? ''}" names no cluster: choose one with --context or kubectl config use-context`,
    );
  }
  if (cluster.server.startsWith('http:') && !cluster.skipTLSVerify) {
    throw new Error(
      `${cluster.server} is not encrypted: use https, or set insecure-skip-tls-verify for this cluster in the kubeconfig`,
    );
  }
  return cluster;
}

async function readAccess(config: KubeConfig): Promise<Access> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { servername, rejectUnauthorized } = options;
  const [ca, cert, key] = [pem(options.ca), pem(options.cert), pem(options.key)];
  const tls: Tls = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
  const cluster = config.getCurrentCluster();
  const material = [cluster?.proxyUrl, servername, rejectUnauthorized, ca, cert, key].map((part) => String(part));
  return {
    headers: { ...textHeaders(options.headers), ...basicAuthorization(options.auth) },
    fingerprint: createHash('sha256').update(JSON.stringify(material)).digest('hex'),
    tls,
    proxyUrl: cluster?.proxyUrl,
    async socksDispatcher() {
      const context = new RequestContext(cluster?.server ?? '', HttpMethod.GET);
      await config.applySecurityAuthentication(context);
      return context.getDispatcher();
    },
  };
}

const pem = (value: unknown): string | Buffer | undefined =>
  typeof value === 'string' || Buffer.isBuffer(value) ? value : undefined;

/** A token file often ends in a newline, which no header may hold. */
function textHeaders(headers: RequestOptions['headers']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value).trim()]),
  );
}

const basicAuthorization = (auth: string | null | undefined) =>
  auth ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {};
