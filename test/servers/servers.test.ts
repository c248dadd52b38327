import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { consulAt, openConsul } from './consul.ts';
import { KubectlError } from './control-plane.ts';
import { answers, onFreePorts, openProcess, openScratch } from './process.ts';
import { sharedControlPlane } from './shared.ts';
import { until } from './until.ts';

const cluster = await sharedControlPlane();
const namespace = 'servers-test';

describe('the control plane', () => {
  before(() => cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }]));
  after(() => cluster.kubectl(['delete', 'namespace', namespace, '--wait=false']));

  it('makes an EndpointSlice of ready addresses from a Deployment and a Service', async () => {
    await cluster.apply([
      deployment('web', 3),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web', namespace },
        spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
      },
    ]);
    const slices = await until('three ready addresses of the Service web', async () => {
      const text = await cluster.kubectl([
        'get',
        'endpointslices',
        `--namespace=${namespace}`,
        '--selector=kubernetes.io/service-name=web',
        '-o',
        'json',
      ]);
      const items: Slice[] = JSON.parse(text).items;
      const ready = items.flatMap((slice) => slice.endpoints ?? []).filter((endpoint) => endpoint.conditions.ready);
      return ready.length === 3 ? items : undefined;
    });
    const addresses = slices.flatMap((slice) => (slice.endpoints ?? []).flatMap((endpoint) => endpoint.addresses));
    assert.equal(new Set(addresses).size, 3);
    assert.deepEqual(
      slices.map((slice) => slice.ports),
      [[{ name: 'http', port: 8080, protocol: 'TCP' }]],
    );
  });

  it('tells its own version, which is the pinned one', async () => {
    const version = JSON.parse(await cluster.kubectl(['version', '-o', 'json']));
    const gomod = await readFile(join(import.meta.dirname, '../tools/kubernetes/go.mod'), 'utf8');
    const pinned = /k8s\.io\/kubernetes (v\d+\.\d+)/.exec(gomod)?.[1];
    assert.ok(
      pinned !== undefined && version.serverVersion.gitVersion.startsWith(`${pinned}.`),
      JSON.stringify(version),
    );
  });

  it('refuses a user without a role, and a ServiceAccount gets what its Role allows', async () => {
    const nobody = await cluster.kubeconfigFor(cluster.tokens.nobody, namespace);
    await assert.rejects(cluster.kubectl(['get', 'pods'], { kubeconfig: nobody }), (error) => {
      assert.ok(error instanceof KubectlError);
      assert.match(error.stderr, /User "nobody" cannot list resource "pods"/);
      return true;
    });

    await cluster.kubectl(['create', 'serviceaccount', 'reader', `--namespace=${namespace}`]);
    await cluster.kubectl(['create', 'role', 'reader', '--verb=list', '--resource=pods', `--namespace=${namespace}`]);
    const grant = ['--role=reader', `--serviceaccount=${namespace}:reader`, `--namespace=${namespace}`];
    await cluster.kubectl(['create', 'rolebinding', 'reader', ...grant]);
    const token = await cluster.serviceAccountToken(namespace, 'reader');
    const reader = await cluster.kubeconfigFor(token, namespace);
    await until('the Role to be in force', () =>
      cluster.kubectl(['get', 'pods', '-o', 'name'], { kubeconfig: reader }).catch(() => undefined),
    );
    await assert.rejects(cluster.kubectl(['get', 'secrets'], { kubeconfig: reader }), KubectlError);
  });
});

describe('the Consul server', () => {
  it('writes one raft entry per transaction, and none in a whole round of its housekeeping', async () => {
    const consul = await openConsul();
    after(() => consul.stop());
    const before = await consul.raftIndex();
    const barriers = await barrierCount();
    // The leader ends each of its rounds, one a minute, with a barrier.
    await until('a round of housekeeping', async () => (await barrierCount()) > barriers || undefined, 120_000);
    assert.equal(await consul.raftIndex(), before);

    const operations = ['a', 'b', 'c'].map((key) => ({
      KV: { Verb: 'set', Key: `servers-test/${key}`, Value: 'eA==' },
    }));
    const { status } = await consul.request('PUT', '/v1/txn', operations);
    assert.equal(status, 200);
    assert.equal(await consul.raftIndex(), before + 1);

    async function barrierCount(): Promise<number> {
      const { body } = await consul.request('GET', '/v1/agent/metrics?format=prometheus');
      return Number(/^consul_raft_barrier (\S+)$/m.exec(body)?.[1] ?? 0);
    }
  });

  it('asks for a token and speaks TLS where asked to, and keeps its data over a crash', async () => {
    const consul = await openConsul({ acl: true, tls: true, persistent: true });
    after(() => consul.stop());
    const path = '/v1/kv/servers-test/kept';
    assert.equal((await consulAt(consul.address, { tls: consul.tls }).request('PUT', path, 'x')).status, 403);
    await assert.rejects(consulAt(consul.address).request('PUT', path, 'x'), {
      code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    });
    assert.equal((await consul.request('PUT', path, 'x')).body, true);

    const first = consul.pid;
    consul.kill('SIGKILL');
    await consul.restart();
    assert.notEqual(consul.pid, first);
    const { status, body } = await consul.request('GET', path);
    assert.deepEqual([status, body[0].Key], [200, 'servers-test/kept']);
  });
});

describe('a server', () => {
  it('is opened on other ports when one was taken in between', async () => {
    const holder = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(holder, 'listening');
    after(() => holder.close());
    const taken = (holder.address() as AddressInfo).port;
    const scratch = await openScratch('ports');
    const tried: number[] = [];
    const server = await onFreePorts(['web'], ({ web }) => {
      const port = tried.length === 0 ? taken : web;
      tried.push(port);
      const program = `require('http').createServer((_, response) => response.end()).listen(${port}, '127.0.0.1')`;
      return openProcess({
        name: 'web',
        command: process.execPath,
        args: ['-e', program],
        logPath: join(scratch.path, `${tried.length}.log`),
        scratch: scratch.path,
        ready: () => answers(`http://127.0.0.1:${port}`),
      });
    });
    assert.equal(tried.length, 2);
    await server.stop();
    assert.equal(isGone(server.pid), true);
    await scratch.remove();
  });

  it('ends, and leaves no data, when the process that opened it is killed', async () => {
    const script = `
      const { openConsul } = await import(${JSON.stringify(join(import.meta.dirname, 'consul.ts'))});
      const { pid, logPath } = await openConsul();
      console.log(JSON.stringify({ pid, logPath }));
      setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(owner.stdout, 'data');
    const { pid, logPath } = JSON.parse(String(line));
    process.kill(pid, 0);

    owner.kill('SIGKILL');
    await until('the server to be gone', async () => (isGone(pid) && (await isAbsent(dirname(logPath)))) || undefined);
  });
});

type Slice = {
  endpoints?: { addresses: string[]; conditions: { ready?: boolean } }[];
  ports: { name: string; port: number; protocol: string }[];
};

function deployment(name: string, replicas: number): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name, image: 'registry.example/none' }] },
      },
    },
  };
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

function isAbsent(path: string): Promise<boolean> {
  return access(path).then(
    () => false,
    () => true,
  );
}
