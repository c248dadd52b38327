import zookeeper from 'node-zookeeper-client';

/** The tree by the package itself, with nothing of ours around it. */
export type RawZooKeeper = ReturnType<typeof rawZooKeeper>;

export interface RawNode {
  readonly path: string;
  readonly text: string;
  readonly stat: zookeeper.Stat;
}

type Done<T> = (error: Error | zookeeper.Exception | null, value: T) => void;

const { NO_NODE, NODE_EXISTS } = zookeeper.Exception;

/** With a client of its own each time: one that has seen more than the server has after a loss is sent away. */
export async function withRawZooKeeper<T>(address: string, use: (raw: RawZooKeeper) => Promise<T>): Promise<T> {
  const raw = rawZooKeeper(address);
  try {
    return await use(raw);
  } finally {
    await raw.close();
  }
}

/** `credentials`: user:password of the scheme digest. */
export function rawZooKeeper(address: string, credentials?: string) {
  const client = zookeeper.createClient(address, { retries: 3 });
  if (credentials !== undefined) client.addAuthInfo('digest', Buffer.from(credentials));
  client.connect();

  const ask = <T>(call: (done: Done<T>) => void): Promise<T> =>
    new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))));
  const codeOf = (error: unknown) => (error as { code?: number }).code;
  const unless = async <T>(code: number, promise: Promise<T>): Promise<T | undefined> => {
    try {
      return await promise;
    } catch (error) {
      if (codeOf(error) === code) return undefined;
      throw error;
    }
  };

  const children = async (path: string): Promise<readonly string[]> =>
    (await unless(
      NO_NODE,
      ask<string[]>((done) => client.getChildren(path, done)),
    )) ?? [];
  const get = (path: string): Promise<RawNode | undefined> =>
    unless(
      NO_NODE,
      new Promise<RawNode>((resolve, reject) =>
        client.getData(path, (error, data, stat) =>
          error ? reject(error) : resolve({ path, text: data?.toString() ?? '', stat }),
        ),
      ),
    );
  const remove = async (path: string): Promise<void> => {
    await unless(
      NO_NODE,
      ask<unknown>((done) => client.remove(path, (error) => done(error, undefined))),
    );
  };

  return {
    client,
    children,
    get,
    remove,
    /** Every node two levels below `root`, with the names of both. */
    async entries(root: string, wanted = (_service: string) => true) {
      const services = (await children(root)).filter(wanted);
      const found = await Promise.all(
        services.map(async (service) => {
          const names = await children(`${root}/${service}`);
          const nodes = await Promise.all(names.map((name) => get(`${root}/${service}/${name}`)));
          return nodes.flatMap((node, at) => (node === undefined ? [] : [{ ...node, service, name: names[at] ?? '' }]));
        }),
      );
      return found.flat();
    },
    async put(path: string, text: string): Promise<void> {
      const data = Buffer.from(text);
      const parent = path.replace(/\/[^/]*$/, '');
      if (parent !== '') await ask<string>((done) => client.mkdirp(parent, done));
      const made = await unless(
        NODE_EXISTS,
        ask<string>((done) => client.create(path, data, done)),
      );
      if (made === undefined) await ask<zookeeper.Stat>((done) => client.setData(path, data, done));
    },
    create: (path: string, text: string, acls: zookeeper.ACL[]): Promise<string> =>
      ask((done) => client.create(path, Buffer.from(text), acls, done)),
    /** It goes when this client does. */
    putEphemeral: (path: string, text: string): Promise<string> =>
      ask((done) => client.create(path, Buffer.from(text), zookeeper.CreateMode.EPHEMERAL, done)),
    /** Scheme and permissions of each, sorted. */
    accessOf: async (path: string): Promise<readonly string[]> => {
      const acls = await ask<zookeeper.ACL[]>((done) => client.getACL(path, done));
      // The package's types call it by another name.
      return acls.map((acl) => `${acl.id.scheme} ${Reflect.get(acl, 'permission')}`).sort();
    },
    removeTree: async (path: string): Promise<void> => {
      for (const name of await children(path)) await remove(`${path}/${name}`);
      await remove(path);
    },
    async close(): Promise<void> {
      const closed = new Promise<void>((resolve) => client.once('disconnected', resolve));
      client.close();
      await closed;
    },
  };
}
