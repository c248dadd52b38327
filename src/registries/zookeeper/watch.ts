import { RegistryError } from '../error.ts';
import type { ServiceRegistry } from '../registry.ts';
import type { ZooKeeperClient } from './client.ts';
import { brokenNameRule } from './paths.ts';

/** One recursive watch for each scope: below all services, or below one. Entries alone matter; nodes of services come and go with them. */
export function createWatch(client: ZooKeeperClient, base: string): ServiceRegistry['watch'] {
  return async (scope, onHint, signal) => {
    client.assertUsable('watch', signal);
    if ('service' in scope) {
      const broken = brokenNameRule(scope.service);
      if (broken !== undefined) throw new RegistryError('invalid', `watch: ${broken}`);
      const path = `${base}/${scope.service}`;
      return client.watch(
        {
          path,
          onStanding: onHint,
          onEvent: (event) => {
            if (event.path !== path) onHint();
          },
        },
        signal,
      );
    }
    return client.watch(
      {
        path: base,
        onStanding: onHint,
        onEvent: (event, ours) => {
          if (!ours && isEntry(event.path, base)) onHint();
        },
      },
      signal,
    );
  };
}

const isEntry = (path: string, base: string): boolean => path.indexOf('/', base.length + 1) > 0;
