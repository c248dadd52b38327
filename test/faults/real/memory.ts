import type { Json } from '../api-server.ts';
import type { Effect } from '../registry-server.ts';
import type { Operator } from './process.ts';
import type { Place, RealRegistry } from './registries.ts';

/** It is in the process of the operator: nothing is between the two, it goes with the process, and what was written is known from the log alone. */
export const realMemory: RealRegistry = {
  name: 'Memory',
  address: undefined,
  place: (_, token, operators) => placeFor(`registry-${token}`, operators),
  async stop() {},
};

const EFFECTS: Readonly<Record<string, Effect>> = { register: 'register', update: 'update', deregister: 'deregister' };

function placeFor(registry: string, operators: readonly Operator[]): Place {
  const read = new Map<Operator, number>();
  return {
    spec: () => ({ type: 'Memory' }),
    async standing() {
      const started = (await operators.at(-1)?.log())?.find(({ httpPort }) => httpPort !== undefined);
      if (started === undefined) return [];
      const page = await fetch(`http://127.0.0.1:${started.httpPort}/registries/${registry}`).catch(() => undefined);
      if (page?.status !== 200) return [];
      const { instances }: Json = await page.json();
      return instances.map((instance: Json) => ({ id: instance.id, content: JSON.stringify(instance), stamp: '' }));
    },
    async changes() {
      const lines: Json[] = [];
      for (const operator of operators) {
        const log = await operator.log();
        lines.push(...log.slice(read.get(operator) ?? 0));
        read.set(operator, log.length);
      }
      return lines.flatMap(({ registry: of, action, error, instance: id }) => {
        const effect = EFFECTS[action];
        return of === registry && effect !== undefined && error === undefined ? [{ effect, id }] : [];
      });
    },
    async wipe() {},
  };
}
