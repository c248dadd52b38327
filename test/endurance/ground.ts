// A control plane, every registry there is, and the bundle: what the runs of whole processes are played on.
import { join } from 'node:path';
import { type Kube, openKube } from '../e2e/kube.ts';
import { clusterRegistration, clusterRegistry, namespace } from '../e2e/objects.ts';
import { OPERATOR_NAMESPACE } from '../e2e/stage.ts';
import type { RegistrySpec } from '../scenarios/registries.ts';
import { openControlPlane } from '../servers/control-plane.ts';
import { buildProgram, openReplica, type Replica } from './replica.ts';
import { openTruths, type Truth } from './truths.ts';

export interface Ground {
  readonly kube: Kube;
  readonly truths: readonly Truth[];
  /** Each becomes a ClusterRegistry in which every Service of the namespace is mirrored. */
  mirrorTo(registries: readonly { readonly name: string; readonly spec: RegistrySpec }[]): Promise<void>;
  open(args: readonly string[]): Promise<Replica>;
  /** Run when the ground is left, the last one first. */
  readonly ends: (() => unknown)[];
  leave(): Promise<void>;
}

export const NAMESPACE = 'shop';
const ROOT = join(import.meta.dirname, '..', '..');

export async function openGround(
  clusterName: string,
  onRemoval: (registry: string, address: string) => void,
): Promise<Ground> {
  const ends: (() => unknown)[] = [];
  const leave = async () => {
    for (const end of ends.toReversed()) await end();
  };
  const [cluster, truths, program] = await Promise.all([openControlPlane(), openTruths(onRemoval), buildProgram()]);
  ends.push(cluster.stop, ...truths.map(({ stop }) => stop));
  try {
    await cluster.kubectl(['apply', '--server-side', '-k', join(ROOT, 'deploy', 'kustomize', 'base')]);
    await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', join(ROOT, 'crds')]);
    const kube = await openKube(cluster);
    ends.push(kube.close);
    const kubeconfig = await cluster.kubeconfigFor(await cluster.serviceAccountToken(OPERATOR_NAMESPACE, 'roster'));
    return {
      kube,
      truths,
      async mirrorTo(registries) {
        await cluster.apply([
          namespace(NAMESPACE),
          // Of what users do here, half may go at once.
          ...registries.map(({ name, spec }) => clusterRegistry(name, { ...spec, deletionGuard: { maxPercent: 100 } })),
          ...registries.map(({ name }) =>
            clusterRegistration(name, name, {
              namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': NAMESPACE } },
              selector: {},
            }),
          ),
        ]);
      },
      async open(args) {
        const replica = await openReplica({ program, kubeconfig, clusterName, args });
        ends.push(replica.stop);
        return replica;
      },
      ends,
      leave,
    };
  } catch (error) {
    await leave();
    throw error;
  }
}
