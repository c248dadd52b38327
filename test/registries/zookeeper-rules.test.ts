import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { type Instance, sameInstance } from '../../src/mirror/instance.ts';
import { curatorLayout } from '../../src/registries/zookeeper/layouts/curator.ts';
import { kratosLayout } from '../../src/registries/zookeeper/layouts/kratos.ts';
import { readOwned, type Standing } from '../../src/registries/zookeeper/layouts/layout.ts';
import { plainLayout } from '../../src/registries/zookeeper/layouts/plain.ts';
import { idOf, nodeOf } from '../../src/registries/zookeeper/paths.ts';
import { normaliseFor } from '../../src/registries/zookeeper/rules.ts';
import { sampleOf } from '../conformance/samples.ts';
import { instances } from './arbitrary-instance.ts';

const LIVENESS = ['persistent', 'leased'] as const;

const layouts = { Curator: curatorLayout, Kratos: kratosLayout, Plain: plainLayout };

/** As the server checks it, character by character of UTF-16 (`PathUtils.validatePath`). */
function isPathOfZooKeeper(path: string): boolean {
  if (!path.startsWith('/') || path.endsWith('/')) return false;
  const names = path.slice(1).split('/');
  if (names.some((name) => name === '' || name === '.' || name === '..')) return false;
  return [...Array(path.length).keys()].every((at) => {
    const code = path.charCodeAt(at);
    return code > 0x1f && !(code >= 0x7f && code <= 0x9f) && !(code >= 0xd800 && code <= 0xf8ff) && code < 0xfff0;
  });
}

const anyId = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1 }).filter((text) => text.isWellFormed()),
  fc.constantFrom('.', '..', '%', '%2F', '/', '//', 'a/b', 'a%2Fb', '\u0000', '\u{1f600}', '\ue000', '...'),
);

for (const [name, layout] of Object.entries(layouts)) {
  it(`what normalise takes can be a path, and is read back the same from layout ${name}`, () => {
    fc.assert(
      fc.property(instances('prod'), anyId, fc.constantFrom(...LIVENESS), (arbitrary, id, liveness) => {
        const answer = normaliseFor(layout, { ...arbitrary, id, liveness });
        if (!answer.ok) {
          assert.match(answer.message, /^\S[^\n]{10,400}$/);
          return;
        }
        const { instance } = answer;
        const node = nodeOf(id);
        assert.ok(isPathOfZooKeeper(`/services/${instance.service}/${node}`));
        const back = readOwned(layout, layout.write({ instance, registeredAt: 7 }, node), {
          service: instance.service,
          node,
          liveness,
        });
        assert.ok(back !== undefined && sameInstance(back.instance, instance));
      }),
      { numRuns: 1_000 },
    );
  });

  it(`whatever stands there instead is read by layout ${name} without a fault, and never taken for ours`, () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string({ unit: 'binary' })), (text) => {
        const standing: Standing = { service: 'web', node: 'theirs', liveness: 'persistent' };
        assert.equal(readOwned(layout, text, standing), undefined);
        layout.read(text, standing);
      }),
      { numRuns: 1_000 },
    );
  });

  it(`an entry of layout ${name} that was tampered with differs from every one that could be wanted there`, () => {
    const instance = sampleOf('prod');
    const node = nodeOf(instance.id);
    for (const health of ['healthy', 'draining', 'unhealthy'] as const) {
      for (const liveness of LIVENESS) {
        const wanted: Instance = { ...instance, health, liveness };
        const standing: Standing = { service: instance.service, node, liveness };
        const written = layout.write({ instance: wanted, registeredAt: 7 }, node);
        for (const tampered of tamperings(JSON.parse(written))) {
          const back = readOwned(layout, JSON.stringify(tampered), standing)?.instance;
          assert.ok(back === undefined || !sameInstance(back, wanted), JSON.stringify(tampered));
        }
      }
    }
  });
}

it('a node of Curator that goes by itself is told from one that stays, and one that says otherwise differs from both', () => {
  const instance = sampleOf('prod');
  const node = nodeOf(instance.id);
  for (const [liveness, serviceType] of [
    ['persistent', 'PERMANENT'],
    ['leased', 'DYNAMIC'],
    ['lapsing', 'DYNAMIC'],
  ] as const) {
    const text = curatorLayout.write({ instance: { ...instance, liveness }, registeredAt: 7 }, node);
    assert.equal(JSON.parse(text).serviceType, serviceType);
    for (const stands of ['persistent', 'leased', 'lapsing'] as const) {
      const back = readOwned(curatorLayout, text, { service: instance.service, node, liveness: stands })?.instance;
      const honest = (stands === 'persistent') === (liveness === 'persistent');
      assert.equal(back !== undefined && sameInstance(back, { ...instance, liveness: stands }), honest);
    }
  }
});

it('every id has a name of its own, which tells it', () => {
  fc.assert(
    fc.property(anyId, (id) => {
      assert.equal(idOf(nodeOf(id)), id);
    }),
  );
  assert.equal(nodeOf('prod/shop/web/[fd00::7]:8080'), 'prod%2Fshop%2Fweb%2F[fd00::7]:8080');
});

it('normalise changes nothing but the order of tags', () => {
  fc.assert(
    fc.property(instances('prod'), (instance) => {
      const answer = normaliseFor(curatorLayout, instance);
      if (!answer.ok) return;
      assert.deepEqual(answer.instance, { ...instance, tags: [...new Set(instance.tags)].sort() });
    }),
  );
});

it('names that ZooKeeper cannot hold are refused with the rule', () => {
  const refusal = (over: Partial<Instance>) => {
    const answer = normaliseFor(curatorLayout, sampleOf('prod', over));
    return answer.ok ? 'taken' : answer.message;
  };
  assert.match(refusal({ service: '.' }), /mean other nodes/);
  assert.match(refusal({ service: '..' }), /mean other nodes/);
  assert.match(refusal({ service: 'a/b' }), /slash/);
  assert.match(refusal({ service: 'a\u0000' }), /no path/);
  assert.match(refusal({ service: '\u{1f600}' }), /no path/);
  assert.match(refusal({ liveness: 'lapsing' }), /never wanted/);
  assert.equal(refusal({ service: 'zookeeper' }), 'taken');
  assert.match(refusal({ address: '[fd00::7]' }), /neither an IP address nor a host name/);
  assert.match(refusal({ metadata: { instance_status: 'UP' } }), /reserved/);
  assert.match(refusal({ metadata: { weight: '7' } }), /reserved/);
});

/** Each with one field, at any depth, of another value or gone; none of our marks, without which it is not ours. */
// biome-ignore lint/suspicious/noExplicitAny: a document, whatever its shape.
function* tamperings(document: any): Iterable<unknown> {
  for (const key of Object.keys(document)) {
    // Told for display; the type of both is the server's business.
    if (key === 'registrationTimeUTC' || key.startsWith('roster-') || key === 'managed-by') continue;
    const value = document[key];
    if (typeof value === 'object' && value !== null) {
      for (const inner of tamperings(value))
        yield Array.isArray(document) ? document.with(Number(key), inner) : { ...document, [key]: inner };
    } else {
      const other = typeof value === 'number' ? value + 1 : `${value}x`;
      yield Array.isArray(document) ? document.with(Number(key), other) : { ...document, [key]: other };
    }
  }
}
