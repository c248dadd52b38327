import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Service } from '../../src/api/core.ts';
import { services } from '../../src/kubernetes/resources.ts';
import { createStore } from '../../src/kubernetes/store.ts';
import { service } from './scripted-server.ts';

const made = (name: string, version: number, app: string): Service => {
  const parsed = services.parse(service(name, version, `uid-${name}`, { labels: { app } }));
  assert.ok(parsed);
  return parsed;
};

const byApp = { app: ({ metadata }: Service) => [metadata.labels['app'] ?? '', 'any'] };
const namesOf = (objects: Iterable<Service>) => [...objects].map(({ metadata }) => metadata.name).sort();

test('an index holds exactly the objects that a search through all would find, whatever came and went', () => {
  const step = fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    app: fc.constantFrom('x', 'y'),
    removed: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const { reader, writer } = createStore<Service>(byApp);
      steps.forEach(({ name, app, removed }, i) => {
        if (removed) writer.remove(`shop/${name}`);
        else writer.put(made(name, i + 1, app));
        for (const value of ['x', 'y']) {
          const expected = [...reader.all()].filter(({ metadata }) => metadata.labels['app'] === value);
          assert.deepEqual(namesOf(reader.by('app', value)), namesOf(expected));
          assert.ok(reader.by('app', value).every((object) => reader.get(`shop/${object.metadata.name}`) === object));
        }
        assert.equal(reader.by('app', 'any').length, reader.size);
        assert.equal(reader.wasDeleted(`shop/${name}`), removed);
      });
    }),
  );
});

test('an index that was not declared is a mistake of the caller', () => {
  assert.throws(() => createStore<Service>(byApp).reader.by('apps', 'x'), /no index "apps": the store has app/);
});

test('waiting for the first list ends with it, or with the signal', async () => {
  const { reader, writer } = createStore<Service>();
  const controller = new AbortController();
  const given = reader.whenSynced(controller.signal);
  const aborted = new AbortController();
  const gone = reader.whenSynced(aborted.signal);
  aborted.abort(new Error('enough'));
  await assert.rejects(gone, /enough/);
  assert.equal(reader.synced, false);
  writer.markSynced();
  await given;
  assert.equal(reader.synced, true);
  await reader.whenSynced(aborted.signal);
});

test('how an object is known to be gone is remembered, and what was seen outweighs what was proved', () => {
  const { reader, writer } = createStore<Service>();
  writer.remove('shop/seen');
  writer.remove('shop/proved', 'proved');
  assert.deepEqual(
    ['shop/seen', 'shop/proved', 'shop/other'].map((key) => reader.deletion(key)),
    ['seen', 'proved', undefined],
  );
  writer.remove('shop/seen', 'proved');
  assert.equal(reader.deletion('shop/seen'), 'seen');
  const going = made('going', 1, 'x');
  writer.put({ ...going, metadata: { ...going.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } });
  writer.remove('shop/going', 'proved');
  assert.equal(reader.deletion('shop/going'), 'seen', 'it was seen to be about to go');
  writer.put(made('seen', 2, 'x'));
  assert.equal(reader.deletion('shop/seen'), undefined);
});

test('what is known of deleted objects is forgotten, oldest first, when it becomes too much', () => {
  const { reader, writer } = createStore<Service>();
  for (let i = 0; i < 20_001; i++) writer.remove(`shop/s${i}`);
  assert.equal(reader.wasDeleted('shop/s0'), false);
  assert.equal(reader.wasDeleted('shop/s1'), true);
  assert.equal(reader.wasDeleted('shop/s20000'), true);
});
