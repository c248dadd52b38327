import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Answers every request by the listener of the moment. */
export async function openAnsweringServer() {
  let listener: RequestListener = (_, response) => response.end();
  const server = createServer((request, response) => {
    request.resume();
    listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer(next: RequestListener) {
      listener = next;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
