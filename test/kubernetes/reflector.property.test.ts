import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import type { Service } from '../../src/api/core.ts';
import type { Delta } from '../../src/kubernetes/reflector.ts';
import { type ModelServer, modelServer } from './model-server.ts';
import { names, serviceReflection, until } from './reflection.ts';

type Step = (server: ModelServer) => void;

const NAMES = ['a', 'b', 'c', 'd', 'e'];
const name = fc.constantFrom(...NAMES);

const step: fc.Arbitrary<{ readonly told: string; readonly run: Step; readonly pauseMs: number }> = fc
  .record({
    action: fc.oneof(
      { weight: 6, arbitrary: name.map((n): [string, Step] => [`set ${n}`, (server) => server.set(n)]) },
      { weight: 4, arbitrary: name.map((n): [string, Step] => [`remove ${n}`, (server) => server.remove(n)]) },
      {
        weight: 2,
        arbitrary: fc
          .constantFrom('end', 'reset', 'truncate')
          .map((how): [string, Step] => [`cut ${how}`, (server) => server.cut(how)]),
      },
      { weight: 1, arbitrary: fc.constant<[string, Step]>(['compact', (server) => server.compact()]) },
      { weight: 1, arbitrary: fc.constant<[string, Step]>(['bookmarks', (server) => server.bookmarks()]) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(fc.integer({ min: 1, max: 3 }), fc.constantFrom(500, 503, 403, 404, 410))
          .map(([times, code]): [string, Step] => [`fail ${times} × ${code}`, (server) => server.fail(times, code)]),
      },
    ),
    pauseMs: fc.constantFrom(0, 0, 0, 1, 8, 40),
  })
  .map(({ action: [told, run], pauseMs }) => ({ told, run, pauseMs }));

test('whatever happens to objects and connections, the store ends equal to the server, and no live object was ever dropped', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      const server = await modelServer();
      const wronglyDropped: string[] = [];
      const live = new Map<string, string>();
      const onDelta = (delta: Delta<Service>) => {
        const { metadata } = delta.object;
        if (delta.type === 'applied') {
          live.set(metadata.name, metadata.uid);
          return;
        }
        assert.equal(live.get(metadata.name), metadata.uid, 'a deletion names the object that was applied before');
        live.delete(metadata.name);
        // The server may have moved on, but an object that it still holds under this UID was never gone.
        const held = uids.get(metadata.name);
        if (held === metadata.uid) wronglyDropped.push(metadata.name);
      };
      const uids = new Map<string, string>();
      const track = () => {
        uids.clear();
        for (const object of server.objects()) uids.set(object.metadata.name, object.metadata.uid);
      };
      for (const n of ['a', 'b', 'c']) server.set(n);
      track();
      const reading = await serviceReflection(server.kubeconfig, {
        pageSize: 2,
        confirmMs: 25,
        backoffMs: [1, 8],
        onDelta,
      });
      try {
        for (const { run, pauseMs } of steps) {
          run(server);
          track();
          if (pauseMs > 0) await sleep(pauseMs);
        }
        server.fail(0, 500);
        await until(
          () => names(reading.store).join() === server.truth().join() && reading.store.synced,
          `the store to show ${server.truth().join()}, not ${names(reading.store).join()}`,
          10_000,
        );
        assert.deepEqual(wronglyDropped, []);
        assert.deepEqual([...live.keys()].sort(), [...reading.store.all()].map(({ metadata }) => metadata.name).sort());
        assert.deepEqual(
          reading.log.lines.filter(({ level }) => level === 'error'),
          [],
        );
        for (const n of NAMES) {
          if (reading.store.wasDeleted(`shop/${n}`)) assert.equal(uids.has(n), false, `${n} is not deleted`);
        }
      } finally {
        await reading.stop();
        await server.close();
      }
    }),
    { numRuns: 60 },
  );
});
