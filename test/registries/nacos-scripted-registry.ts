import { afterEach } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import type { NacosHost } from '../../src/registries/nacos/host.ts';
import type { NacosHttp } from '../../src/registries/nacos/http.ts';
import { nacosRegistryOver } from '../../src/registries/nacos/nacos.ts';
import type { NacosSettings } from '../../src/registries/nacos/settings.ts';
import type { ServiceRegistry } from '../../src/registries/registry.ts';
import { sampleOf } from '../conformance/samples.ts';
import { openScriptedNacos, type ScriptedNacos, type ScriptedOptions } from './nacos-scripted-server.ts';

// The registry of Nacos on scripted servers, which are closed after each test of the file that imports this.

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

export const closeAfterTest = (one: { close(): unknown }): void => void opened.push(one);

export async function serve(options?: ScriptedOptions): Promise<ScriptedNacos> {
  const server = await openScriptedNacos(options);
  closeAfterTest(server);
  return server;
}

interface FakeHttp extends NacosHttp {
  readonly calls: string[];
}

/** Notes what is asked of it. */
export function fakeHttp(over: Partial<NacosHttp> = {}): FakeHttp {
  const calls: string[] = [];
  const records = new Map<string, Readonly<Record<string, string>>>();
  return {
    calls,
    version: async () => '2.2.4',
    token: async () => undefined,
    serviceNames: async () => [],
    probe: async () => {},
    read: async () => ({ hosts: [], shielded: false }),
    prepareService: async (service) => void calls.push(`prepare ${service}`),
    protectService: async (service) => void calls.push(`protect ${service}`),
    putPersistent: async (service, { ip, port }) => void calls.push(`put ${service} ${ip}:${port}`),
    removePersistent: async (service, { ip, port }) => void calls.push(`remove ${service} ${ip}:${port}`),
    records: {
      read: async (operation, name) => {
        calls.push(`${operation} reads ${name}`);
        return records.get(name);
      },
      write: async (name, record) => void records.set(name, record),
    },
    close: () => {},
    ...over,
  };
}

const addressOf = ({ address }: ScriptedNacos): string => {
  const { protocol, hostname, port } = new URL(address.origin);
  return `${protocol}//${hostname}:${Number(port) - 1_000}`;
};

export function open(
  servers: readonly ScriptedNacos[],
  http: NacosHttp = fakeHttp(),
  over: Partial<NacosSettings> = {},
): ServiceRegistry {
  const registry = nacosRegistryOver(http, {
    addresses: servers.map(addressOf),
    group: 'DEFAULT_GROUP',
    cluster: 'DEFAULT',
    protocol: 'Grpc',
    connectMs: 30_000,
    requestMs: 30_000,
    ...over,
  });
  closeAfterTest(registry);
  return registry;
}

/** Time-out of a test that waits for it: long enough for what is answered. */
export const SHORT_MS = 2_000;

export const CLUSTER = 'prod';
export const leased = (number: number, over: Partial<Instance> = {}): Instance =>
  sampleOf(CLUSTER, { number, liveness: 'leased', ...over });
export const WEB = leased(1).service;

export const stranger = (ip: string, port = 8080): NacosHost => ({
  ip,
  port,
  weight: 1,
  healthy: true,
  enabled: true,
  ephemeral: false,
  clusterName: 'DEFAULT',
  metadata: {},
});
