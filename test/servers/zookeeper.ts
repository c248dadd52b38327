import { createPrivateKey } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { ensureTools } from '../tools/build.ts';
import { makeCertificates } from './consul.ts';
import { onFreePorts, openProcess, openScratch, type ServerProcess } from './process.ts';

export type ZooKeeperOptions = {
  /** False where nothing is measured and the data are thrown away: writes do not wait for the disk. Default true. */
  fsync?: boolean;
  /** True: a second port that speaks TLS, with certificates of a CA of its own, and only with clients that have one too; see `tls` of the result. */
  tls?: boolean;
  /** Bytes that the server takes in a request (`jute.maxbuffer`). */
  maxRequestBytes?: number;
  /** Lines of zoo.cfg, over ours. */
  config?: Readonly<Record<string, string | number>>;
  /** Kept, and used again when it holds data. Default: a temporary directory that `stop` removes. */
  directory?: string;
  outlive?: boolean;
};

/** What a client of one ZooKeeper server needs. */
export type ZooKeeper = {
  /** `127.0.0.1:port` */
  readonly address: string;
  /** The answer to a four-letter word, such as `mntr`. */
  ask(word: string): Promise<string>;
  /** The id of the last change: one more for every transaction, whatever the number of its operations; refused ones count too. */
  zxid(): Promise<bigint>;
};

/** PEM texts: the CA, and a client certificate with its key. */
export type ZooKeeperTls = {
  /** `127.0.0.1:port`; the certificate is for 127.0.0.1 and localhost. */
  readonly address: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
};

export type ZooKeeperServer = ZooKeeper & ServerProcess & { readonly tls: ZooKeeperTls | undefined };

export function zooKeeperAt(address: string): ZooKeeper {
  const ask = (word: string) => fourLetterWord(address, word);
  return {
    address,
    ask,
    async zxid() {
      const found = /^Zxid: (0x[0-9a-f]+)$/m.exec(await ask('srvr'));
      if (found === null) throw new Error(`${address} does not tell its Zxid`);
      return BigInt(found[1] ?? '');
    },
  };
}

/** One ZooKeeper server on loopback. */
export async function openZooKeeper(options: ZooKeeperOptions = {}): Promise<ZooKeeperServer> {
  const { zookeeper: command } = await ensureTools(['zookeeper']);
  const scratch = await openScratch('zookeeper', options.directory);
  const configPath = join(scratch.path, 'zoo.cfg');

  const secrets = options.tls === true ? await secretsIn(scratch.path) : undefined;

  return onFreePorts(['client', 'secure'], async (ports) => {
    const client = zooKeeperAt(`127.0.0.1:${ports.client}`);
    const settings = {
      dataDir: join(scratch.path, 'data'),
      clientPort: ports.client,
      clientPortAddress: '127.0.0.1',
      tickTime: 2000,
      'admin.enableServer': 'false',
      '4lw.commands.whitelist': '*',
      // Limits for the many short connections of tests are not what is tested.
      maxClientCnxns: 2000,
      ...(secrets === undefined ? {} : { secureClientPort: ports.secure, ...secrets.settings }),
      ...options.config,
    };
    await writeFile(
      configPath,
      Object.entries(settings)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    );
    const server = await openProcess({
      name: 'zookeeper',
      command,
      args: [configPath],
      env: { JDK_JAVA_OPTIONS: javaOptions(options) },
      logPath: join(scratch.path, 'zookeeper.log'),
      ready: async () => /^Mode: |not in the whitelist/m.test(await client.ask('srvr')),
      ...(options.directory === undefined ? { scratch: scratch.path } : {}),
      ...(options.outlive === undefined ? {} : { outlive: options.outlive }),
    });
    return {
      ...client,
      tls: secrets === undefined ? undefined : { address: `127.0.0.1:${ports.secure}`, ...secrets.client },
      name: server.name,
      logPath: server.logPath,
      get pid() {
        return server.pid;
      },
      kill: server.kill,
      restart: server.restart,
      async stop() {
        await server.stop();
        await scratch.remove();
      },
    };
  });
}

/** Certificates for both sides, and the settings of a server that uses them. */
async function secretsIn(directory: string) {
  const { consul } = await ensureTools(['consul']);
  const files = await makeCertificates(consul, join(directory, 'tls'));
  const read = (path: string) => readFile(path, 'utf8');
  const [ca, cert, key] = await Promise.all([files.caFile, files.certFile, files.keyFile].map(read));
  // The server reads keys in the form of PKCS #8 alone, and both from one file.
  const serverKey = createPrivateKey(await read(files.serverKeyFile)).export({ type: 'pkcs8', format: 'pem' });
  const keyStore = join(directory, 'tls', 'server.pem');
  await writeFile(keyStore, `${serverKey}${await read(files.serverCertFile)}`);
  return {
    client: { ca: ca ?? '', cert: cert ?? '', key: key ?? '' },
    settings: {
      serverCnxnFactory: 'org.apache.zookeeper.server.NettyServerCnxnFactory',
      'ssl.keyStore.location': keyStore,
      'ssl.keyStore.type': 'PEM',
      'ssl.trustStore.location': files.caFile,
      'ssl.trustStore.type': 'PEM',
    },
  };
}

function javaOptions({ fsync, maxRequestBytes }: ZooKeeperOptions): string {
  return [
    '-Xmx512m',
    '-XX:+UseSerialGC',
    // Its file is left behind by a server that is killed.
    '-XX:-UsePerfData',
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    ...(maxRequestBytes === undefined ? [] : [`-Djute.maxbuffer=${maxRequestBytes}`]),
    ...(fsync === false ? ['-Dzookeeper.forceSync=no'] : []),
  ].join(' ');
}

function fourLetterWord(address: string, word: string): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect({ host: host ?? '', port: Number(port) });
    let answer = '';
    socket.setEncoding('utf8').setTimeout(5_000, () => socket.destroy(new Error(`${address} did not answer ${word}`)));
    socket.on('data', (text) => {
      answer += text;
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(answer));
    socket.write(word);
  });
}
