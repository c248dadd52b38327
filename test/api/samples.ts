// The objects under test/api/samples. `accepted/` are taken as they are; above each of `rejected/` stands what must be
// said about it, as `# rejected: <path>` or `# rejected: <path>: <part of the message>`.
import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Kind } from '../../src/api/schema-node.ts';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface Expectation {
  readonly path: string;
  /** "" where the path says enough. */
  readonly message: string;
}

export interface Rejected {
  readonly manifest: Manifest;
  readonly expected: Expectation;
}

export function acceptedSamples(): readonly Manifest[] {
  return documents('accepted').map(({ manifest }) => manifest);
}

export function rejectedSamples(): readonly Rejected[] {
  return documents('rejected').map(({ manifest, source }) => {
    const [, path, message] = /^# rejected: ([^:\s]+)(?:: (.*))?$/m.exec(source) ?? [];
    if (path === undefined) throw new Error(`the sample ${manifest.metadata.name} does not say why it is rejected`);
    return { manifest, expected: { path, message: message ?? '' } };
  });
}

/** Whether a problem is the one that was to be found. An item of a list may stand for the list. */
export const isExpected = (problem: Expectation, expected: Expectation): boolean =>
  problem.path.startsWith(expected.path) && problem.message.includes(expected.message);

function documents(folder: string): readonly { manifest: Manifest; source: string }[] {
  const directory = new URL(`samples/${folder}/`, import.meta.url);
  return readdirSync(directory).flatMap((file) =>
    readFileSync(new URL(file, directory), 'utf8')
      .split(/^---$/m)
      .map((source) => ({ manifest: parse(source), source })),
  );
}
