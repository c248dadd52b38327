import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  electLeaders,
  type Leadership,
  leadAll,
  leaseName,
  NO_REGISTRY,
} from '../../src/operator/leading/leadership.ts';
import { leaseServer, ownClock, PROMPT } from '../kubernetes/lease-server.ts';
import { virtualClock } from '../virtual-clock.ts';

const REGISTRIES = ['ClusterRegistry/consul', 'ClusterRegistry/etcd', 'Registry/shop/own'];
const ALL = [NO_REGISTRY, ...REGISTRIES];
const forever = new AbortController().signal;

function stage() {
  const clock = virtualClock();
  const server = leaseServer(clock);
  let seed = 1;
  const random = () => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const open = (identity: string) => {
    const own = ownClock(clock);
    const told: string[] = [];
    const leadership = electLeaders({
      client: server.client(identity, own, () => ({ ...PROMPT, thereMs: 2 + random() * 20 })),
      clock: own,
      random,
      cluster: 'prod',
      namespace: 'roster-system',
      identity,
      onTerm: (id) => told.push(`leads ${id}`),
      onEnd: (id) => told.push(`leads ${id} no longer`),
      onHolder: () => {},
      onError: () => {},
    });
    return { leadership, told, clock: own };
  };
  return { clock, server, open };
}

const led = ({ leadership }: { readonly leadership: Leadership }) => ALL.filter((id) => leadership.leads(id));

describe('replicas that share the registries', () => {
  it('have one leader for each, and some each, from the start', async () => {
    const { clock, open } = stage();
    const replicas = [open('a'), open('b')];
    for (const { leadership } of replicas) for (const id of ALL) leadership.stand(id);
    await clock.advance(3_000);
    const [a = [], b = []] = replicas.map(led);
    assert.deepEqual([...a, ...b].sort(), [...ALL].sort());
    assert.deepEqual([a.length, b.length], [2, 2]);
    assert.equal(replicas[1]?.leadership.leader(a[0] ?? ''), 'a');
  });

  it('share what one of them that crashed has left', async () => {
    const { clock, open } = stage();
    const a = open('a');
    for (const id of ALL) a.leadership.stand(id);
    await clock.advance(4_000);
    assert.equal(led(a).length, 4);
    const others = [open('b'), open('c')];
    for (const { leadership } of others) for (const id of ALL) leadership.stand(id);
    await clock.advance(20_000);
    assert.deepEqual(others.map(led), [[], []]);
    a.clock.stop();
    await clock.advance(18_000);
    const [b = [], c = []] = others.map(led);
    assert.equal(b.length + c.length, 4);
    assert.ok(b.length >= 1 && c.length >= 1, `${b} and ${c}`);
  });

  it('take over within 2 s what one of them gives up, unless something of it may still be on its way', async () => {
    const { clock, open } = stage();
    const a = open('a');
    for (const id of ALL) a.leadership.stand(id);
    await clock.advance(4_000);
    const b = open('b');
    for (const id of ALL) b.leadership.stand(id);
    await clock.advance(5_000);
    await Promise.all([a.leadership.resign((id) => id !== 'ClusterRegistry/etcd', forever), clock.advance(2_000)]);
    assert.deepEqual(led(a), []);
    assert.deepEqual(
      led(b),
      ALL.filter((id) => id !== 'ClusterRegistry/etcd'),
    );
    await clock.advance(16_000);
    assert.deepEqual(led(b), ALL);
  });

  it('remove the Lease of a registry that is gone, and keep the others', async () => {
    const { clock, server, open } = stage();
    const replicas = [open('a'), open('b')];
    for (const { leadership } of replicas) for (const id of ALL) leadership.stand(id);
    await clock.advance(3_000);
    for (const { leadership } of replicas) leadership.withdraw('ClusterRegistry/consul');
    await clock.advance(3_000);
    assert.deepEqual(
      [...server.leases.keys()].sort(),
      ALL.filter((id) => id !== 'ClusterRegistry/consul')
        .map((id) => leaseName('prod', id))
        .sort(),
    );
  });
});

describe('what belongs to no registry that exists', () => {
  it('is led by whoever holds the Lease of the cluster', async () => {
    const { clock, server, open } = stage();
    const a = open('a');
    a.leadership.stand(NO_REGISTRY);
    await clock.advance(1_000);
    assert.equal(server.holder('roster-prod'), 'a');
    assert.ok(a.leadership.leads('ClusterRegistry/missing'));
  });
});

describe('the Lease of a registry', () => {
  it('says which registry it is for', async () => {
    const { clock, server, open } = stage();
    open('a').leadership.stand('Registry/shop/own');
    await clock.advance(1_000);
    const [lease] = [...server.leases.values()];
    assert.match(String(lease?.metadata['name']), /^roster-prod-[0-9a-f]{8}$/);
    assert.deepEqual(lease?.metadata['labels'], {
      'app.kubernetes.io/name': 'roster',
      'roster.dev/cluster': 'prod',
      'roster.dev/registry': 'shop.own',
    });
    assert.deepEqual(lease?.metadata['annotations'], { 'roster.dev/registry': 'Registry/shop/own' });
  });
});

describe('the terms of a registry', () => {
  it('are waited for, and end for good when they end', async () => {
    const { clock, open } = stage();
    const a = open('a');
    const terms = a.leadership.terms('ClusterRegistry/consul');
    const current = () => terms.current;
    const next = terms.next(forever);
    assert.equal(current(), undefined);
    await clock.advance(500);
    const term = await next;
    assert.ok(term);
    assert.ok(term.isValid() && current() === term);
    a.clock.stop();
    await clock.advance(10_000);
    // No timer of it has fired.
    assert.deepEqual([term.isValid(), term.signal.aborted, current()], [false, false, undefined]);
    a.clock.goOn();
    await clock.advance(2_000);
    assert.ok(term.signal.aborted && !term.isValid());
    assert.notEqual(await terms.next(forever), term);
  });

  it('are not waited for after the signal', async () => {
    const { open } = stage();
    const terms = open('a').leadership.terms('ClusterRegistry/consul');
    const ending = new AbortController();
    const next = terms.next(ending.signal);
    ending.abort();
    assert.equal(await next, undefined);
    assert.equal(await terms.next(ending.signal), undefined);
  });

  it('last for ever without election', async () => {
    const leadership = leadAll();
    const terms = leadership.terms('ClusterRegistry/consul');
    assert.ok(leadership.leads('anything') && terms.current?.isValid());
    assert.equal(await terms.confirm(), 'alone');
    assert.deepEqual(leadership.leases(), []);
  });
});
