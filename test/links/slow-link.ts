// The ways to a server that listens on several ports, on which answers can be late, and everybody who comes is counted.
import { onFreePorts } from '../servers/process.ts';
import { openTcpLink, type TcpLink } from './tcp-link.ts';

export interface SlowLink extends Pick<TcpLink, 'port' | 'answerLate' | 'close'> {
  /** At all of its ports. */
  arrivals(): readonly number[];
}

/** `beside`: distances from the port at which the server, and so the link, takes connections too. */
export async function openSlowLink(target: number, beside: readonly number[] = []): Promise<SlowLink> {
  const links = await onFreePorts(
    ['link'],
    async (ports) => {
      const opened: TcpLink[] = [];
      try {
        for (const distance of [0, ...beside])
          opened.push(await openTcpLink(target + distance, { port: ports.link + distance }));
        return opened;
      } catch (error) {
        await Promise.all(opened.map((link) => link.close()));
        throw error;
      }
    },
    beside,
  );
  return {
    port: links[0]?.port ?? 0,
    arrivals: () => links.flatMap((link) => link.arrivals).sort((a, b) => a - b),
    answerLate(ms) {
      for (const link of links) link.answerLate(ms);
    },
    async close() {
      await Promise.all(links.map((link) => link.close()));
    },
  };
}
