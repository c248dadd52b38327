// The scenarios by the operator's decisions alone: objects, what is gathered of them, what is decided, the plan against what stands, and the statuses.
import { describe, test } from 'node:test';
import { play } from './play.ts';
import { openPureWorld } from './pure-world.ts';
import {
  consulSpec,
  etcdSpec,
  memorySpec,
  nacosSpec,
  type RegistrySpec,
  rulesOf,
  zooKeeperSpec,
} from './registries.ts';
import { readScenarios } from './scenario-file.ts';
import { testWrongExpectations } from './wrong-expectations.ts';

const scenarios = readScenarios(import.meta.dirname);

// Nobody listens there, and nobody asks: only their rules are used.
const REGISTRIES: Readonly<Record<string, RegistrySpec>> = {
  Memory: memorySpec,
  Consul: consulSpec('http://127.0.0.1:9'),
  Etcd: etcdSpec('http://127.0.0.1:9'),
  ZooKeeper: zooKeeperSpec('127.0.0.1:9'),
  Nacos: nacosSpec('http://127.0.0.1:9'),
  'Nacos without gRPC': nacosSpec('http://127.0.0.1:9', 'Http'),
};

for (const [name, spec] of Object.entries(REGISTRIES)) {
  describe(`by the rules of ${name}`, async () => {
    const rules = await rulesOf(spec);
    for (const scenario of scenarios) {
      test(scenario.title, async () => play(scenario, await openPureWorld(spec, rules), rules));
    }
    testWrongExpectations(scenarios, rules, () => openPureWorld(spec, rules));
  });
}
