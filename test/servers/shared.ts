// Servers for test files. `make test` starts one of each for all files and tells where they are by the environment; a
// file that runs alone starts its own, and ends them after its last test.
//
// Call these at the top level of a file: `const cluster = await sharedControlPlane();`. Files share the servers, so each
// keeps to namespaces, cluster names and service prefixes of its own, and freezes or restarts nothing. A file that must,
// or that counts the writes of a whole server, opens its own with `openControlPlane`, `openConsul` or `openNacos`.
import { after } from 'node:test';
import { type Consul, consulAt, openConsul } from './consul.ts';
import { type ControlPlane, controlPlaneIn, openControlPlane } from './control-plane.ts';
import { type Nacos, type NacosServer, nacosAt, openNacos } from './nacos.ts';

/** Environment variables that `test/run.ts` sets. */
export const sharedControlPlaneVariable = 'ROSTER_TEST_CONTROL_PLANE';
export const sharedConsulVariable = 'ROSTER_TEST_CONSUL';
export const sharedNacosVariable = 'ROSTER_TEST_NACOS';

export async function sharedControlPlane(): Promise<ControlPlane> {
  const directory = process.env[sharedControlPlaneVariable];
  if (directory !== undefined) return controlPlaneIn(directory);
  const own = await openControlPlane();
  after(() => own.stop());
  return own;
}

export async function sharedConsul(): Promise<Consul> {
  const address = process.env[sharedConsulVariable];
  if (address !== undefined) return consulAt(address);
  const own = await openConsul();
  after(() => own.stop());
  return own;
}

export async function sharedNacos(): Promise<Nacos> {
  const address = process.env[sharedNacosVariable];
  if (address !== undefined) return nacosAt(address);
  const own = await openSharedNacos();
  after(() => own.stop());
  return own;
}

/** It shows what was written after some 150 ms, not 600 as others: every test on it waits for that a few times. */
export const openSharedNacos = (): Promise<NacosServer> =>
  openNacos({ properties: { 'nacos.naming.push.pushTaskDelay': 20 } });
