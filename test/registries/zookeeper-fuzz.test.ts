// What a server of ZooKeeper's protocol, or who pretends to be one, may send; and what stands in nodes.
import assert from 'node:assert/strict';
import { type AddressInfo, createServer } from 'node:net';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { NotZooKeeper } from '../../src/registries/zookeeper/codes.ts';
import { frameReader } from '../../src/registries/zookeeper/frames.ts';
import { curatorLayout } from '../../src/registries/zookeeper/layouts/curator.ts';
import { kratosLayout } from '../../src/registries/zookeeper/layouts/kratos.ts';
import { readOwned } from '../../src/registries/zookeeper/layouts/layout.ts';
import { plainLayout } from '../../src/registries/zookeeper/layouts/plain.ts';
import { nodeOf } from '../../src/registries/zookeeper/paths.ts';
import { multi, readChildren, readNode } from '../../src/registries/zookeeper/requests.ts';
import { readEvent, readHello, readReply } from '../../src/registries/zookeeper/wire.ts';
import { sampleOf } from '../conformance/samples.ts';
import { anyBytes, anyJson, CLUSTER, open, spoiled, survives } from './hostile-answers.ts';

const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
/** Bytes with lengths among them, right and wrong ones. */
const anyFrame: fc.Arbitrary<Buffer> = fc
  .array(fc.oneof(anyBytes, fc.integer().map(int), fc.constantFrom(-1, 0, 1, 4, 2 ** 31 - 1, -(2 ** 31)).map(int)), {
    maxLength: 8,
  })
  .map((parts) => Buffer.concat(parts));

const shapeless = (read: () => unknown): void => {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof NotZooKeeper, String(error));
  }
};

describe('a frame of ZooKeeper', () => {
  it('with a length that is negative, or larger than what came, is refused before anything is made of it', () => {
    const rounds = [int(2 ** 31 - 1), int(-4)];
    for (const bytes of [rounds, [int(-2)], [int(1), int(2 ** 31 - 1)], [int(2 ** 31 - 1), Buffer.alloc(400)]]) {
      assert.throws(() => readChildren('/a').read(Buffer.concat([...bytes, Buffer.alloc(68)])), NotZooKeeper);
    }
    assert.throws(() => readNode('/a').read(Buffer.concat([int(2 ** 31 - 1), Buffer.alloc(68)])), NotZooKeeper);
    const created = [int(1), Buffer.alloc(1), int(0), int(-13)];
    assert.throws(() => multi([]).read(Buffer.concat(created)), NotZooKeeper);
  });

  it('is put together whatever the pieces, once, and never with bytes of another', () =>
    fc.assert(
      fc.property(
        fc.array(anyBytes, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }),
        (frames, cuts) => {
          const whole = Buffer.concat(frames.flatMap((frame) => [int(frame.length), frame]));
          const got: string[] = [];
          const read = frameReader((frame) => got.push(frame.toString('hex')));
          for (let from = 0, n = 0; from < whole.length; n++) {
            const size = cuts[n % cuts.length] ?? 1;
            read(whole.subarray(from, from + size));
            from += size;
          }
          assert.deepEqual(
            got,
            frames.map((frame) => frame.toString('hex')),
          );
        },
      ),
      { numRuns: 300 },
    ));

  it('that is none is refused as such by everything that reads it', () =>
    fc.assert(
      fc.property(anyFrame, (bytes) => {
        const read = frameReader((frame) => {
          for (const reader of [readHello, readReply, readEvent, readNode('/a').read, readChildren('/a').read])
            shapeless(() => reader(frame));
        });
        shapeless(() => read(bytes));
        shapeless(() => read(Buffer.concat([int(bytes.length), bytes])));
        for (const reader of [readHello, readReply, readEvent, readNode('/a').read, readChildren('/a').read])
          shapeless(() => reader(bytes));
      }),
      { numRuns: 1_000 },
    ));

  it('that ends too early is no list of children', () =>
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 8 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (names, where) => {
          const texts = names.map((name) => Buffer.from(name));
          const whole = Buffer.concat([
            int(texts.length),
            ...texts.flatMap((text) => [int(text.length), text]),
            Buffer.alloc(68),
          ]);
          assert.deepEqual(readChildren('/a').read(whole), names);
          assert.throws(
            () => readChildren('/a').read(whole.subarray(0, Math.floor((whole.length - 20) * where))),
            NotZooKeeper,
          );
        },
      ),
      { numRuns: 300 },
    ));
});

describe('a server that is none', async () => {
  let answer: readonly Buffer[] = [];
  const server = createServer((socket) => {
    let n = 0;
    socket.on('error', () => {});
    socket.on('data', () => {
      const bytes = answer[n++];
      setTimeout(() => socket.destroy(), 100);
      if (bytes === undefined) socket.end();
      else socket.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => server.close());
  const connectString = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const hello = Buffer.concat([
    int(37),
    int(0),
    int(30_000),
    Buffer.alloc(8, 1),
    int(16),
    Buffer.alloc(16, 2),
    Buffer.alloc(1),
  ]);
  const framed = anyFrame.map((bytes) => Buffer.concat([int(bytes.length), bytes]));
  const reply = fc
    .tuple(fc.integer({ min: 1, max: 4 }), fc.constantFrom(0, 0, -101, -999), anyFrame)
    .map(([xid, error, body]) => {
      const bytes = Buffer.concat([int(xid), Buffer.alloc(8), int(error), body]);
      return Buffer.concat([int(bytes.length), bytes]);
    });

  it('ends every operation with an error of a known code or a result', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(anyFrame, framed, reply), { maxLength: 5 }),
        fc.boolean(),
        async (sent, greets) => {
          answer = greets ? [hello, ...sent] : sent;
          await survives(() => open({ type: 'ZooKeeper', zookeeper: { connectString } }, 1));
        },
      ),
      { numRuns: 15 },
    ));
});

for (const [name, layout] of Object.entries({ Curator: curatorLayout, Kratos: kratosLayout, Plain: plainLayout })) {
  describe(`the content of a node (${name})`, () => {
    const ours = sampleOf(CLUSTER);
    const node = nodeOf(ours.id);
    const written = layout.write({ instance: ours, registeredAt: 1 }, node);
    const standing = { service: ours.service, node, liveness: 'persistent' as const };
    const changed = spoiled(JSON.parse(written)).map((one) => JSON.stringify(one) ?? '');
    const anyText = fc.oneof(fc.string({ unit: 'binary' }), anyJson, changed);

    it('is read or passed over, whatever it is, and changed content is never taken for what we wrote', () => {
      assert.equal(readOwned(layout, written, standing)?.instance.weight, ours.weight);
      fc.assert(
        fc.property(anyText, (text) => {
          layout.read(text, standing);
          const read = readOwned(layout, text, standing);
          if (read !== undefined && text !== written && read.instance.weight !== -1) {
            assert.equal(layout.write(read, node), text);
          }
        }),
        { numRuns: 500 },
      );
    });
  });
}
