import { sharedNacos } from '../servers/shared.ts';
import { registryConformance } from './conformance.ts';
import { nacosHarness } from './nacos-harness.ts';

registryConformance(await nacosHarness(await sharedNacos()), { forms: ['bare'], support: 'Nacos' });
