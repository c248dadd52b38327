import type { EtcdClient } from './client.ts';
import { Ended } from './failure.ts';

/** What is asked of etcd about leases. */

/** The id of a new lease. One whose answer was lost has no keys, and runs out. */
export async function grant(client: EtcdClient, ttlMs: number, signal: AbortSignal): Promise<string> {
  const { ID } = await client.call(
    {
      operation: 'lease',
      // Nothing of any entry is written.
      writes: false,
      send: ({ leaseClient }, options) => leaseClient.leaseGrant({ TTL: Math.ceil(ttlMs / 1_000) }, options),
    },
    signal,
  );
  return ID;
}

/** Renews them by one stream, and gives those that are no leases any more. */
export function renew(
  client: EtcdClient,
  leases: readonly string[],
  answersWithinMs: number,
  signal: AbortSignal,
): Promise<readonly string[]> {
  return client.call(
    {
      operation: 'lease',
      writes: false,
      answersWithinMs,
      async send({ leaseClient }, options) {
        const stream = await leaseClient.leaseKeepAlive(options);
        return new Promise((resolve, reject) => {
          const waiting = new Set(leases);
          const lost: string[] = [];
          stream.on('error', reject);
          stream.on('end', () => (waiting.size === 0 ? resolve(lost) : reject(new Ended('the stream was closed'))));
          stream.on('data', ({ ID, TTL }) => {
            if (!waiting.delete(ID)) return;
            if (Number(TTL) <= 0) lost.push(ID);
            if (waiting.size === 0) stream.end();
          });
          for (const ID of leases) stream.write({ ID });
        });
      },
    },
    signal,
  );
}
