import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/clock.ts';
import { type KubeClient, openKubeClient } from '../../src/kubernetes/client.ts';
import { createEventRecorder } from '../../src/kubernetes/events.ts';
import { ensureFinalizer, FINALIZER, removeFinalizer } from '../../src/kubernetes/finalizer.ts';
import { type ObjectTarget, serviceRegistrations } from '../../src/kubernetes/resources.ts';
import { readSecretKey } from '../../src/kubernetes/secrets.ts';
import { createStatusWriter, type StatusUpdate } from '../../src/kubernetes/status-writer.ts';
import { sharedControlPlane } from '../servers/shared.ts';
import { recordingLog, until } from './reflection.ts';

const cluster = await sharedControlPlane();
const namespace = 'kubernetes-writing';
const never = new AbortController().signal;

interface Meta {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly finalizers?: readonly string[];
  readonly managedFields: readonly {
    readonly manager: string;
    readonly subresource?: string;
    readonly operation: string;
  }[];
}

interface Live {
  readonly metadata: Meta;
  readonly status?: Record<string, unknown>;
}

const kubectl = (...args: string[]) => cluster.kubectl([...args, `--namespace=${namespace}`]);
const live = async (name: string): Promise<Live> =>
  JSON.parse(await kubectl('get', 'sreg', name, '-o', 'json', '--show-managed-fields'));
const exists = (name: string) =>
  kubectl('get', 'sreg', name, '--ignore-not-found', '-o', 'name').then((text) => text !== '');

const registration = (name: string, finalizers: readonly string[] = []) => ({
  apiVersion: 'roster.dev/v1alpha1',
  kind: 'ServiceRegistration',
  metadata: { name, namespace, finalizers },
  spec: { registryRef: { name: 'none' }, serviceRef: { name } },
});

const made = async (name: string, finalizers: readonly string[] = []): Promise<ObjectTarget> => {
  await cluster.apply([registration(name, finalizers)]);
  return { resource: serviceRegistrations, namespace, name, uid: (await live(name)).metadata.uid };
};

