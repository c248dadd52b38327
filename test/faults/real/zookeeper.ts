import { type RawZooKeeper, rawZooKeeper } from '../../conformance/zookeeper-raw.ts';
import { openZooKeeper } from '../../servers/zookeeper.ts';
import type { Place, RealRegistry } from './registries.ts';

export async function realZooKeeper(): Promise<RealRegistry> {
  const server = await openZooKeeper({ fsync: false });
  const raw = rawZooKeeper(server.address);
  return {
    name: 'ZooKeeper',
    address: server.address,
    place: (_, token) => placeFor(raw, `/lab-${token}`),
    async stop() {
      await raw.close();
      await server.stop();
    },
  };
}

const placeFor = (raw: RawZooKeeper, rootPath: string): Place => ({
  spec: (address) => ({ type: 'ZooKeeper', zookeeper: { connectString: address, rootPath } }),
  standing: async () =>
    (await raw.entries(rootPath)).map(({ path, name, text, stat }) => ({
      id: decodeURIComponent(name),
      content: `${path} ${text.replace(/"registrationTimeUTC":\d+/, '"registrationTimeUTC":0')}`,
      stamp: Reflect.get(stat, 'mzxid').toString('hex'),
    })),
  async wipe() {
    for (const service of await raw.children(rootPath)) await raw.removeTree(`${rootPath}/${service}`);
    for (const cluster of await raw.children(`${rootPath}.roster`))
      await raw.removeTree(`${rootPath}.roster/${cluster}`);
  },
});
