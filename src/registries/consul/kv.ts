import { RegistryError } from '../error.ts';
import type { KeyValue } from '../registry.ts';
import type { ConsulClient } from './client.ts';
import { assertAddressable } from './names.ts';
import { CONSISTENT } from './read.ts';
import type { Watcher } from './watch.ts';
import { readPair } from './wire.ts';

/** Before every key: what is not Roster's own in Consul's store stays apart. */
const ROOT = 'roster';

const NEEDS = `key:write, or key:read for reading, on the prefix ${ROOT}/`;

/** Texts at `roster/<service>/<key>` in Consul's key-value store, the service named as its consumers name it. */
export function createKeyValue(client: ConsulClient, watcher: Pick<Watcher, 'content'>): KeyValue {
  const shared = { complete: false, needs: NEEDS } as const;

  return {
    async get(service, key, signal) {
      const path = pathOf('kv.get', service, key);
      const pair = await client.call(
        {
          ...shared,
          operation: 'kv.get',
          writes: false,
          send: ({ kv }, options) => kv.get({ key: path, ...CONSISTENT, ...options }),
          read: readPair,
        },
        signal,
      );
      return pair?.value;
    },

    async put(service, key, value, signal) {
      const path = pathOf('kv.put', service, key);
      if (value?.isWellFormed() === false) throw new RegistryError('invalid', 'kv.put: the value is not valid Unicode');
      const outcome = await client.call<'done' | 'too-large'>(
        {
          ...shared,
          operation: 'kv.put',
          writes: true,
          send: ({ kv }, options) =>
            value === undefined ? kv.del({ key: path, ...options }) : kv.set({ key: path, value, ...options }),
          read: () => 'done',
        },
        signal,
        (status) => (status === 413 ? 'too-large' : undefined),
      );
      if (outcome === 'done') return;
      const limit = 'limits.kv_max_value_size, 512 KiB by default';
      throw new RegistryError('too-large', `kv.put: Consul takes no value of this size (${limit}); shorten it`);
    },

    async watch(service, key, onHint, signal) {
      const path = pathOf('kv.watch', service, key);
      return watcher.content(
        {
          ...shared,
          operation: 'kv.watch',
          writes: false,
          send: ({ kv }, options) => kv.get({ key: path, ...options }),
          read: (body) => String(readPair(body)?.index),
        },
        onHint,
        signal,
      );
    },
  };
}

function pathOf(operation: string, service: string, key: string): string {
  if (service.includes('/')) throw new RegistryError('invalid', `${operation}: the name of a service has no slashes`);
  const path = `${ROOT}/${service}/${key}`;
  assertAddressable(operation, path);
  return path;
}
