import type { NacosHost } from './host.ts';
import type { HttpApi } from './http-api.ts';

/** Small texts of ours that are no services: each is the metadata of one entry in a group that no consumer asks for. */
export interface Records {
  /** Undefined where there is none. As old as the views of the server are: half a second. */
  read(operation: string, name: string, signal: AbortSignal): Promise<Record | undefined>;
  write(name: string, record: Record, signal: AbortSignal): Promise<void>;
}

export type Record = Readonly<{ [key: string]: string }>;

/** Services may not be in it. */
export const RECORDS_GROUP = 'ROSTER';
export const RECORDS_CLUSTER = 'DEFAULT';

/** Of nothing that is there. Switched off, so that consumers of any kind do not get it; the client API does not show it to us either. */
const PLACE = { ip: '0.0.0.0', port: 1, clusterName: RECORDS_CLUSTER };

export function createRecords(api: (signal: AbortSignal) => Promise<HttpApi>): Records {
  return {
    read: async (operation, name, signal) => (await api(signal)).metadataAt(operation, name, PLACE, signal),
    async write(name, metadata, signal) {
      const { create, uncheck, put } = await api(signal);
      // As for entries: Nacos forgets what was set of a service that was empty for a minute.
      await create(name, signal);
      await uncheck(name, signal);
      const state: Pick<NacosHost, 'weight' | 'healthy' | 'enabled' | 'ephemeral'> = {
        weight: 0,
        healthy: true,
        enabled: false,
        ephemeral: false,
      };
      await put(name, { ...PLACE, ...state, metadata }, signal);
    },
  };
}
