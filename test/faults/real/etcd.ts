import { Etcd3 } from 'etcd3';
import { openEtcd } from '../../servers/etcd.ts';
import type { Place, RealRegistry } from './registries.ts';

export async function realEtcd(): Promise<RealRegistry> {
  const server = await openEtcd({ fsync: false });
  const raw = new Etcd3({ hosts: server.address });
  return {
    name: 'Etcd',
    address: server.address,
    place: (_, token) => placeFor(raw, `/lab-${token}`),
    async stop() {
      raw.close();
      await server.stop();
    },
  };
}

const placeFor = (raw: Etcd3, prefix: string): Place => ({
  spec: (address) => ({ type: 'Etcd', etcd: { endpoints: [address], prefix } }),
  async standing() {
    const { kvs } = await raw.getAll().prefix(`${prefix}/`).exec();
    return kvs
      .filter(({ key }) => !key.toString().startsWith(`${prefix}/.owner/`))
      .map(({ key, value, mod_revision: stamp }) => ({
        id: idIn(value.toString()),
        content: `${key} ${value}`,
        stamp,
      }));
  },
  async wipe() {
    await raw.delete().prefix(`${prefix}/`);
  },
});

function idIn(value: string): string {
  const { id } = JSON.parse(value);
  if (typeof id !== 'string') throw new Error(`an entry without an id stands in etcd: ${value}`);
  return id;
}
