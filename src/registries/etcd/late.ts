import { cancelled, RegistryError } from '../error.ts';
import type { Access } from './access.ts';
import type { EtcdClient } from './client.ts';

/** A client whose packages are loaded when it is first used: they cost every start a tenth of a second and 30 MB, whether there is an etcd or not. */
export function openLate(access: Access): EtcdClient {
  let client: Promise<EtcdClient> | undefined;
  let closed = false;

  const assertUsable = (operation: string, signal: AbortSignal) => {
    if (closed) throw new RegistryError('closed', `${operation} was called after the etcd registry was closed`);
    if (signal.aborted) throw cancelled(operation, signal);
  };

  return {
    assertUsable,
    async call(call, signal) {
      assertUsable(call.operation, signal);
      client ??= import('./client.ts').then(({ openEtcdClient }) => openEtcdClient(access));
      const opened = await client;
      assertUsable(call.operation, signal);
      return opened.call(call, signal);
    },
    close() {
      closed = true;
      client?.then((opened) => opened.close()).catch(() => {});
    },
  };
}
