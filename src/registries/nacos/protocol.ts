import type { Clock } from '../../clock.ts';
import { RegistryError } from '../error.ts';
import type { Line } from './grpc-line.ts';
import type { Space } from './grpc-requests.ts';
import type { NacosHttp } from './http.ts';
import { grpcNaming, httpNaming, type Naming } from './naming.ts';

/** Which protocol carries the next operation. */
export interface Way {
  /** Resolves when it is known; rejects with a RegistryError when none works. */
  naming(signal: AbortSignal): Promise<Naming>;
}

/** While gRPC does not work and HTTP does, gRPC is tried this often. */
const RETRY_MS = 30_000;

interface Parts {
  readonly protocol: 'Auto' | 'Grpc' | 'Http';
  readonly line: Line;
  readonly http: NacosHttp;
  readonly space: Space;
  readonly clock: Clock;
}

/** Auto: gRPC where it works, and else HTTP if that works. */
export function chooseWay({ protocol, line, http, space, clock }: Parts): Way {
  const overGrpc = grpcNaming(line, http, space);
  const overHttp = httpNaming(http);
  let httpSince: number | undefined;

  return {
    async naming(signal) {
      if (protocol === 'Http') return overHttp;
      if (protocol === 'Grpc') return overGrpc;
      if (httpSince !== undefined && clock.now() - httpSince < RETRY_MS) return overHttp;
      try {
        await line.ready(signal);
        httpSince = undefined;
        return overGrpc;
      } catch (error) {
        if (error instanceof RegistryError && error.code === 'aborted') throw error;
        await http.version(signal).catch(() => {
          throw error;
        });
        httpSince = clock.now();
        return overHttp;
      }
    },
  };
}
