import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { batchesOf, createBatchLimit, type Parcel } from '../../src/registries/zookeeper/batches.ts';
import { NotZooKeeper } from '../../src/registries/zookeeper/codes.ts';
import { frameReader } from '../../src/registries/zookeeper/frames.ts';
import { multi, type Operation, sizeOf } from '../../src/registries/zookeeper/requests.ts';
import { requestBytes } from '../../src/registries/zookeeper/wire.ts';

it('frames come out as they went in, however the network cuts them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (contents, cuts) => {
        const stream = Buffer.concat(contents.flatMap((content) => [lengthOf(content.length), content]));
        const seen: Buffer[] = [];
        const read = frameReader((frame) => seen.push(Buffer.from(frame)));
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const end = at + (cuts[turn % cuts.length] ?? 1);
          read(stream.subarray(at, end));
          at = end;
        }
        assert.deepEqual(
          seen,
          contents.map((content) => Buffer.from(content)),
        );
      },
    ),
  );
});

it('a length that is none is no frame', () => {
  for (const length of [-1, 0x48545450]) {
    assert.throws(() => frameReader(() => assert.fail())(lengthOf(length)), NotZooKeeper);
  }
});

const operation = fc.record({
  path: fc.string({ minLength: 1, maxLength: 20 }),
  size: fc.integer({ min: 0, max: 400 }),
});
const specs = fc.array(
  fc.record({ operations: fc.array(operation, { minLength: 1, maxLength: 3 }), alone: fc.boolean() }),
  { maxLength: 40 },
);

it('no batch is over the limit unless it is one change, nothing is lost or out of order, and who is to be alone is', () => {
  fc.assert(
    fc.property(specs, fc.integer({ min: 200, max: 3_000 }), (given, bytes) => {
      const parcels = given.map(
        ({ operations, alone }, item): Parcel<number> => ({
          item,
          alone,
          operations: operations.map(
            ({ path, size }): Operation => ({ kind: 'set', path, data: Buffer.alloc(size), version: 0 }),
          ),
        }),
      );
      const batches = batchesOf(parcels, bytes);
      assert.deepEqual(batches.flat(), parcels);
      for (const batch of batches) {
        const size = batch.flatMap(({ operations }) => operations).reduce((sum, one) => sum + sizeOf(one), 0);
        assert.ok(batch.length === 1 || (size <= bytes && batch.every(({ alone }) => !alone)));
      }
    }),
  );
});

it('what an operation is counted as is never less than what it takes on the wire', () => {
  const acl = [
    { scheme: 'auth', id: '', permissions: 31 },
    { scheme: 'world', id: 'anyone', permissions: 31 },
  ];
  const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 });
  const operations = fc.array(
    fc.oneof(
      fc.record({ path: text, content: text, ephemeral: fc.boolean() }).map(
        ({ path, content, ephemeral }): Operation => ({
          kind: 'create',
          path,
          data: Buffer.from(content),
          acl,
          ephemeral,
        }),
      ),
      fc
        .record({ path: text, content: text })
        .map(({ path, content }): Operation => ({ kind: 'set', path, data: Buffer.from(content), version: 0 })),
      text.map((path): Operation => ({ kind: 'remove', path, version: 0 })),
      text.map((path): Operation => ({ kind: 'check', path, version: -1 })),
    ),
    { minLength: 1, maxLength: 30 },
  );
  fc.assert(
    fc.property(operations, (given) => {
      const counted = given.reduce((sum, one) => sum + sizeOf(one), 0);
      // The length, the header of the request and the end of the transaction.
      assert.ok(requestBytes(multi(given), 1).length <= counted + 21);
    }),
  );
});

it('the version 0 of an operation is the version 0 on the wire', () => {
  for (const kind of ['set', 'remove'] as const) {
    const bytesAt = (version: number) =>
      requestBytes(multi([{ kind, path: '/a', data: Buffer.from('x'), version }]), 1);
    const [zero, any] = [bytesAt(0), bytesAt(-1)];
    const differing = [...zero.keys()].filter((at) => zero[at] !== any[at]);
    assert.deepEqual(
      differing.map((at) => zero[at]),
      [0, 0, 0, 0],
    );
  }
});

it('batches grow smaller when connections are lost over them twice in a row, and not for one that many waited on', () => {
  const limit = createBatchLimit();
  const [first, second, third, fourth] = [new Error('1'), new Error('2'), new Error('3'), new Error('4')];
  const before = limit.bytes();
  assert.deepEqual([limit.lost(first, 900), limit.lost(first, 1_000)], [false, false]);
  limit.passed(1_000);
  assert.equal(limit.lost(second, 1_000), false);
  assert.equal(limit.bytes(), before);
  // What is smaller passes all the time.
  limit.passed(999);
  assert.deepEqual([limit.lost(third, 500), limit.lost(third, 1_000)], [true, true]);
  assert.equal(limit.bytes(), before / 2);
  limit.passed(1_000);
  assert.equal(limit.lost(fourth, 1_000), false);
  assert.equal(limit.bytes(), before / 2);
});

function lengthOf(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(length);
  return bytes;
}