describe('writing to a real API server', () => {
  let client: KubeClient;
  before(async () => {
    client = await openKubeClient({ kubeconfig: cluster.kubeconfig });
    await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }]);
    for (const file of ['serviceregistrations', 'clusterserviceregistrations', 'registries', 'clusterregistries']) {
      await cluster.apply(await readFile(`${import.meta.dirname}/../../crds/${file}.yaml`, 'utf8'));
    }
    await cluster.kubectl([
      'wait',
      '--for=condition=Established',
      'crd/serviceregistrations.roster.dev',
      '--timeout=60s',
    ]);
  });
  after(async () => {
    await client.close();
    await cluster.kubectl(['delete', 'namespace', namespace, '--wait=false']);
  });

  describe('a status', () => {
    const condition = (status: string) => ({
      type: 'Ready',
      status,
      reason: 'Testing',
      message: 'By a test.',
      observedGeneration: 1,
      lastTransitionTime: '2026-01-01T00:00:00Z',
    });

    it('lands once, is not written when it stands, and leaves what others have written', async () => {
      const target = await made('status');
      let wanted: Record<string, unknown> = { observedGeneration: 1, conditions: [condition('Unknown')] };
      let current: unknown = (await live('status')).status;
      const writes: boolean[] = [];
      const writer = createStatusWriter({
        client,
        clock: systemClock,
        log: recordingLog(),
        minIntervalMs: 0,
        onWrite: ({ ok }) => writes.push(ok),
        desired: (): StatusUpdate => ({ ...target, current, status: wanted, settled: true }),
      });
      writer.mark('x');
      await writer.drain(AbortSignal.timeout(20_000));
      const first = await live('status');
      assert.deepEqual(first.status, wanted);
      const ours = first.metadata.managedFields.filter(({ manager }) => manager === 'roster');
      assert.deepEqual(
        ours.map(({ subresource, operation }) => [subresource, operation]),
        [['status', 'Apply']],
      );

      current = first.status;
      writer.mark('x');
      await writer.drain(AbortSignal.timeout(20_000));
      assert.deepEqual(writes, [true]);

      // Even when the cache is behind and the same status is applied again, the object does not change.
      current = undefined;
      writer.mark('x');
      await writer.drain(AbortSignal.timeout(20_000));
      assert.deepEqual(writes, [true, true]);
      assert.equal((await live('status')).metadata.resourceVersion, first.metadata.resourceVersion);

      const foreign = JSON.stringify({ status: { lastHandledReconcileAt: 'by-somebody-else' } });
      await kubectl('patch', 'sreg', 'status', '--subresource=status', '--type=merge', `--patch=${foreign}`);
      wanted = { observedGeneration: 1, conditions: [condition('True')], names: ['web'] };
      writer.mark('x');
      await writer.drain(AbortSignal.timeout(20_000));
      assert.deepEqual((await live('status')).status, { ...wanted, lastHandledReconcileAt: 'by-somebody-else' });

      wanted = { observedGeneration: 1, conditions: [condition('True')] };
      writer.mark('x');
      await writer.drain(AbortSignal.timeout(20_000));
      assert.equal((await live('status')).status?.['names'], undefined, 'a field that we no longer write goes');
      writer.stop();
    });

    it('never creates an object', async () => {
      const target = await made('gone-for-good');
      await kubectl('delete', 'sreg', 'gone-for-good');
      const log = recordingLog();
      const update = { ...target, current: undefined, status: { observedGeneration: 1 }, settled: true };
      let cached = true;
      const writer = createStatusWriter({
        client,
        clock: systemClock,
        log,
        desired: () => (cached ? update : undefined),
        onWrite() {
          cached = false;
        },
      });
      writer.mark('x');
      await writer.drain(AbortSignal.timeout(20_000));
      assert.equal(writer.pending, 0);
      assert.deepEqual(
        log.lines.map(({ message }) => message),
        ['the object of a status is not there, deciding anew'],
      );
      assert.equal(await exists('gone-for-good'), false);
      writer.stop();
    });

    it('of an object that was replaced is refused, and decided anew for the new one', async () => {
      const old = { ...(await made('replaced')), resourceVersion: (await live('replaced')).metadata.resourceVersion };
      await kubectl('delete', 'sreg', 'replaced');
      const fresh = await made('replaced');
      let cache: Omit<StatusUpdate, 'status' | 'settled' | 'current'> = old;
      const failed: string[] = [];
      const writer = createStatusWriter({
        client,
        clock: systemClock,
        log: recordingLog(),
        desired: () => ({ ...cache, current: undefined, status: { names: [cache.uid] }, settled: true }),
        onWrite({ ok, update }) {
          if (ok) return;
          failed.push(update.uid);
          cache = fresh;
        },
      });
      writer.mark('x');
      await until(async () => (await live('replaced')).status?.['names'] !== undefined, 'a status');
      assert.deepEqual((await live('replaced')).status?.['names'], [fresh.uid]);
      assert.deepEqual(failed, [old.uid]);
      writer.stop();
    });

    it('that landed on a new object of the same name all the same is mended', async () => {
      const old = await made('replaced-unseen');
      await kubectl('delete', 'sreg', 'replaced-unseen');
      const fresh = await made('replaced-unseen');
      let cache = old;
      const writer = createStatusWriter({
        client,
        clock: systemClock,
        log: recordingLog(),
        minIntervalMs: 0,
        desired: () => ({ ...cache, current: undefined, status: { names: [cache.uid] }, settled: true }),
        onWrite: () => {
          cache = fresh;
        },
      });
      writer.mark('x');
      await writer.drain(AbortSignal.timeout(20_000));
      assert.deepEqual((await live('replaced-unseen')).status?.['names'], [fresh.uid]);
      writer.stop();
    });
  });

  describe('the finalizer', () => {
    it('is put on once, beside those of others, and holds the object until it is taken off', async () => {
      const target = await made('held', ['example.com/theirs']);
      assert.equal(await ensureFinalizer(client, target, never), 'held');
      const first = (await live('held')).metadata;
      assert.deepEqual([...(first.finalizers ?? [])].sort(), ['example.com/theirs', FINALIZER]);
      assert.equal(await ensureFinalizer(client, target, never), 'held');
      assert.equal((await live('held')).metadata.resourceVersion, first.resourceVersion);

      await cluster.apply([registration('held', ['example.com/theirs'])]);
      assert.ok(
        (await live('held')).metadata.finalizers?.includes(FINALIZER),
        'the owner of the object applies it again',
      );

      await kubectl('delete', 'sreg', 'held', '--wait=false');
      await removeFinalizer(client, target, never);
      assert.deepEqual((await live('held')).metadata.finalizers, ['example.com/theirs']);
      await removeFinalizer(client, target, never);
      await kubectl('patch', 'sreg', 'held', '--type=json', '--patch=[{"op":"remove","path":"/metadata/finalizers"}]');
      await until(async () => !(await exists('held')), 'the end of the object');
      await removeFinalizer(client, target, never);
    });

    it('comes off even when somebody else has put it on, as a restored backup does', async () => {
      const target = await made('restored', [FINALIZER]);
      assert.equal(await ensureFinalizer(client, target, never), 'held');
      await removeFinalizer(client, target, never);
      assert.equal((await live('restored')).metadata.finalizers, undefined);
    });

    it('is put on no object that is missing, being deleted, or another one of the same name', async () => {
      const target = await made('gone', ['example.com/theirs']);
      await kubectl('delete', 'sreg', 'gone', '--wait=false');
      assert.equal(await ensureFinalizer(client, target, never), 'gone');
      assert.deepEqual((await live('gone')).metadata.finalizers, ['example.com/theirs']);

      await kubectl('patch', 'sreg', 'gone', '--type=json', '--patch=[{"op":"remove","path":"/metadata/finalizers"}]');
      await until(async () => !(await exists('gone')), 'the end of the object');
      assert.equal(await ensureFinalizer(client, target, never), 'gone');
      assert.equal(await exists('gone'), false);

      const next = await made('gone', [FINALIZER]);
      assert.equal(await ensureFinalizer(client, target, never), 'gone');
      await removeFinalizer(client, target, never);
      assert.deepEqual(
        (await live('gone')).metadata.finalizers,
        [FINALIZER],
        'that of the new object is not ours to take',
      );
      await removeFinalizer(client, next, never);
    });

    it('is put on by many at once without an error', async () => {
      const target = await made('contended');
      const results = await Promise.all(Array.from({ length: 6 }, () => ensureFinalizer(client, target, never)));
      assert.deepEqual(new Set(results), new Set(['held']));
      await Promise.all(Array.from({ length: 6 }, () => removeFinalizer(client, target, never)));
      assert.equal((await live('contended')).metadata.finalizers, undefined);
    });
  });

  describe('an Event', () => {
    it('is what kubectl shows, counted up when it comes again', async () => {
      const target = await made('evented');
      const recorder = createEventRecorder({ client, clock: systemClock, log: recordingLog(), instance: 'roster-0' });
      for (let i = 0; i < 5; i++)
        recorder.record(target, 'Warning', 'RegistryUnreachable', 'The registry consul does not answer.');
      recorder.record(target, 'Normal', 'Synced', 'ü'.repeat(3000));
      await recorder.drain(AbortSignal.timeout(20_000));

      const events = JSON.parse(
        await kubectl('get', 'events', '-o', 'json', `--field-selector=involvedObject.uid=${target.uid}`),
      ).items;
      const told = events.map((item: Record<string, { count?: number }>) => [
        item['type'],
        item['reason'],
        item['series']?.count,
      ]);
      assert.deepEqual(told.sort(), [
        ['Normal', 'Synced', undefined],
        ['Warning', 'RegistryUnreachable', 5],
      ]);
      const described = await kubectl('describe', 'sreg', 'evented');
      assert.match(described, /Warning\s+RegistryUnreachable\s.*The registry consul does not answer\./);
      assert.match(described, /roster\.dev\/operator/);
    });

    it('about an object that has no namespace is in "default"', async () => {
      const { clusterRegistries } = await import('../../src/kubernetes/resources.ts');
      const target = { resource: clusterRegistries, name: 'events-test', uid: 'a3f1f3d4-0000-4000-8000-000000000001' };
      const recorder = createEventRecorder({ client, clock: systemClock, log: recordingLog(), instance: 'roster-0' });
      recorder.record(target, 'Normal', 'Ready', 'The registry answers.');
      await recorder.drain(AbortSignal.timeout(20_000));
      const found = await cluster.kubectl([
        'get',
        'events.events.k8s.io',
        '--namespace=default',
        '--field-selector=regarding.name=events-test',
        '-o',
        'name',
      ]);
      assert.match(found, /events-test/);
    });

    it('that cannot be written is dropped without a word to the caller', async () => {
      const nobody = await openKubeClient({ kubeconfig: await cluster.kubeconfigFor(cluster.tokens.nobody) });
      const log = recordingLog();
      const recorder = createEventRecorder({ client: nobody, clock: systemClock, log, instance: 'roster-0' });
      recorder.record(await made('uneventful'), 'Normal', 'Synced', 'All is well.');
      await recorder.drain(AbortSignal.timeout(20_000));
      await nobody.close();
      assert.deepEqual(
        log.lines.map(({ level }) => level),
        ['debug'],
      );
    });
  });

  describe('a Secret', () => {
    it('gives the value of a key, or says what is missing and how to mend it, never with a value', async () => {
      const bytes = Buffer.from([0xff, 0xfe, 0x00]).toString('base64');
      const data = { token: Buffer.from('s3cret ü').toString('base64'), binary: bytes, empty: '' };
      await cluster.apply([{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'consul', namespace }, data }]);
      const nobody = await openKubeClient({ kubeconfig: await cluster.kubeconfigFor(cluster.tokens.nobody) });
      const ask = (key: string, name = 'consul', by = client) => readSecretKey(by, { namespace, name, key }, never);

      assert.deepEqual(await ask('token'), { ok: true, value: 's3cret ü' });
      assert.deepEqual(await ask('empty'), { ok: true, value: '' });
      const answers = [
        await ask('other'),
        await ask('token', 'none'),
        await ask('token', 'consul', nobody),
        await ask('binary'),
      ];
      await nobody.close();
      answers.push(await ask('token', 'consul', nobody));
      const reasons = answers.map((answer) => (answer.ok ? 'ok' : answer.reason));
      assert.deepEqual(reasons, [
        'SecretKeyNotFound',
        'SecretNotFound',
        'SecretForbidden',
        'SecretUnreadable',
        'SecretUnreadable',
      ]);
      for (const answer of answers) {
        assert.ok(!answer.ok && answer.message.includes(`Secret ${namespace}/`), JSON.stringify(answer));
        assert.doesNotMatch(answer.message, /s3cret/);
      }
    });
  });
});
