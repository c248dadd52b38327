import type { KubeClient } from '../../src/kubernetes/client.ts';

export type WatchEvent = {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  // biome-ignore lint/suspicious/noExplicitAny: whoever watches knows what.
  readonly object: any;
};

/**
 * The events of one watch, the objects that exist already as ADDED ones. Ends when the server ends the watch (after a
 * few minutes, which no caller needs) or the signal aborts.
 */
export async function* watchEvents(client: KubeClient, path: string, signal: AbortSignal): AsyncGenerator<WatchEvent> {
  const query = { watch: 'true', timeoutSeconds: '3600' };
  try {
    let rest = '';
    const decoder = new TextDecoder();
    for await (const chunk of await client.stream({ method: 'GET', path, query, signal })) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
