// What all runs share: a control plane, the registries, and who looks at the cluster.
import { join } from 'node:path';
import { type Clock, systemClock } from '../../../src/clock.ts';
import { type Kube, openKube, type Target } from '../../e2e/kube.ts';
import { freshId, OPERATOR_NAMESPACE } from '../../e2e/stage.ts';
import { openControlPlane } from '../../servers/control-plane.ts';
import { openScratch } from '../../servers/process.ts';
import { bundle } from './process.ts';
import { type History, openRecorder, type Recorder } from './recorder.ts';
import { openUpstream, type Upstream } from './upstream.ts';

export interface World {
  readonly clock: Clock;
  readonly kube: Kube;
  readonly recorder: Recorder;
  readonly upstream: Upstream;
  readonly directory: string;
  /** In every name of one run, and of no other. */
  nextToken(): string;
  /** With the rights that deploy/ gives. */
  operatorToken(): Promise<string>;
  /** Takes away what is left of a run. */
  sweep(namespace: string, history: History): Promise<void>;
  stop(): Promise<void>;
}

const ROOT = join(import.meta.dirname, '..', '..', '..');
/** Tokens are valid for an hour. */
const RENEW_MS = 30 * 60_000;

export async function openWorld(): Promise<World> {
  await bundle();
  const scratch = await openScratch('faults');
  const cluster = await openControlPlane();
  await cluster.kubectl(['apply', '--server-side', '-k', join(ROOT, 'deploy', 'kustomize', 'base')]);
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', join(ROOT, 'crds')]);
  const kube = await openKube(cluster);
  const recorder = await openRecorder(kube, systemClock);
  const upstream = await openUpstream(cluster);
  const series = freshId();
  let runs = 0;
  let token: { readonly at: number; readonly value: Promise<string> } | undefined;

  return {
    clock: systemClock,
    kube,
    recorder,
    upstream,
    directory: scratch.path,
    nextToken: () => `${series}x${++runs}x`,
    operatorToken() {
      if (token === undefined || performance.now() - token.at > RENEW_MS)
        token = { at: performance.now(), value: cluster.serviceAccountToken(OPERATOR_NAMESPACE, 'roster') };
      return token.value;
    },
    async sweep(namespace, history) {
      for (const [resource, kind] of OWN) {
        for (const { metadata } of history.all(resource)) {
          const target: Target = {
            kind,
            name: metadata.name,
            ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
          };
          // Nobody is there any more who would.
          if (metadata.finalizers !== undefined)
            await kube.patch(target, { metadata: { finalizers: null } }).catch(() => {});
          await kube.remove(target);
        }
      }
      await kube.remove({ kind: 'Namespace', name: namespace });
    },
    async stop() {
      recorder.stop();
      upstream.close();
      kube.close();
      await cluster.stop();
      await scratch.remove();
    },
  };
}

const OWN = [
  ['serviceregistrations.roster.dev', 'ServiceRegistration'],
  ['clusterserviceregistrations.roster.dev', 'ClusterServiceRegistration'],
  ['clusterregistries.roster.dev', 'ClusterRegistry'],
] as const;
