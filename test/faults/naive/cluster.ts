// What comes back of a status asks for nothing.
import { type WatchOptions, watchCluster as watch } from '../../../src/operator/cluster/cluster.ts';

export const watchCluster = (options: WatchOptions): Promise<void> =>
  watch({ ...options, onSettled: (resource, id) => options.onSettled({ ...resource, group: '' }, id) });
