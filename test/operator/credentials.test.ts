import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import type { ClusterRegistry } from '../../src/api/kinds.generated.ts';
import { parseClusterRegistry } from '../../src/api/parse.ts';
import type { KubeClient, KubeRequest } from '../../src/kubernetes/client.ts';
import { hasCredentials, readCredentials } from '../../src/operator/registry/credentials.ts';

const root = await mkdtemp(join(tmpdir(), 'roster-credentials-'));
after(() => rm(root, { recursive: true, force: true }));
const never = new AbortController().signal;

describe('the credentials of a registry', () => {
  let directory = '';
  let count = 0;
  beforeEach(async () => {
    directory = `registry-${count++}`;
    await mkdir(join(root, directory));
  });
  const put = (name: string, text: string) => writeFile(join(root, directory, name), text);
  const read = (spec: object, from: { directory?: string } = { directory: root }) =>
    readCredentials({ client: clientOf({}), ...from }, registry(spec), never);

  it('come from the files of its directory, without the line break at their end', async () => {
    await put('token', 'abc \n');
    await put('ca.crt', 'line\nline\r\n');
    await put('username', 'not for Consul');
    const consul = { address: 'https://10.0.0.1:8501', tls: {} };
    assert.deepEqual(await read({ type: 'Consul', consul, credentialsDirectory: directory }), {
      ok: true,
      secrets: { token: 'abc ', ca: 'line\nline' },
    });
  });

  it('are those that this type of registry can have', async () => {
    for (const [name, text] of Object.entries({ token: 't', username: 'u', password: 'p', 'digest-auth': 'u:p' }))
      await put(name, text);
    const etcd = { type: 'Etcd', etcd: { endpoints: ['127.0.0.1:1'] } };
    const zookeeper = { type: 'ZooKeeper', zookeeper: { connectString: '127.0.0.1:1' } };
    const nacos = { type: 'Nacos', nacos: { addresses: ['http://127.0.0.1:1'] } };
    for (const [spec, secrets] of [
      [etcd, { username: 'u', password: 'p' }],
      [nacos, { username: 'u', password: 'p' }],
      [zookeeper, { digestAuth: 'u:p' }],
      [{ type: 'Memory' }, {}],
    ] as const) {
      assert.deepEqual(await read({ ...spec, credentialsDirectory: directory }), { ok: true, secrets });
    }
  });

  it('come from the Secret where one is named, and from the file where none is', async () => {
    await put('username', 'of the file');
    await put('password', 'of the file');
    const ref = (key: string) => ({ namespace: 'infra', name: 'etcd', key });
    const etcd = { endpoints: ['127.0.0.1:1'], usernameSecretRef: ref('u'), passwordSecretRef: ref('p'), tls: {} };
    await put('ca.crt', 'authority');
    const client = clientOf({ '/api/v1/namespaces/infra/secrets/etcd': { u: 'of the Secret', p: 'secret' } });
    const object = registry({ type: 'Etcd', etcd, credentialsDirectory: directory });
    assert.deepEqual(await readCredentials({ client, directory: root }, object, never), {
      ok: true,
      secrets: { username: 'of the Secret', password: 'secret', ca: 'authority' },
    });
  });

  it('cannot be read where the operator was given no directory, the directory is missing, or a file is none', async () => {
    const consul = { address: 'http://10.0.0.1:8500' };
    const problem = async (spec: object, from?: { directory?: string }) => {
      const outcome = await read({ type: 'Consul', consul, ...spec }, from);
      return outcome.ok ? assert.fail('they were read') : [outcome.reason, outcome.message];
    };
    const [reason, message] = await problem({ credentialsDirectory: directory }, {});
    assert.equal(reason, 'SecretNotFound');
    assert.match(message ?? '', /started without --credentials-directory/);
    const missing = await problem({ credentialsDirectory: 'elsewhere' });
    assert.equal(missing[0], 'SecretNotFound');
    assert.match(missing[1] ?? '', /no directory elsewhere/);
    await mkdir(join(root, directory, 'token'));
    const unreadable = await problem({ credentialsDirectory: directory });
    assert.equal(unreadable[0], 'SecretUnreadable');
    assert.match(unreadable[1] ?? '', /registry-\d+\/token .*EISDIR/);
    assert.doesNotMatch(unreadable[1] ?? '', new RegExp(root));
  });

  it('are looked at again only where there may be some', async () => {
    const consul = { address: 'http://10.0.0.1:8500' };
    assert.equal(hasCredentials(registry({ type: 'Consul', consul })), false);
    assert.equal(hasCredentials(registry({ type: 'Consul', consul, credentialsDirectory: 'a' })), true);
    const tokenSecretRef = { namespace: 'infra', name: 'consul', key: 'token' };
    assert.equal(hasCredentials(registry({ type: 'Consul', consul: { ...consul, tokenSecretRef } })), true);
  });
});

function registry(spec: object): ClusterRegistry {
  const parsed = parseClusterRegistry({
    apiVersion: 'roster.dev/v1alpha1',
    kind: 'ClusterRegistry',
    metadata: { name: 'it' },
    spec: { allowedNamespaces: { all: true }, ...spec },
  });
  return parsed.ok ? parsed.value : assert.fail(JSON.stringify(parsed.errors));
}

/** An API server that has nothing but these Secrets. */
function clientOf(secrets: Readonly<Record<string, Readonly<Record<string, string>>>>): KubeClient {
  const encoded = (values: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
  return {
    server: 'http://127.0.0.1:1',
    namespace: 'roster-system',
    request: async ({ path }: KubeRequest) => ({ data: encoded(secrets[path] ?? assert.fail(path)) }),
    stream: () => assert.fail('nothing is watched'),
    close: async () => {},
  };
}
