import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { openLink } from '../../../src/registries/nacos/grpc-link.ts';
import { publishList } from '../../../src/registries/nacos/grpc-requests.ts';
import type { NacosHost } from '../../../src/registries/nacos/host.ts';
import { serversOf } from '../../../src/registries/nacos/servers.ts';
import { openNacos } from '../../servers/nacos.ts';
import {
  crashing,
  inParallel,
  type OpenSubject,
  perSecond,
  type RawLoop,
  type Subject,
  timed,
  timesOf,
  untilTrue,
} from './subject.ts';

/** More at once make Nacos no faster. */
const PARALLEL = 16;
const GROUP = 'DEFAULT_GROUP';
/** Twice what the server takes to renew what it shows. */
const LEFT_ALONE_MS = 1_000;
const never = new AbortController().signal;

type Listed = { readonly service: string; readonly hosts: readonly NacosHost[] };

export const nacosSubject = (liveness: Subject['liveness']): Subject => ({
  name: liveness === 'Leased' ? 'Nacos, leased' : 'Nacos',
  liveness,
  rawLoop: liveness === 'Leased' ? '16 lists of services at once' : '16 single writes at once',
  async open(): Promise<OpenSubject> {
    const server = await openNacos();
    const api = openApi(server.address);
    return {
      spec: { type: 'Nacos', nacos: { addresses: [server.address] } },
      async count() {
        return (await api.all()).reduce((sum, { hosts }) => sum + hosts.length, 0);
      },
      // Nacos numbers nothing: what stands is compared as it is.
      revision: async () => JSON.stringify((await api.all()).toSorted((a, b) => (a.service < b.service ? -1 : 1))),
      rawLoop: async () => openRawLoop(await api.all(), liveness),
      shows: api.shows,
      ...crashing(server),
      async stop() {
        api.close();
        await server.stop();
      },
    };
  },
});

async function openRawLoop(all: readonly Listed[], liveness: Subject['liveness']): Promise<RawLoop> {
  const server = await openNacos();
  const api = openApi(server.address);
  const entries = all.flatMap(({ service, hosts }) => hosts.map((host) => ({ service, hosts: [host] })));
  if (liveness === 'Persistent') {
    const write = ({ service, hosts: [host] }: Listed) =>
      api.ask('POST', '/instance', { serviceName: service, ...asQuery(host) });
    return {
      rate: async () => perSecond(entries.length, await timed(() => inParallel(entries, PARALLEL, write))),
      latencies: (count) =>
        timesOf(count, async (at) => {
          const entry = entries[at % entries.length];
          if (entry !== undefined) await write(entry);
        }),
      untilShown: (count) => untilShown(count, entries, write, api.shows),
      async stop() {
        api.close();
        await server.stop();
      },
    };
  }
  const [reach] = serversOf([server.address]).all;
  if (reach === undefined) throw new Error('Nacos has no address');
  const events = { onPush() {}, onReset() {}, onEnd() {} };
  const link = await openLink(reach, { connectMs: 5_000, requestMs: 30_000 }, events, never);
  const publish = ({ service, hosts }: Listed) =>
    link.request({ ...publishList({ namespace: 'public', group: GROUP }, service, hosts), token: undefined }, never);
  return {
    rate: async () => perSecond(entries.length, await timed(() => inParallel(all, PARALLEL, publish))),
    latencies: (count) =>
      timesOf(count, async (at) => {
        const one = all[at % all.length];
        const hosts = one?.hosts.map((host, first) => (first === 0 ? { ...host, healthy: false } : host));
        if (one !== undefined && hosts !== undefined) await publish({ ...one, hosts });
      }),
    untilShown: (count) => untilShown(count, all, publish, api.shows),
    async stop() {
      link.close();
      api.close();
      await server.stop();
    },
  };
}

/**
 * Of entries that are healthy, are shown so, and have been left alone for a while. A service that nobody has asked for yet is shown at once; after
 * that the server renews what it shows half a second after a change, counted from the first of several.
 */
async function untilShown(
  count: number,
  all: readonly Listed[],
  write: (listed: Listed) => Promise<unknown>,
  shows: NonNullable<OpenSubject['shows']>,
): Promise<readonly number[]> {
  const times: number[] = [];
  for (let at = 0; at < count; at++) {
    const { service, hosts } = all[at % all.length] ?? fail();
    const [host = fail(), ...rest] = hosts;
    const set = async (healthy: boolean) => {
      await write({ service, hosts: [{ ...host, healthy }, ...rest] });
      await untilTrue(() => shows(service, host.ip, healthy));
    };
    await set(true);
    await delay(LEFT_ALONE_MS);
    times.push(await timed(() => set(false)));
  }
  return times;
}

function fail(): never {
  throw new Error('nothing stands in Nacos');
}

const asQuery = (host: NacosHost | undefined): Readonly<Record<string, string>> => ({
  ip: host?.ip ?? '',
  port: String(host?.port),
  weight: String(host?.weight),
  healthy: String(host?.healthy),
  ephemeral: 'false',
  clusterName: 'DEFAULT',
  groupName: GROUP,
  metadata: JSON.stringify(host?.metadata),
});

/** The HTTP API of Nacos 2.x, on kept connections. */
function openApi(address: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: PARALLEL });
  const ask = (method: string, path: string, query: Readonly<Record<string, string>>): Promise<string> =>
    new Promise((resolve, reject) => {
      const url = `${address}/nacos/v1/ns${path}?${new URLSearchParams(query)}`;
      const sent = request(url, { method, agent }, async (response) => {
        let text = '';
        for await (const chunk of response.setEncoding('utf8')) text += chunk;
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`Nacos: ${method} ${path}: ${response.statusCode} ${text}`));
      });
      sent.once('error', reject).end();
    });
  return {
    ask,
    async shows(service: string, address: string, healthy: boolean): Promise<boolean> {
      const { hosts } = JSON.parse(await ask('GET', '/instance/list', { serviceName: service, groupName: GROUP }));
      return hosts.some((host: NacosHost) => host.ip === address && host.healthy === healthy);
    },
    async all(): Promise<readonly Listed[]> {
      const { doms } = JSON.parse(
        await ask('GET', '/service/list', { pageNo: '1', pageSize: '100000', groupName: GROUP }),
      );
      const listed: Listed[] = [];
      await inParallel<string>(doms, PARALLEL, async (service) => {
        const { hosts } = JSON.parse(await ask('GET', '/instance/list', { serviceName: service, groupName: GROUP }));
        listed.push({
          service,
          hosts: hosts.map(({ ip, port, weight, healthy, enabled, ephemeral, clusterName, metadata }: NacosHost) => ({
            ip,
            port,
            weight,
            healthy,
            enabled,
            ephemeral,
            clusterName,
            metadata,
          })),
        });
      });
      return listed;
    },
    close: () => agent.destroy(),
  };
}
