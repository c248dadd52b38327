import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Service } from '../../src/api/core.ts';
import { createIntake } from '../../src/kubernetes/intake.ts';
import { services } from '../../src/kubernetes/resources.ts';
import { createStore } from '../../src/kubernetes/store.ts';
import { service } from './scripted-server.ts';

const CONFIRM_MS = 30_000;

/** Lists that take no time, and events, of Services that are told apart by name and version. */
function reading() {
  const { reader: store, writer } = createStore<Service>();
  const told: string[] = [];
  const intake = createIntake({
    resource: services,
    writer,
    confirmMs: CONFIRM_MS,
    malformed: () => {},
    emit: (deltas) => told.push(...deltas.map(({ type, object }) => `${type} ${object.metadata.name}`)),
  });
  const raw = (name: string, version: number) => service(name, version, `uid-${name}`, {});
  return {
    store,
    told: () => told.splice(0),
    list(at: number, version: number, objects: Readonly<Record<string, number>>) {
      const entries = Object.entries(objects).map(([name, of]) => intake.read(raw(name, of)));
      return intake.takeList({ resourceVersion: String(version), entries, startedAt: at, finishedAt: at });
    },
    event: (name: string, version: number) =>
      assert.ok(intake.takeEvent({ type: 'MODIFIED', object: raw(name, version) }).ok),
  };
}

describe('what is known to be doubtful', () => {
  it('is what the last list lacked, until it is back, whether it changed or not, and that is told', () => {
    const { store, told, list, event } = reading();
    list(0, 10, { a: 1, b: 2 });
    assert.deepEqual([store.isMissing('shop/a'), store.isMissing('shop/b')], [false, false]);
    list(1, 11, {});
    assert.deepEqual([store.isMissing('shop/a'), store.isMissing('shop/b'), store.complete], [true, true, true]);
    event('a', 12);
    assert.deepEqual([store.isMissing('shop/a'), store.isMissing('shop/b')], [false, true]);
    told();
    list(2, 13, { a: 12, b: 2 });
    assert.deepEqual([store.isMissing('shop/a'), store.isMissing('shop/b')], [false, false]);
    assert.deepEqual(told(), ['applied b']);
    list(3, 14, { a: 12, b: 2 });
    assert.deepEqual(told(), []);
  });

  it('is everything after a first list without anything, until another list has something, which is told once more', () => {
    const { store, told, list, event } = reading();
    list(0, 10, {});
    assert.equal(store.complete, false);
    event('a', 11);
    list(CONFIRM_MS, 12, {});
    assert.equal(store.complete, false, 'it lacks what was seen');
    told();
    list(2 * CONFIRM_MS, 13, { a: 11, b: 2 });
    assert.equal(store.complete, true);
    assert.deepEqual(told().sort(), ['applied a', 'applied b']);
  });

  it('is nothing where two lists without anything came far enough apart', () => {
    const { store, list } = reading();
    list(0, 10, {});
    list(CONFIRM_MS - 1, 11, {});
    assert.equal(store.complete, false);
    list(CONFIRM_MS, 12, {});
    assert.equal(store.complete, true);
  });
});

describe('a list with an object older than it is cached, whatever the revision of the list', () => {
  it('is refused, until a second one far enough later shows that the cluster was restored, and then is all that counts', () => {
    const { store, told, list, event } = reading();
    list(0, 10, { a: 1, b: 2, late: 9 });
    event('a', 12);
    told();
    assert.equal(list(1, 1_000, { a: 1, b: 2 }), 'older');
    assert.equal(list(CONFIRM_MS, 1_001, { a: 1, b: 2 }), 'older');
    assert.deepEqual([told(), store.get('shop/a')?.metadata.resourceVersion], [[], '12']);
    assert.equal(list(CONFIRM_MS + 1, 1_002, { a: 1, b: 1_001 }), 'taken');
    assert.deepEqual(told(), ['applied a', 'applied b']);
    assert.equal(store.get('shop/a')?.metadata.resourceVersion, '1');
    // What it lacks is another matter: it goes by two lists and a 404, as ever.
    assert.ok(store.isMissing('shop/late'));
  });

  it('counts for nothing when the next one shows what is cached', () => {
    const { store, told, list } = reading();
    list(0, 10, { a: 5 });
    told();
    assert.equal(list(1, 11, { a: 4 }), 'older');
    assert.equal(list(2, 12, { a: 5 }), 'taken');
    assert.equal(list(CONFIRM_MS + 2, 13, { a: 4 }), 'older');
    assert.deepEqual([told(), store.get('shop/a')?.metadata.resourceVersion], [[], '5']);
  });
});
