import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureTools } from '../tools/build.ts';
import { onFreePorts, openProcess, openScratch, type ServerProcess } from './process.ts';

export type ConsulOptions = {
  /** True: access control with the default policy `deny`; `token` is then the management token. */
  acl?: boolean;
  /** True: HTTPS only, with certificates of a CA of its own; see `tls` of the result. `mutual`: it wants one of its clients too. */
  tls?: boolean | 'mutual';
  /** True: data on disk, so that they outlive `restart` and a crash. Costs 2 s at the start (an election). */
  persistent?: boolean;
  /** A second server, on disk, of the cluster of this one, which must be `persistent`. The raft log of neither goes on when one is gone. */
  joins?: Consul;
  /** Merged over the agent's configuration file; top-level keys replace ours. */
  config?: Readonly<Record<string, unknown>>;
  /** Kept. Default: a temporary directory that `stop` removes. */
  directory?: string;
  outlive?: boolean;
};

/** What a client of one Consul server needs; all there is to a server that somebody else started. */
export type Consul = {
  /** `http://127.0.0.1:port`, or `https://` with `tls`. */
  readonly address: string;
  /** Management token with `acl`, else undefined. */
  readonly token: string | undefined;
  /** Paths of PEM files with `tls`: the CA, and a client certificate with its key. */
  readonly tls: { readonly caFile: string; readonly certFile: string; readonly keyFile: string } | undefined;
  /**
   * How many entries the server has put into its raft log since it started: the measure of writes. One transaction is
   * one entry, whatever the number of its operations; a request that changes nothing is one too. Starts again at a low
   * number with the server.
   */
  raftIndex(): Promise<number>;
  /** One request to the HTTP API, `path` from `/v1/` on. Resolves with any status; `body` is parsed JSON or text. */
  request(method: string, path: string, body?: unknown): Promise<ConsulResponse>;
};

export type ConsulResponse = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  // biome-ignore lint/suspicious/noExplicitAny: the tests know what they asked for.
  readonly body: any;
};

export type ConsulServer = Consul & ServerProcess;

const run = promisify(execFile);

