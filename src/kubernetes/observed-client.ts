import type { KubeClient } from './client.ts';
import { KubeError } from './kube-error.ts';

/** Counts each answered or failed request; what the caller aborted is neither. Every success counts as 200. */
export function observed(
  client: KubeClient,
  observe: (method: string, host: string, status: number) => void,
): KubeClient {
  const host = new URL(client.server).host;
  const counted = async <T>(method: string, answer: Promise<T>): Promise<T> => {
    try {
      const value = await answer;
      observe(method, host, 200);
      return value;
    } catch (error) {
      if (error instanceof KubeError) observe(method, host, error.status);
      throw error;
    }
  };
  return {
    ...client,
    request: (request) => counted(request.method, client.request(request)),
    stream: (request) => counted(request.method, client.stream(request)),
  };
}
