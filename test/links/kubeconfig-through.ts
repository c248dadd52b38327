import { readFile, writeFile } from 'node:fs/promises';

/** A copy of a kubeconfig in JSON that goes to another port of the same host. */
export async function kubeconfigThrough(kubeconfig: string, port: number, path: string): Promise<string> {
  const config = JSON.parse(await readFile(kubeconfig, 'utf8'));
  for (const { cluster } of config.clusters) cluster.server = `https://127.0.0.1:${port}`;
  await writeFile(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
