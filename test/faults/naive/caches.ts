// No initial gate: the operator starts to decide before the lists are complete.
import { createCaches as create } from '../../../src/operator/cluster/caches.ts';

export * from '../../../src/operator/cluster/caches.ts';

export function createCaches(): ReturnType<typeof create> {
  const { caches, writers } = create();
  const open = <S extends object>(store: S): S => Object.create(store, { whenSynced: { value: async () => {} } });
  const { emptied, terminations, ...stores } = caches;
  const { namespaces, services, slices, serviceRegistrations, clusterServiceRegistrations, registries } = stores;
  return {
    caches: {
      emptied,
      terminations,
      namespaces: open(namespaces),
      services: open(services),
      slices: open(slices),
      serviceRegistrations: open(serviceRegistrations),
      clusterServiceRegistrations: open(clusterServiceRegistrations),
      registries: open(registries),
      // Without the registries there would be nothing to decide.
      clusterRegistries: stores.clusterRegistries,
    },
    writers,
  };
}
