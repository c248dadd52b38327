import { type ConsulServer, openConsul } from '../../servers/consul.ts';
import type { Json } from '../api-server.ts';
import type { Place, RealRegistry, Standing } from './registries.ts';

export async function realConsul(): Promise<RealRegistry> {
  const server = await openConsul();
  return { name: 'Consul', address: server.address, place: (cluster) => placeFor(server, cluster), stop: server.stop };
}

function placeFor(server: ConsulServer, cluster: string): Place {
  const ask = async (path: string): Promise<Json> => {
    const { status, body } = await server.request('GET', path);
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  };
  const nodes = async (): Promise<readonly string[]> => {
    const filter = encodeURIComponent(`Node matches "^roster-${cluster}-"`);
    return (await ask(`/v1/catalog/nodes?consistent&filter=${filter}`)).map(({ Node }: Json) => Node);
  };

  async function standingOn(node: string): Promise<readonly Standing[]> {
    const [{ Services }, checks] = await Promise.all([
      ask(`/v1/catalog/node-services/${node}?consistent`),
      ask(`/v1/health/node/${node}?consistent`),
    ]);
    return (Services ?? []).map(({ CreateIndex: _, ModifyIndex, ...service }: Json) => {
      const own = checks.filter(({ ServiceID }: Json) => ServiceID === service.ID);
      const said = own.map(({ Status, Output, Name, CheckID }: Json) => ({ Status, Output, Name, CheckID }));
      const stamp = [ModifyIndex, ...own.map((check: Json) => check.ModifyIndex)].join(' ');
      return { id: service.ID, content: JSON.stringify({ ...service, said }), stamp };
    });
  }

  return {
    spec: (address) => ({ type: 'Consul', consul: { address } }),
    standing: async () => (await Promise.all((await nodes()).map(standingOn))).flat(),
    async wipe() {
      for (const Node of await nodes()) await server.request('PUT', '/v1/catalog/deregister', { Node });
    },
  };
}
