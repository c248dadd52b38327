import type { KubeClient } from '../../../src/kubernetes/client.ts';
import { RegistryError } from '../../../src/registries/error.ts';
import type { ServiceRegistry } from '../../../src/registries/registry.ts';
import { addressOf, type Json, keyOf, notFound } from '../api-server.ts';

/** Lists come from the cache of the API server, as client-go's first one does: never from its quorum. */
export const listsFromCache = (client: KubeClient): KubeClient => ({
  ...client,
  request: (request) =>
    request.method === 'GET' && request.query?.['limit'] !== undefined
      ? client.request({ ...request, query: { ...request.query, resourceVersion: '0' } })
      : client.request(request),
});

/** What the last list lacked is gone; nobody asks for the object itself. */
export function absenceWithoutLook(client: KubeClient): KubeClient {
  const listed = new Map<string, Set<string>>();
  return {
    ...client,
    async request(request) {
      // Registrations are read for their finalizers too.
      if (request.method !== 'GET' || !/services|endpointslices/.test(request.path)) return client.request(request);
      const { resource, key } = addressOf(request.path);
      if (key !== undefined) {
        if (listed.get(resource)?.has(key) === false) throw notFound(resource, key);
        return client.request(request);
      }
      const answer: Json = await client.request(request);
      const keys = request.query?.['continue'] === undefined ? new Set<string>() : (listed.get(resource) ?? new Set());
      for (const item of answer.items) keys.add(keyOf(item));
      listed.set(resource, keys);
      return answer;
    },
  };
}

/** A write without an answer was not made. */
export function lostAnswersAreRefusals(registry: ServiceRegistry): ServiceRegistry {
  return {
    ...registry,
    async apply(changes, signal) {
      try {
        return await registry.apply(changes, signal);
      } catch (error) {
        if (!(error instanceof RegistryError) || !error.ambiguous) throw error;
        return changes.map(() => ({ ok: false, error: new RegistryError('rate-limited', 'not now') }));
      }
    },
  };
}

/** Whoever writes for a cluster name is the operator of that cluster. */
export const ownedByAnybody = (registry: ServiceRegistry): ServiceRegistry => ({
  ...registry,
  claim: (claim, signal) => registry.claim({ ...claim, owner: 'anybody' }, signal),
});

/** Who has claimed nothing writes without being compared. */
export const withoutClaims = (registry: ServiceRegistry): ServiceRegistry => ({ ...registry, async claim() {} });
