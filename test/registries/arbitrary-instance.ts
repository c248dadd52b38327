import fc from 'fast-check';
import type { Instance } from '../../src/mirror/instance.ts';

/** Anything that could be asked of a registry: mostly what Kubernetes gives, at times what nobody should. */
export const instances = (cluster: string): fc.Arbitrary<Instance> =>
  plainRecord({
    id: fc.uuid().map((unique) => `${cluster}/shop/web/${unique}`),
    service: often(fc.stringMatching(/^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$/), anyText),
    address: often(fc.oneof(fc.ipV4(), fc.ipV6()), fc.domain()),
    port: often(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: -1, max: 70_000 })),
    health: fc.constantFrom('healthy', 'draining', 'unhealthy'),
    liveness: fc.constant('persistent'),
    weight: often(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: -1, max: 100_000 })),
    tags: fc
      .uniqueArray(often(fc.stringMatching(/^[a-z=.]{1,20}$/), anyText), { maxLength: 5 })
      .map((tags) => tags.sort()),
    metadata: fc.dictionary(often(label, anyText), often(fc.stringMatching(/^[a-z0-9.-]{0,63}$/), anyText), {
      maxKeys: 8,
      noNullPrototype: true,
    }),
    marks: plainRecord({
      cluster: fc.constant(cluster),
      owner: fc.constantFrom('shop/web', 'search/api'),
      registration: fc.constantFrom('ServiceRegistration/shop/web', 'ClusterServiceRegistration//all'),
      retained: fc.boolean(),
    }),
  });

const often = <T>(usual: fc.Arbitrary<T>, seldom: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12, arbitrary: usual }, { weight: 1, arbitrary: seldom });

const label = fc.stringMatching(/^([a-z]{1,10}\.[a-z]{2,5}\/)?[a-z][a-z_.-]{0,10}$/);

/** Half characters included. */
const anyText = fc.string({ unit: 'binary', maxLength: 80 });

const plainRecord = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true });
