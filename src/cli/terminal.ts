import type { KubeClient } from '../kubernetes/client.ts';

/** What a command may touch of the process. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Wall clock, for ages. */
  nowMs(): number;
  out(text: string): void;
  err(text: string): void;
  setExitCode(code: number): void;
  /** At once, whatever is still open. */
  exit(code: number): void;
  /** Aborts when the user interrupts. */
  readonly signal: AbortSignal;
}

export const EXIT = { failure: 1, usage: 2 } as const;

/** Something the user can mend: each line of the message is shown, without a stack. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number, cause?: unknown) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}

interface ClusterChoice {
  readonly kubeconfig?: string;
  readonly context?: string;
}

export async function openCluster({ kubeconfig, context }: ClusterChoice): Promise<KubeClient> {
  // Loaded only by the commands that need it: it is most of the start-up time.
  const { openKubeClient } = await import('../kubernetes/client.ts');
  try {
    return await openKubeClient({
      ...(kubeconfig !== undefined && { kubeconfig }),
      ...(context !== undefined && { context }),
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CommandError(`cannot tell which cluster to use: ${reason}`, EXIT.failure, cause);
  }
}

/** Runs with a client of the chosen cluster and closes it. */
export async function withCluster<T>(choice: ClusterChoice, use: (client: KubeClient) => Promise<T>): Promise<T> {
  const client = await openCluster(choice);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}
