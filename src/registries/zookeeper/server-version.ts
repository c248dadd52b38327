import type { Clock } from '../../clock.ts';
import { dial, type Endpoint, type Manner } from './dial.ts';

/** An answer to `srvr` has some hundred bytes. */
const ENOUGH = 4_096;

interface Asking extends Manner {
  readonly endpoint: Endpoint;
  readonly ms: number;
  readonly clock: Clock;
}

/**
 * The version, by the four-letter word `srvr`, which most servers answer on their client port; `unknown` from those that do not. The protocol itself
 * does not tell.
 */
export function readServerVersion({ endpoint, ms, clock, ...manner }: Asking, signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const { socket, ready } = dial(endpoint, manner);
    const finish = () => {
      cancel();
      signal.removeEventListener('abort', finish);
      socket.destroy();
      resolve(/^Zookeeper version: (\d+(?:\.\d+)+(?:-(?:alpha|beta|rc)\w*)?)/m.exec(answer)?.[1] ?? 'unknown');
    };
    const cancel = clock.setTimer(ms, finish);
    signal.addEventListener('abort', finish, { once: true });
    socket
      .setEncoding('utf8')
      .once(ready, () => socket.write('srvr'))
      .on('data', (text) => {
        answer += text;
        if (answer.length > ENOUGH) finish();
      })
      .once('error', finish)
      .once('close', finish);
  });
}
