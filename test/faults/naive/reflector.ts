// A watch that is silent is trusted for ever.
import type { KubeObject } from '../../../src/api/core.ts';
import { reflect as follow, type ReflectOptions } from '../../../src/kubernetes/reflector.ts';

export const reflect = <T extends KubeObject>(options: ReflectOptions<T>): Promise<void> =>
  follow({ ...options, stallMs: 100_000_000 });
