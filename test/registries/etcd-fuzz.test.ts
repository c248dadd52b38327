// Values that somebody else put under our keys of etcd: read as far as they go, never a defect, and never taken for ours without our marks.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createEntries } from '../../src/registries/etcd/entries.ts';
import { goMicroLayout } from '../../src/registries/etcd/layouts/go-micro.ts';
import { goZeroLayout } from '../../src/registries/etcd/layouts/go-zero.ts';
import { grpcLayout } from '../../src/registries/etcd/layouts/grpc.ts';
import { kratosLayout } from '../../src/registries/etcd/layouts/kratos.ts';
import { rosterLayout } from '../../src/registries/etcd/layouts/roster.ts';
import { sampleOf } from '../conformance/samples.ts';
import { anyJson, CLUSTER, spoiled } from './hostile-answers.ts';

const layouts = [
  rosterLayout('/services'),
  grpcLayout('/services'),
  goMicroLayout(),
  kratosLayout(),
  goZeroLayout('/services'),
];

for (const [index, layout] of layouts.entries()) {
  describe(`a value below ${layout.home} (${['Roster', 'Grpc', 'GoMicro', 'Kratos', 'GoZero'][index]})`, () => {
    const entries = createEntries('/services', layout);
    const ours = sampleOf(CLUSTER);
    const held = entries
      .filled(ours)
      .flatMap(({ key, value }) => (value === undefined ? [] : [{ key, value, revision: '1', lease: '0' }]));
    const parsed = held.map(({ value }) => {
      try {
        return JSON.parse(value) as unknown;
      } catch {
        return value;
      }
    });
    const anyValue = fc.oneof(
      fc.string({ unit: 'binary' }),
      anyJson,
      ...parsed.map((value) => spoiled(value).map((one) => JSON.stringify(one) ?? '')),
    );
    const anyKey = fc.oneof(
      fc.constantFrom(...held.map(({ key }) => key)),
      fc.string({ unit: 'binary' }).map((tail) => `${layout.home}/${tail}`),
    );

    it('is read or passed over, whatever it is', () =>
      fc.assert(
        fc.property(anyKey, anyValue, anyValue, (key, value, record) => {
          const one = { key, value, revision: '1', lease: '0' };
          const beside = entries.recordBeside(key);
          const all = [one, ...(beside === undefined ? [] : [{ ...one, key: beside, value: record }])];
          for (const { instance } of entries.owned(CLUSTER, all)) assert.equal(instance.marks.cluster, CLUSTER);
          entries.served(one, all[1]);
          for (const seen of layout.sees('web', value)) assert.equal(typeof seen.address, 'string');
          entries.isOf(CLUSTER, one);
          entries.isBehind('web', key);
        }),
        { numRuns: 500 },
      ));

    it('is ours as it was written', () => {
      assert.deepEqual(
        entries.owned(CLUSTER, held).map(({ instance }) => instance.id),
        [ours.id],
      );
    });
  });
}
