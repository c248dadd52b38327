import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { createEvents } from '../../src/registries/zookeeper/events.ts';
import { ConnectionLost } from '../../src/registries/zookeeper/loss.ts';
import type { Operation } from '../../src/registries/zookeeper/requests.ts';
import type { TreeEvent } from '../../src/registries/zookeeper/wire.ts';

const operation = (kind: TreeEvent['kind'], path: string): Extract<Operation, { kind: TreeEvent['kind'] }> =>
  kind === 'create'
    ? { kind, path, data: Buffer.alloc(0), acl: [] }
    : { kind, path, data: Buffer.alloc(0), version: 0 };

const paths = ['/s/web/a', '/s/web/b', '/s/db/a'];
const steps = fc.array(
  fc.oneof(
    fc.record({
      by: fc.constant('them' as const),
      kind: fc.constantFrom('create', 'set', 'remove'),
      path: fc.constantFrom(...paths),
    }),
    fc.record({
      by: fc.constant('us' as const),
      operations: fc.uniqueArray(fc.constantFrom(...paths), { minLength: 1 }),
      done: fc.boolean(),
      // What others do between our sending and the answer.
      meanwhile: fc.array(
        fc.record({ kind: fc.constantFrom('create', 'set', 'remove'), path: fc.constantFrom(...paths) }),
        {
          maxLength: 3,
        },
      ),
    }),
  ),
  { maxLength: 30 },
);

it('what others do is told, whatever of our own is under way, and our own writes are told from it when they were done', () => {
  fc.assert(
    fc.property(steps, (given) => {
      const events = createEvents();
      let theirs = 0;
      events.listen('/s', (_event, ours) => {
        if (!ours) theirs++;
      });
      for (const step of given) {
        const before = theirs;
        if (step.by === 'them') {
          events.heard(step);
          assert.equal(theirs, before + 1);
          continue;
        }
        const operations = step.operations.map((path) => operation('set', path));
        const answered = events.writing(operations);
        for (const event of step.meanwhile) events.heard(event);
        // A server tells all of a transaction, or nothing.
        if (step.done) for (const { kind, path } of operations) events.heard({ kind, path });
        answered(step.done);
        // As many as others did: each of ours accounts for one event of its kind and path.
        assert.equal(theirs, before + step.meanwhile.length);
      }
    }),
  );
});

it('events go to who listens at the node or above it, and to nobody who has left', () => {
  const events = createEvents();
  const heard: string[] = [];
  const at = (path: string) => events.listen(path, (event) => heard.push(`${path} ${event.path}`));
  const [all, web, second] = [at('/s'), at('/s/web'), at('/s/web')];
  events.heard({ kind: 'set', path: '/s/web/a' });
  events.heard({ kind: 'set', path: '/s/website/a' });
  assert.deepEqual(heard, ['/s/web /s/web/a', '/s/web /s/web/a', '/s /s/web/a', '/s /s/website/a']);
  assert.equal(events.watched(), 2);

  heard.length = 0;
  assert.deepEqual([web.leave(), second.leave(), all.leave()], [false, true, true]);
  events.heard({ kind: 'set', path: '/s/web/a' });
  assert.deepEqual([heard, events.watched()], [[], 0]);
});

it('the end of the connection is told to all who listen', async () => {
  const events = createEvents();
  const lost = new ConnectionLost('hung-up');
  const listening = [events.listen('/s', () => {}), events.listen('/s/web', () => {})];
  events.end(lost);
  for (const { over } of listening) assert.equal(await over, lost);
});
