import { Agent, createServer, request } from 'node:http';
import { connect, createServer as createTcpServer, type Server } from 'node:net';
import { closed, listeningApart } from '../../links/listening.ts';
import { entriesInNacos } from '../../scenarios/nacos-truth.ts';
import { nacosAt, openNacos } from '../../servers/nacos.ts';
import type { Written } from './gate.ts';
import type { Place, RealRegistry } from './registries.ts';
import { bodyOf } from './upstream.ts';

/**
 * Nacos keeps no history, and shows what it was told half a second late. What each write did is therefore read off the requests that it carried out, which
 * pass by here on their way from the links.
 */
export async function realNacos(): Promise<RealRegistry> {
  const server = await openNacos();
  const ledger = createLedger();
  const web = spyOn(server.address, ledger.took);
  const grpc = passTo(server.grpcPort);
  const port = await listeningApart(web, grpc, server.grpcPort - Number(new URL(server.address).port));
  return {
    name: 'Nacos',
    address: `http://127.0.0.1:${port}`,
    place: (cluster, token) => placeFor(server.address, cluster, token, ledger),
    async stop() {
      await server.stop();
      await Promise.all([closed(web), closed(grpc)]);
    },
  };
}

interface Entry {
  readonly id: string;
  readonly cluster: string;
  readonly content: string;
}

type Ledger = ReturnType<typeof createLedger>;

function createLedger() {
  /** By service and place. */
  const entries = new Map<string, Entry>();
  const waiting = new Map<string, Written[]>();

  function note(cluster: string, written: Written): void {
    waiting.set(cluster, [...(waiting.get(cluster) ?? []), written]);
  }

  const standsElsewhere = (id: string) => [...entries.values()].some((entry) => entry.id === id);

  return {
    took(method: string, params: URLSearchParams): void {
      const place = ['serviceName', 'ip', 'port'].map((name) => params.get(name)).join(' ');
      const before = entries.get(place);
      if (method === 'DELETE') {
        entries.delete(place);
        // Under another name it is put before the old one goes.
        if (before !== undefined && !standsElsewhere(before.id))
          note(before.cluster, { effect: 'deregister', id: before.id });
        return;
      }
      const { 'roster-id': id, 'roster-cluster': cluster } = JSON.parse(params.get('metadata') ?? '{}');
      // The record of a claim.
      if (id === undefined) return;
      const content = params.toString();
      const isKnown = before !== undefined || standsElsewhere(id);
      entries.set(place, { id, cluster, content });
      note(cluster, { effect: !isKnown ? 'register' : before?.content === content ? 'repeat' : 'update', id });
    },
    take(cluster: string): readonly Written[] {
      const taken = waiting.get(cluster) ?? [];
      waiting.delete(cluster);
      return taken;
    },
    forget(cluster: string): void {
      for (const [place, entry] of entries) if (entry.cluster === cluster) entries.delete(place);
    },
  };
}

function spyOn(target: string, took: Ledger['took']): Server {
  const agent = new Agent({ keepAlive: true });
  return createServer(async (asked, answer) => {
    const body = await bodyOf(asked);
    const url = new URL(asked.url ?? '', target);
    const sent = request(url, { method: asked.method, headers: asked.headers, agent }, async (response) => {
      const whole = await bodyOf(response);
      const writes = asked.method !== 'GET' && url.pathname.endsWith('/ns/instance');
      if (writes && response.statusCode === 200)
        took(asked.method ?? '', new URLSearchParams([...url.searchParams, ...new URLSearchParams(body.toString())]));
      answer.writeHead(response.statusCode ?? 502, response.headers).end(whole);
    });
    sent.once('error', () => asked.socket.destroy()).end(body);
  });
}

const passTo = (port: number): Server =>
  createTcpServer((client) => {
    const server = connect(port, '127.0.0.1');
    const end = () => {
      client.destroy();
      server.destroy();
    };
    client.on('error', end).on('close', end).pipe(server);
    server.on('error', end).on('close', end).pipe(client);
  });

function placeFor(address: string, cluster: string, token: string, ledger: Ledger): Place {
  const found = async () =>
    (await entriesInNacos(nacosAt(address), cluster)).filter(({ service }) => service.includes(token));
  const remove = async (params: Readonly<Record<string, string>>) => {
    const path = `${address}/nacos/v1/ns/instance?${new URLSearchParams({ ...params, ephemeral: 'false' })}`;
    const { ok, status } = await fetch(path, { method: 'DELETE' });
    if (!ok && status !== 404 && status !== 400) throw new Error(`DELETE ${path}: ${status}`);
  };
  return {
    spec: (link) => ({ type: 'Nacos', nacos: { addresses: [link] } }),
    standing: async () => (await found()).map((entry) => ({ id: entry.id, content: JSON.stringify(entry), stamp: '' })),
    changes: () => ledger.take(cluster),
    async wipe() {
      for (const { service, address: ip, port } of await found())
        await remove({ serviceName: service, ip, port: String(port) });
      await remove({ serviceName: `roster-claim-${cluster}`, groupName: 'ROSTER', ip: '0.0.0.0', port: '1' });
      ledger.forget(cluster);
    },
  };
}
