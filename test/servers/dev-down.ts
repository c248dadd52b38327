// `make dev-down`: ends what `make dev-up` started, and removes its data. Does nothing when nothing runs.
import { rm } from 'node:fs/promises';
import { endUnit, paths, savedUnits } from './dev-state.ts';

// The operator first: it goes while everything it talks to is still there.
const order = ['roster', 'control-plane'];
const units = [...(await savedUnits())].sort((a, b) => rank(a) - rank(b));
if (units.length === 0) process.stdout.write('nothing is up\n');
for (const name of units) {
  await endUnit(name);
  process.stdout.write(`${name}: down\n`);
}
await rm(paths.run, { recursive: true, force: true });
await rm(paths.env, { force: true });

function rank(name: string): number {
  const index = order.indexOf(name);
  return index === -1 ? order.length : index;
}
