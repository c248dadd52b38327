// What the registry can do at best: the same entries, the same client library, a loop with nothing around it.
import { Agent } from 'node:http';
import Consul from 'consul';
import type { Consul as ConsulServer } from '../servers/consul.ts';
import type { Entry } from './consul-eyes.ts';

/** The most that Consul takes in one transaction. */
export const TXN_OPERATIONS = 128;

/** Writes the entries into an empty Consul in full transactions. The nodes are there before the clock starts. */
export async function rawRate(server: ConsulServer, entries: readonly Entry[], inFlight: number): Promise<number> {
  const client = openRaw(server);
  await writeNodes(client, entries);
  const batches = chunks(entries.map(serviceSet), TXN_OPERATIONS).values();
  const started = performance.now();
  const worker = async () => {
    for (const batch of batches) await client.write(batch);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  const seconds = (performance.now() - started) / 1_000;
  client.close();
  return entries.length / seconds;
}

/**
 * Milliseconds of single changes in a Consul that holds the entries: one becomes critical, and passing again, by the same two operations
 * as Roster's own. `paceMs`: from the start of one to the start of the next; 0 for a tight loop.
 */
export async function rawLatencies(
  server: ConsulServer,
  entries: readonly Entry[],
  { count, paceMs }: { readonly count: number; readonly paceMs: number },
): Promise<readonly number[]> {
  const client = openRaw(server);
  const took: number[] = [];
  const begin = performance.now();
  for (let at = 0; at < count; at++) {
    await sleep(begin + at * paceMs - performance.now());
    const entry = entries[Math.floor(at / 2) % entries.length];
    if (entry === undefined) throw new Error('there are no entries to change');
    const started = performance.now();
    await client.write([serviceSet(entry), at % 2 === 0 ? checkSet(entry) : checkDelete(entry)]);
    took.push(performance.now() - started);
  }
  client.close();
  return took;
}

function openRaw({ address }: ConsulServer) {
  const agent = new Agent({ keepAlive: true });
  const { hostname, port } = new URL(address);
  const { transaction } = new Consul({ host: hostname, port: Number(port), agent });
  return {
    // The types of the package know operations only in a spelling that no server takes.
    write: (operations: readonly object[]): Promise<unknown> =>
      Reflect.apply(transaction.create, transaction, [operations]),
    close: () => agent.destroy(),
  };
}

async function writeNodes(client: ReturnType<typeof openRaw>, entries: readonly Entry[]): Promise<void> {
  const nodes = [...new Set(entries.map(({ Node }) => Node))];
  const operations = nodes.map((Node) => ({
    Node: { Verb: 'set', Node: { Node, Address: '192.0.2.1', Meta: { 'managed-by': 'roster' } } },
  }));
  for (const batch of chunks(operations, TXN_OPERATIONS)) await client.write(batch);
}

function serviceSet({ Node, Service: { ID, Service, Address, Port, Tags, Meta, Weights } }: Entry): object {
  return { Service: { Verb: 'set', Node, Service: { ID, Service, Address, Port, Tags, Meta, Weights } } };
}

const checkSet = ({ Node, Service: { ID } }: Entry): object => ({
  Check: {
    Verb: 'set',
    Check: { Node, CheckID: `${ID}/readiness`, Name: 'Kubernetes readiness', Status: 'critical', ServiceID: ID },
  },
});

const checkDelete = ({ Node, Service: { ID } }: Entry): object => ({
  Check: { Verb: 'delete', Check: { Node, CheckID: `${ID}/readiness` } },
});

function chunks<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}

const sleep = (ms: number): Promise<void> =>
  ms <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
