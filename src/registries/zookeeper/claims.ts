import { randomUUID } from 'node:crypto';
import { assertClaim, mayReplace, ownedByAnother, recordNameOf } from '../claim.ts';
import { RegistryError } from '../error.ts';
import type { Claim, ServiceRegistry } from '../registry.ts';
import type { ZooKeeperClient } from './client.ts';
import { CODES, Refused } from './codes.ts';
import type { Directories } from './directories.ts';
import { failureOf } from './failure.ts';
import { assertStands, type Fence } from './fence.ts';
import { nodeOf, quote } from './paths.ts';
import { read } from './read.ts';
import { type Access, multi, type Operation, readChildren, readNode, sync } from './requests.ts';

export interface Claims {
  readonly claim: ServiceRegistry['claim'];
  /** Rejects with `fenced` when something of what was claimed stands no more. */
  check(signal: AbortSignal): Promise<void>;
  /** Undefined for a cluster that this client has not claimed. */
  fenceOf(cluster: string): Fence | undefined;
}

interface Surroundings {
  readonly client: ZooKeeperClient;
  readonly base: string;
  readonly acl: readonly Access[];
  readonly directories: Directories;
}

/** How often a claim begins anew because somebody else was quicker: of those who claim at the same time one is through each time. */
const ATTEMPTS = 50;

/**
 * The record of a cluster is `<rootPath>.roster/<cluster>`, with owner and term, and below it one node that bears the term as its name. They stand beside
 * the root, where consumers take every child for a service, and the two are made and replaced in one transaction.
 *
 * What is compared is whether the node of the term is there. The version of the record would not tell terms apart: it begins at 0 again when somebody
 * dropped the record or the ensemble was wiped, so that what a client sent before, or sends after an hour without having noticed, would pass under the
 * claim of another. A random name never comes back, whatever happens to sessions and connections; but with a backup, and then the claim came back too.
 */
export function createClaims({ client, base, acl, directories }: Surroundings): Claims {
  const home = `${base}.roster`;
  const fences = new Map<string, Fence>();

  async function readRecord(path: string, signal: AbortSignal): Promise<Record | undefined> {
    // A server may be behind its leader: what it says of others' claims would be out of date.
    await client.call('claim', sync(path), signal);
    const found = await read(client, 'claim', readNode(path), signal);
    if (found === undefined) return undefined;
    const terms = found.children === 0 ? [] : ((await read(client, 'claim', readChildren(path), signal)) ?? []);
    return { text: found.text, version: found.version, terms };
  }

  /** False when something else stands than was read. */
  async function write(operations: readonly Operation[], signal: AbortSignal): Promise<boolean> {
    const answer = await client.call('claim', multi(operations), signal);
    const codes = answer.outcome === 'ok' ? answer.value : [CODES.noNode];
    const code = codes.find((one) => one !== 0 && one !== CODES.rolledBack);
    if (code === undefined) return true;
    if (STALE.has(code)) return false;
    throw failureOf(new Refused(code), { operation: 'claim', sentWrite: false, endpoint: client.endpoint() });
  }

  return {
    async claim(claim, signal) {
      client.assertUsable('claim', signal);
      assertClaim(claim);
      const path = `${home}/${nodeOf(assertCluster(recordNameOf(claim)))}`;
      const term = randomUUID();
      const record = { path, text: textOf(claim, term), term, acl };
      let unanswered: RegistryError | undefined;
      const bind = () => void fences.set(claim.cluster, { cluster: claim.cluster, path: `${path}/${term}` });
      for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        let standing: Record | undefined;
        try {
          standing = await readRecord(path, signal);
        } catch (error) {
          // It is still open whether it was written.
          throw unanswered ?? error;
        }
        // An answer was lost, and the record is ours all the same.
        if (standing?.text === record.text) return bind();
        if (standing !== undefined && !mayReplace(claim, ownerIn(standing.text))) {
          throw ownedByAnother(claim, ownerIn(standing.text));
        }
        if (standing === undefined) await directories.make(home, signal);
        try {
          if (await write(operationsFor(record, standing), signal)) return bind();
        } catch (cause) {
          const error = RegistryError.from(cause, 'claim');
          if (!error.ambiguous || unanswered !== undefined || signal.aborted) throw error;
          unanswered = error;
        }
      }
      throw unanswered ?? contended(claim);
    },
    async check(signal) {
      for (const fence of fences.values()) {
        await client.call('check', sync(fence.path), signal);
        await assertStands(client, { operation: 'check', fence }, signal);
      }
    },
    fenceOf: (cluster) => fences.get(cluster),
  };
}

interface Record {
  readonly text: string;
  readonly version: number;
  /** The nodes below it: one, unless somebody else had a hand in it. */
  readonly terms: readonly string[];
}

interface Wanted {
  readonly path: string;
  readonly text: string;
  readonly term: string;
  readonly acl: readonly Access[];
}

function operationsFor({ path, text, term, acl }: Wanted, standing: Record | undefined): readonly Operation[] {
  const data = Buffer.from(text);
  const begun: Operation = { kind: 'create', path: `${path}/${term}`, data: Buffer.alloc(0), acl };
  if (standing === undefined) return [{ kind: 'create', path, data, acl }, begun];
  return [
    { kind: 'set', path, data, version: standing.version },
    ...standing.terms.map((name): Operation => ({ kind: 'remove', path: `${path}/${name}`, version: -1 })),
    begun,
  ];
}

const textOf = ({ owner }: Claim, term: string): string => `owner: ${owner}\nterm: ${term}\n`;

/** Of what somebody else left there too: nobody knows whose it is, until somebody adopts it. */
const ownerIn = (text: string): string => /^owner: ([\w./:-]{1,200})$/m.exec(text)?.[1] ?? 'unknown';

/** Somebody else claims, drops or makes what was read. */
const STALE: ReadonlySet<number> = new Set([CODES.noNode, CODES.nodeExists, CODES.badVersion, CODES.notEmpty]);

function assertCluster(cluster: string): string {
  if (cluster !== '' && cluster.isWellFormed()) return cluster;
  throw new RegistryError('invalid', `claim: ${quote(cluster)} cannot be the name of a cluster`);
}

const contended = ({ cluster }: Claim): RegistryError =>
  new RegistryError('conflict', `claim: others claim cluster ${quote(cluster)} at the same time; try again`);
