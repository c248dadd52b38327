import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { ensureTools } from '../tools/build.ts';
import { makeCertificates } from './consul.ts';
import { answers, onFreePorts, openProcess, openScratch, type ServerProcess } from './process.ts';

export type EtcdOptions = {
  /** True: users and rights are on; `root` of the result may do everything. Not together with `tls`. */
  auth?: boolean;
  /** True: HTTPS only, and only for clients with a certificate, of a CA of its own; see `tls` of the result. */
  tls?: boolean;
  /** False where nothing is measured and the data are thrown away: writes do not wait for the disk. Default true. */
  fsync?: boolean;
  /** Kept, and used again when it holds data. Default: a temporary directory that `stop` removes. */
  directory?: string;
  outlive?: boolean;
  args?: readonly string[];
};

export type Etcd = ServerProcess & {
  /** The client URL: `http://127.0.0.1:port`, or `https://` with `tls`. */
  readonly address: string;
  /** With `auth`. */
  readonly root: { readonly username: string; readonly password: string } | undefined;
  /** Paths of PEM files with `tls`: the CA, and a client certificate with its key. */
  readonly tls: { readonly caFile: string; readonly certFile: string; readonly keyFile: string } | undefined;
};

/** One etcd member on loopback. */
export async function openEtcd(options: EtcdOptions = {}): Promise<Etcd> {
  const { etcd } = await ensureTools(['etcd']);
  const scratch = await openScratch('etcd', options.directory);
  const tls = options.tls ? await certificatesIn(join(scratch.path, 'tls')) : undefined;
  const root = options.auth ? { username: 'root', password: randomUUID() } : undefined;
  return onFreePorts(['client', 'peer', 'metrics'], async (ports) => {
    const address = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${ports.client}`;
    const metrics = `http://127.0.0.1:${ports.metrics}`;
    const peer = `http://127.0.0.1:${ports.peer}`;
    const server = await openProcess({
      name: 'etcd',
      command: etcd,
      args: [
        '--name=roster',
        `--data-dir=${join(scratch.path, 'data')}`,
        `--listen-client-urls=${address}`,
        `--advertise-client-urls=${address}`,
        `--listen-peer-urls=${peer}`,
        `--initial-advertise-peer-urls=${peer}`,
        `--initial-cluster=roster=${peer}`,
        '--log-level=warn',
        ...(tls === undefined
          ? []
          : [
              `--listen-metrics-urls=${metrics}`,
              `--cert-file=${tls.serverCertFile}`,
              `--key-file=${tls.serverKeyFile}`,
              `--trusted-ca-file=${tls.caFile}`,
              '--client-cert-auth',
            ]),
        ...(options.fsync === false ? ['--unsafe-no-fsync'] : []),
        ...(options.args ?? []),
      ],
      logPath: join(scratch.path, 'etcd.log'),
      ready: () => answers(`${tls === undefined ? address : metrics}/health`),
      ...(options.directory === undefined ? { scratch: scratch.path } : {}),
      ...(options.outlive === undefined ? {} : { outlive: options.outlive }),
    });
    if (root !== undefined) await enableUsers(address, root);
    return {
      name: server.name,
      address,
      root,
      tls,
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

async function certificatesIn(directory: string) {
  const { consul } = await ensureTools(['consul']);
  return makeCertificates(consul, directory);
}

async function enableUsers(address: string, { username, password }: { username: string; password: string }) {
  for (const [path, body] of [
    ['user/add', { name: username, password }],
    ['role/add', { name: username }],
    ['user/grant', { user: username, role: username }],
    ['enable', {}],
  ] as const) {
    const answer = await fetch(`${address}/v3/auth/${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`etcd: POST /v3/auth/${path}: ${answer.status} ${await answer.text()}`);
  }
}
