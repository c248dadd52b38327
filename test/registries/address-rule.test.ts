import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { after, describe, it } from 'node:test';
import type { RegistryConfig } from '../../src/api/kinds.generated.ts';
import { tenantRule } from '../../src/registries/address-rule.ts';
import { createRegistry } from '../../src/registries/create.ts';
import { RegistryError } from '../../src/registries/error.ts';
import { parseRegistryConfig } from '../../src/registries/parse-config.ts';

const byDefault = tenantRule(undefined);

describe('the addresses that a tenant may name', () => {
  const open = ['10.1.2.3', '192.168.7.7', '172.16.0.1', '100.64.0.1', '203.0.113.9', '169.253.255.255', '128.0.0.1'];
  const openV6 = ['2001:db8::1', 'fd00::1', 'fd00:ec2::253', '::ffff:10.1.2.3', '64:ff9b::10.1.2.3', '2002:a01:203::1'];
  for (const address of [...open, ...openV6]) {
    it(`include ${address}`, () => assert.equal(byDefault(address), true));
  }

  const reserved: Readonly<Record<string, readonly string[]>> = {
    'the own machine': ['127.0.0.1', '127.255.255.254', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::127.0.0.1'],
    'the own machine, unspecified': ['0.0.0.0', '0.1.2.3', '::', '0:0:0:0:0:0:0:0', '::ffff:0.0.0.0', '::0.0.0.0'],
    'the own network': ['169.254.0.1', 'fe80::1', 'febf::1', 'fec0::1', '::ffff:a9fe:1'],
    metadata: [
      '169.254.169.254',
      '::ffff:169.254.169.254',
      'fd00:ec2::254',
      'fd20:ce::254',
      '100.100.100.200',
      '168.63.129.16',
    ],
    'many at once': ['224.0.0.1', '239.255.255.255', '255.255.255.255', 'ff02::1'],
    'a reserved one behind a translator': [
      '64:ff9b::127.0.0.1',
      '64:ff9b::a9fe:a9fe',
      '2002:7f00:1::1',
      '2002:a9fe:a9fe::',
    ],
    'a link of this machine': ['fe80::1%eth0', '2001:db8::1%1'],
    'no address': [
      '',
      'localhost',
      '127.1',
      '0177.0.0.1',
      '2130706433',
      '0x7f.0.0.1',
      '[::1]',
      '127.0.0.1 ',
      '10.0.0.1/8',
      '10.0.0.1\n',
    ],
  };
  for (const [what, addresses] of Object.entries(reserved)) {
    for (const address of addresses) {
      it(`exclude ${JSON.stringify(address)}: ${what}`, () => assert.equal(byDefault(address), false));
    }
  }

  it('are those of the networks alone where some are given, in whatever form', () => {
    const given = tenantRule(['10.20.0.0/16', 'fd00:20::/64', '127.0.0.0/8']);
    for (const address of ['10.20.0.1', '::ffff:10.20.0.1', 'fd00:20::9', '127.0.0.1'])
      assert.ok(given(address), address);
    for (const address of [
      '10.21.0.1',
      '::ffff:10.21.0.1',
      'fd00:21::9',
      '203.0.113.9',
      '169.254.169.254',
      '::1',
      '127.1',
    ]) {
      assert.ok(!given(address), address);
    }
  });
});

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

async function listening(server: Server): Promise<{ readonly port: number; readonly connections: () => number }> {
  let count = 0;
  servers.push(server);
  server.on('connection', (socket) => {
    count++;
    socket.on('error', () => {});
    setTimeout(() => socket.destroy(), 200);
  });
  // Of both families, where the machine has both.
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return { port: (server.address() as AddressInfo).port, connections: () => count };
}

const specs: Readonly<Record<string, (host: string, port: number) => object>> = {
  Consul: (host, port) => ({ type: 'Consul', consul: { address: `http://${host}:${port}` } }),
  'Consul over TLS': (host, port) => ({ type: 'Consul', consul: { address: `https://${host}:${port}` } }),
  etcd: (host, port) => ({ type: 'Etcd', etcd: { endpoints: [`http://${host}:${port}`] } }),
  'etcd over TLS': (host, port) => ({ type: 'Etcd', etcd: { endpoints: [`https://${host}:${port}`] } }),
  'Nacos over gRPC': (host, port) => ({
    type: 'Nacos',
    nacos: { addresses: [`http://${host}:${port - 1_000}`], protocol: 'Grpc' },
  }),
  'Nacos over HTTP': (host, port) => ({
    type: 'Nacos',
    nacos: { addresses: [`http://${host}:${port}`], protocol: 'Http' },
  }),
  Nacos: (host, port) => ({ type: 'Nacos', nacos: { addresses: [`http://${host}:${port}`] } }),
  ZooKeeper: (host, port) => ({ type: 'ZooKeeper', zookeeper: { connectString: `${host}:${port}` } }),
  'ZooKeeper over TLS': (host, port) => ({
    type: 'ZooKeeper',
    zookeeper: { connectString: `${host}:${port}`, tls: {} },
  }),
};

/** Other spellings of loopback. What cannot be written in a field is refused there, before anything is connected. */
const HOSTS = ['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '2130706433', '0177.0.0.1', '127.1', '0.0.0.0'];

function configOf(spec: object): RegistryConfig {
  const parsed = parseRegistryConfig({ ...spec, timeouts: { connectSeconds: 5, requestSeconds: 5 } });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value as RegistryConfig;
}

async function failure(spec: object, networks?: readonly string[]): Promise<RegistryError> {
  const registry = createRegistry(configOf(spec), {}, { retry: false, mayConnect: tenantRule(networks) });
  try {
    return await registry.check(AbortSignal.timeout(20_000)).then(
      () => assert.fail('it was reached'),
      (error) => (error instanceof RegistryError ? error : assert.fail(String(error))),
    );
  } finally {
    await registry.close();
  }
}

describe('a registry at an address that is not allowed', { concurrency: 10 }, () => {
  for (const [type, spec] of Object.entries(specs)) {
    for (const host of HOSTS) {
      it(`${type} at ${host} is never connected to, and told in one sentence`, async () => {
        const { port, connections } = await listening(createServer());
        const error = await failure(spec(host, port));
        assert.equal(error.code, 'not-allowed', error.message);
        assert.match(error.message, /may not reach.*--tenant-registry-networks/);
        assert.ok(!error.ambiguous);
        assert.equal(connections(), 0);
      });
    }

    it(`${type} is connected to where its network is allowed`, async () => {
      const { port, connections } = await listening(createServer());
      const error = await failure(spec('127.0.0.1', port), ['127.0.0.0/8']);
      assert.notEqual(error.code, 'not-allowed');
      assert.ok(connections() > 0);
    });
  }
});

// One after the other: many of those above wait for their time-outs at once, and an answer would come too late in that crowd.
describe('a registry that redirects', () => {
  for (const type of ['Consul', 'Nacos over HTTP'] as const) {
    for (const status of [301, 302, 307, 308]) {
      it(`${type} that answers ${status} is not followed to another address`, async () => {
        const other = await listening(createServer());
        const redirecting = createHttpServer((_, response) => {
          response.writeHead(status, { location: `http://127.0.0.1:${other.port}/v1/status/leader` }).end();
        });
        const { port, connections } = await listening(redirecting);
        const error = await failure(specs[type]?.('127.0.0.1', port) ?? assert.fail(), ['127.0.0.0/8']);
        assert.equal(error.code, 'protocol', error.message);
        assert.ok(connections() > 0);
        assert.equal(other.connections(), 0);
      });
    }
  }
});
