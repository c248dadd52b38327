import { RegistryError } from './error.ts';
import type { Claim } from './registry.ts';

/** What every registry says and demands of claims alike. */

const OWNER = /^[\w./:-]{1,200}$/;
const SEAT = /^[a-z0-9-]{1,40}$/;

/** Throws `invalid` for an owner that could not be written everywhere. */
export function assertClaim({ owner, seat }: Claim): void {
  if (seat !== undefined && !SEAT.test(seat))
    throw new RegistryError('invalid', `claim: ${JSON.stringify(seat.slice(0, 200))} is no name of a seat`);
  if (OWNER.test(owner)) return;
  const rule = '1 to 200 of the characters a-z, A-Z, 0-9, "-", "_", ".", "/" and ":"';
  throw new RegistryError(
    'invalid',
    `claim: ${JSON.stringify(owner.slice(0, 200))} is no name of an owner: it has ${rule}`,
  );
}

/** What stands for the cluster in the name of the record. */
export const recordNameOf = ({ cluster, seat }: Pick<Claim, 'cluster' | 'seat'>): string =>
  seat === undefined ? cluster : `${cluster}-${seat}`;

/** May the claim replace the record of this owner? */
export const mayReplace = ({ owner, adopt }: Claim, standing: string): boolean =>
  standing === owner || standing === adopt;

export const ownedByAnother = ({ cluster }: Claim, standing: string): RegistryError =>
  new RegistryError(
    'owned',
    `another operator (${standing}) writes here for a cluster named ${cluster}: give one of the two another --cluster-name; ` +
      'if that one is gone for good, adopt what it left',
    { context: { owner: standing } },
  );

export const fencedOff = (operation: string, cluster: string): RegistryError =>
  new RegistryError(
    'fenced',
    `${operation}: nothing was written, since the right to write here for cluster ${cluster} was claimed anew, or its record is gone`,
  );