/** A client of the server at `address`, with what the HTTP API of that server demands. */
export function consulAt(address: string, access: { token?: string | undefined; tls?: Consul['tls'] } = {}): Consul {
  const { token, tls } = access;

  async function request(method: string, path: string, body?: unknown): Promise<ConsulResponse> {
    const files =
      tls === undefined ? [] : await Promise.all([tls.caFile, tls.certFile, tls.keyFile].map((f) => readFile(f)));
    return new Promise((resolve, reject) => {
      const send = address.startsWith('https:') ? httpsRequest : httpRequest;
      const sent = send(
        new URL(path, address),
        {
          method,
          agent: false,
          timeout: 10_000,
          headers: token === undefined ? {} : { 'x-consul-token': token },
          ...(files.length === 0 ? {} : { ca: files[0], cert: files[1], key: files[2] }),
        },
        async (response) => {
          try {
            let text = '';
            for await (const chunk of response.setEncoding('utf8')) text += chunk;
            const json = response.headers['content-type']?.includes('json') === true && text !== '';
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: json ? JSON.parse(text) : text,
            });
          } catch (error) {
            reject(error);
          }
        },
      );
      sent.once('timeout', () => sent.destroy(new Error(`consul did not answer ${method} ${path} within 10 s`)));
      sent.once('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  return {
    address,
    token,
    tls,
    request,
    async raftIndex() {
      // Not Stats.raft.applied_index: the leader of an idle server adds a barrier to the log once a minute, which moves
      // that index without a write. The counter has the writes alone.
      const { body } = await request('GET', '/v1/agent/metrics?format=prometheus');
      const found = /^consul_raft_apply (\S+)$/m.exec(String(body));
      if (found === null)
        throw new Error(`${address} has no metric consul_raft_apply; is telemetry.prometheus_retention_time set?`);
      return Number(found[1]);
    },
  };
}

/** One Consul server that writes nothing by itself once it serves, so that every step of `raftIndex` is a client's. */
export async function openConsul(options: ConsulOptions = {}): Promise<ConsulServer> {
  const { consul: command } = await ensureTools(['consul']);
  const scratch = await openScratch('consul', options.directory);
  const token = options.acl ? randomUUID() : undefined;
  const tls = options.tls ? await makeCertificates(command, join(scratch.path, 'tls')) : undefined;
  const configPath = join(scratch.path, 'config.json');
  const nodeName = options.joins === undefined ? 'roster-test' : 'roster-test-2';
  const peers = options.joins === undefined ? [] : [await serfAddressOf(options.joins)];

  return onFreePorts(['web', 'dns', 'grpc', 'serf', 'server'], async (ports) => {
    const webPorts = tls === undefined ? { http: ports.web, https: -1 } : { http: -1, https: ports.web };
    await writeFile(
      configPath,
      JSON.stringify({
        node_name: nodeName,
        retry_join: peers,
        retry_interval: '1s',
        // Counts as soon as it is there.
        autopilot: { server_stabilization_time: '0s' },
        // What would write without being asked: network coordinates, the CA of the service mesh, peerings.
        disable_coordinates: true,
        // Leases that a test can wait for.
        session_ttl_min: '1s',
        connect: { enabled: false },
        peering: { enabled: false },
        disable_update_check: true,
        ports: {
          ...webPorts,
          dns: ports.dns,
          grpc: ports.grpc,
          grpc_tls: -1,
          serf_lan: ports.serf,
          serf_wan: -1,
          server: ports.server,
        },
        performance: { raft_multiplier: 1 },
        // Limits for the many short connections of tests are not what is tested.
        limits: { http_max_conns_per_client: 2000 },
        telemetry: { prometheus_retention_time: '24h', disable_hostname: true },
        ...(token === undefined
          ? {}
          : { acl: { enabled: true, default_policy: 'deny', tokens: { initial_management: token, agent: token } } }),
        ...(tls === undefined
          ? {}
          : {
              tls: {
                https: {
                  ca_file: tls.caFile,
                  cert_file: tls.serverCertFile,
                  key_file: tls.serverKeyFile,
                  verify_incoming: options.tls === 'mutual',
                },
              },
            }),
        ...options.config,
      }),
    );
    const client = consulAt(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${ports.web}`, { token, tls });
    const mode = modeOf(options, join(scratch.path, 'data'));
    const server = await openProcess({
      name: 'consul',
      command,
      args: ['agent', ...mode, '-bind=127.0.0.1', '-client=127.0.0.1', '-log-level=warn', `-config-file=${configPath}`],
      logPath: join(scratch.path, 'consul.log'),
      // The agent's own entry, with its tagged addresses, is the last thing that it writes by itself.
      ready: async () => {
        const { status, body } = await client.request('GET', `/v1/catalog/node/${nodeName}`);
        return status === 200 && body?.Node?.TaggedAddresses?.lan !== undefined;
      },
      ...(options.directory === undefined ? { scratch: scratch.path } : {}),
      ...(options.outlive === undefined ? {} : { outlive: options.outlive }),
    });
    return {
      ...client,
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

function modeOf({ persistent, joins }: ConsulOptions, dataDirectory: string): readonly string[] {
  if (joins !== undefined) return ['-server', `-data-dir=${dataDirectory}`];
  return persistent ? ['-server', '-bootstrap-expect=1', `-data-dir=${dataDirectory}`] : ['-dev'];
}

async function serfAddressOf(server: Consul): Promise<string> {
  const { body } = await server.request('GET', '/v1/agent/self');
  return `127.0.0.1:${body.DebugConfig.SerfPortLAN}`;
}

/** A CA with a server and a client certificate for 127.0.0.1 and localhost, made by the consul program. */
export async function makeCertificates(consul: string, directory: string) {
  await mkdir(directory, { recursive: true });
  await run(consul, ['tls', 'ca', 'create'], { cwd: directory });
  await run(consul, ['tls', 'cert', 'create', '-server', '-dc', 'dc1'], { cwd: directory });
  await run(consul, ['tls', 'cert', 'create', '-client', '-dc', 'dc1'], { cwd: directory });
  return {
    caFile: join(directory, 'consul-agent-ca.pem'),
    certFile: join(directory, 'dc1-client-consul-0.pem'),
    keyFile: join(directory, 'dc1-client-consul-0-key.pem'),
    serverCertFile: join(directory, 'dc1-server-consul-0.pem'),
    serverKeyFile: join(directory, 'dc1-server-consul-0-key.pem'),
  };
}
