import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { type Instance, sameInstance } from '../../src/mirror/instance.ts';
import { createEntries, type Held } from '../../src/registries/etcd/entries.ts';
import { hostPort, parseHostPort, segment, unsegment } from '../../src/registries/etcd/keys.ts';
import { goMicroLayout } from '../../src/registries/etcd/layouts/go-micro.ts';
import { goZeroLayout } from '../../src/registries/etcd/layouts/go-zero.ts';
import { grpcLayout } from '../../src/registries/etcd/layouts/grpc.ts';
import { kratosLayout } from '../../src/registries/etcd/layouts/kratos.ts';
import { rosterLayout } from '../../src/registries/etcd/layouts/roster.ts';
import { normaliseFor } from '../../src/registries/etcd/rules.ts';
import { instances } from './arbitrary-instance.ts';

const layouts = {
  Roster: rosterLayout('/services'),
  Grpc: grpcLayout('/services'),
  GoMicro: goMicroLayout(),
  Kratos: kratosLayout(),
  GoZero: goZeroLayout('/services'),
};

for (const [name, layout] of Object.entries(layouts)) {
  const entries = createEntries('/services', layout);
  const held = (instance: Instance): Held[] =>
    entries
      .filled(instance)
      .flatMap(({ key, value }) => (value === undefined ? [] : [{ key, value, revision: '1', lease: '0' }]));

  it(`${name}: what normalise takes is read back the same from its keys, and only by its cluster`, () => {
    let taken = 0;
    fc.assert(
      fc.property(instances('prod'), (instance) => {
        const answer = normaliseFor(layout, false, instance);
        if (!answer.ok) {
          assert.match(answer.message, /^\S[^\n]{10,400}$/);
          return;
        }
        taken++;
        const { tags, ...rest } = answer.instance;
        const { tags: given, ...untouched } = instance;
        assert.deepEqual(rest, untouched);
        assert.deepEqual(tags, [...new Set(given)].sort());
        const [owned, ...more] = entries.owned('prod', held(answer.instance));
        assert.ok(owned !== undefined && more.length === 0);
        assert.ok(sameInstance(owned.instance, answer.instance));
        assert.deepEqual(new Set(owned.held), new Set(held(answer.instance)));
        assert.deepEqual(entries.owned('other', held(answer.instance)), []);
      }),
      { numRuns: 1_000 },
    );
    assert.ok(taken > 500);
  });

  it(`${name}: no two instances share a key, whatever their ids, names and clusters are made of`, () => {
    const part = fc.array(fc.constantFrom('a', 'b', '/', '%', '2F', '%2F', '.', '-'), { minLength: 1, maxLength: 4 });
    const text = part.map((parts) => parts.join(''));
    const place = fc.record({ id: text, service: text, cluster: text });
    const of = ({ id, service, cluster }: { id: string; service: string; cluster: string }): Instance => ({
      ...base,
      id,
      service,
      marks: { ...base.marks, cluster },
    });
    fc.assert(
      fc.property(place, place, (one, other) => {
        const [a, b] = [of(one), of(other)];
        if (!normaliseFor(layout, false, a).ok || !normaliseFor(layout, false, b).ok || a.id === b.id) return;
        const keys = [...entries.empty(a), ...entries.empty(b)].map(({ key }) => key);
        assert.equal(new Set(keys).size, keys.length);
      }),
      { numRuns: 5_000 },
    );
  });

  it(`${name}: whatever is put under our keys, what is read of it is an instance or nothing`, () => {
    const values = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fc
        .constantFrom(...held(base).map(({ value }) => value))
        .chain((value) => fc.nat(value.length).map((at) => value.slice(0, at) + value.slice(at + 1))),
    );
    fc.assert(
      fc.property(values, values, (one, other) => {
        const standing = entries
          .empty(base)
          .map(({ key }, at): Held => ({ key, value: at === 0 ? one : other, revision: '1', lease: '0' }));
        for (const { instance } of entries.owned('prod', standing)) {
          assert.equal(instance.marks.cluster, 'prod');
          assert.equal(typeof instance.port, 'number');
          for (const text of [instance.id, instance.service, instance.address, ...instance.tags]) {
            assert.equal(typeof text, 'string');
          }
        }
        for (const { value } of standing) layout.sees('web', value);
      }),
      { numRuns: 1_000 },
    );
  });
}

it('what the layouts of frameworks cannot tell is refused by its rule', () => {
  const frameworks = [layouts.Grpc, layouts.GoMicro, layouts.Kratos, layouts.GoZero];
  const refusals = (over: Partial<Instance>) =>
    frameworks.map((layout) => {
      const answer = normaliseFor(layout, false, { ...base, ...over });
      return answer.ok ? 'taken' : answer.message;
    });
  for (const message of refusals({ service: 'shop/web' })) assert.match(message, /slash/);
  for (const message of refusals({ service: '.hidden' })) assert.match(message, /dot/);
  for (const message of refusals({ address: 'a/b' })) assert.match(message, /host/);
  assert.deepEqual(
    refusals({ metadata: { weight: '7' } }).map((message) => /reserved/.test(message)),
    [false, false, true, false],
  );
  assert.deepEqual(
    refusals({ metadata: { 'roster-tags': '7' } }).map((message) => /reserved/.test(message)),
    [false, true, true, false],
  );
});

it('an instance that is too large for a request is refused before it is sent', () => {
  const fat = normaliseFor(layouts.Roster, false, { ...base, metadata: { long: '\u0001'.repeat(100_000) } });
  assert.ok(!fat.ok);
  assert.match(fat.message, /bytes are more than/);
  assert.ok(normaliseFor(layouts.Roster, false, { ...base, metadata: { long: 'x'.repeat(500_000) } }).ok);
});

it('a part of a key, and an address with a port, are spelled so that they can be read back', () => {
  fc.assert(fc.property(fc.string(), (text) => assert.equal(unsegment(segment(text)), text)));
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()), fc.integer({ min: 1, max: 65_535 }), (address, port) =>
      assert.deepEqual(parseHostPort(hostPort(address, port)), { address, port }),
    ),
  );
});

const base: Instance = {
  id: 'prod/shop/web/10.0.0.7:8080',
  service: 'web',
  address: '10.0.0.7',
  port: 8080,
  health: 'healthy',
  liveness: 'persistent',
  weight: 100,
  tags: [],
  metadata: {},
  marks: { cluster: 'prod', owner: 'shop/web', registration: 'ServiceRegistration/shop/web', retained: false },
};
