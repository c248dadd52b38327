import type { KubeClient, KubeRequest } from '../../src/kubernetes/client.ts';

/** Passes everything on, and remembers what was asked for. */
export function recordingClient(client: KubeClient): KubeClient & { readonly asked: readonly KubeRequest[] } {
  const asked: KubeRequest[] = [];
  return {
    ...client,
    asked,
    request(request) {
      asked.push(request);
      return client.request(request);
    },
    stream(request) {
      asked.push(request);
      return client.stream(request);
    },
  };
}
