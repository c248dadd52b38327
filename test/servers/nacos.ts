import { join } from 'node:path';
import { ensureTools } from '../tools/build.ts';
import { answers, onFreePorts, openProcess, openScratch, type ServerProcess } from './process.ts';

export type NacosOptions = {
  /** True: calls need a login; the account is `nacos` with the password `nacos`. */
  auth?: boolean;
  /** Properties of the server, over ours. */
  properties?: Readonly<Record<string, string | number>>;
  /** Kept, and used again when it holds data. Default: a temporary directory that `stop` removes. */
  directory?: string;
  outlive?: boolean;
};

/** What a client of one Nacos server needs. */
export type Nacos = {
  /** `http://127.0.0.1:port`; the HTTP API is below `/nacos`, gRPC is served 1,000 ports higher. */
  readonly address: string;
  readonly grpcPort: number;
};

export type NacosServer = Nacos & ServerProcess;

export const nacosAt = (address: string): Nacos => ({ address, grpcPort: Number(new URL(address).port) + GRPC_OFFSET });

/** One Nacos server in standalone mode, which has both kinds of instances, with its embedded database. */
export async function openNacos(options: NacosOptions = {}): Promise<NacosServer> {
  const { nacos: command } = await ensureTools(['nacos']);
  const scratch = await openScratch('nacos', options.directory);

  const open = async ({ web: port }: { readonly web: number }): Promise<NacosServer> => {
    const address = `http://127.0.0.1:${port}`;
    const properties = {
      'server.port': port,
      'server.address': '127.0.0.1',
      'server.servlet.contextPath': '/nacos',
      'nacos.inetutils.ip-address': '127.0.0.1',
      'nacos.core.auth.system.type': 'nacos',
      'nacos.core.auth.enabled': options.auth === true,
      'nacos.core.auth.plugin.nacos.token.secret.key': Buffer.from('roster-test'.repeat(4)).toString('base64'),
      'nacos.core.auth.server.identity.key': 'roster',
      'nacos.core.auth.server.identity.value': 'test',
      'server.tomcat.basedir': join(scratch.path, 'tomcat'),
      // By default it gives up its start when its embedded database is not there in three seconds.
      'db.pool.config.connectionTimeout': 240_000,
      ...options.properties,
    };
    const server = await openProcess({
      name: 'nacos',
      command,
      args: Object.entries(properties).map(([key, value]) => `--${key}=${value}`),
      env: { JDK_JAVA_OPTIONS: javaOptions(scratch.path) },
      logPath: join(scratch.path, 'nacos.log'),
      ready: async () =>
        (await answers(`${address}/nacos/v1/ns/operator/metrics`)) && (options.auth !== true || takesLogins(address)),
      readyTimeoutMs: 300_000,
      ...(options.directory === undefined ? { scratch: scratch.path } : {}),
      ...(options.outlive === undefined ? {} : { outlive: options.outlive }),
    });
    return {
      ...nacosAt(address),
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
  };
  return onFreePorts(['web'], open, OTHER_PORTS);
}

/** The server reads its accounts some seconds after it began to serve. */
async function takesLogins(address: string): Promise<boolean> {
  const login = `${address}/nacos/v1/auth/login?username=nacos&password=nacos`;
  const { ok } = await fetch(login, { method: 'POST', signal: AbortSignal.timeout(2000) });
  return ok;
}

const GRPC_OFFSET = 1000;

/** Raft, gRPC for clients, gRPC for other servers: their distances from the HTTP port are fixed in Nacos. */
const OTHER_PORTS = [-1000, 1000, 1001];

function javaOptions(home: string): string {
  return [
    '-Xmx512m',
    '-XX:+UseSerialGC',
    // Its file is left behind by a server that is killed.
    '-XX:-UsePerfData',
    // Its database waits for the disk some hundred times while it is made.
    '-Dderby.system.durability=test',
    '-Dnacos.standalone=true',
    // One thread renews the views of all services, so they come in the order of the changes; tests wait by that.
    '-Dnacos.common.processors=1',
    `"-Dnacos.home=${home}"`,
    // It keeps logs and a cache there, whatever its home is.
    `"-Duser.home=${home}"`,
    `"-Djava.io.tmpdir=${home}"`,
  ].join(' ');
}
