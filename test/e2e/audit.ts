// What the API server was asked, by whom, from its own audit log: what a client does not tell of itself stands there.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface AuditedRequest {
  readonly user: string;
  readonly verb: string;
  /** `group/resource`, `/secrets`; with `/status` and the like behind it. */
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly status: number;
}

export interface Audit {
  /** For the API server. */
  readonly args: readonly string[];
  /** Every request to a resource that was answered so far, or stands as a watch. */
  requests(): Promise<readonly AuditedRequest[]>;
  remove(): Promise<void>;
}

const POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
};

export async function openAudit(): Promise<Audit> {
  const directory = await mkdtemp(join(tmpdir(), 'roster-audit-'));
  const [policy, log] = [join(directory, 'policy.json'), join(directory, 'log')];
  // JSON is YAML.
  await writeFile(policy, JSON.stringify(POLICY));
  return {
    args: [`--audit-policy-file=${policy}`, `--audit-log-path=${log}`, '--audit-log-mode=blocking-strict'],
    async requests() {
      const lines = (await readFile(log, 'utf8')).split('\n').filter((line) => line.endsWith('}'));
      return lines.flatMap((line) => {
        const { user, verb, objectRef, responseStatus } = JSON.parse(line);
        if (objectRef?.resource === undefined) return [];
        const { apiGroup = '', resource, subresource, namespace, name } = objectRef;
        const whole = `${apiGroup}/${resource}${subresource === undefined ? '' : `/${subresource}`}`;
        return [{ user: user.username, verb, resource: whole, namespace, name, status: responseStatus?.code ?? 0 }];
      });
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
