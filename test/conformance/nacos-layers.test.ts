import { sharedNacos } from '../servers/shared.ts';
import { registryConformance } from './conformance.ts';
import { nacosHarness } from './nacos-harness.ts';

// A file of its own: what is written to Nacos shows late, and both take their time.
registryConformance(await nacosHarness(await sharedNacos()), { forms: ['inside its layers'] });
