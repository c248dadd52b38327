import { sharedConsul } from '../servers/shared.ts';
import { registryConformance } from './conformance.ts';
import { consulHarness } from './consul-harness.ts';

registryConformance(await consulHarness(await sharedConsul()), { support: 'Consul' });
