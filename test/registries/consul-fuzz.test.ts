// Consul's answers, spoiled: an error of a known code or a result, never a defect, and never a part of a list for the whole.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { deregister, freshCluster, register, samplesOf } from '../conformance/samples.ts';
import { sharedConsul } from '../servers/shared.ts';
import { openAnsweringServer } from './answering-server.ts';
import { anyBytes, anyJson, open, outcome, spoiled, survives, using } from './hostile-answers.ts';

const consul = await sharedConsul();
const server = await openAnsweringServer();
after(server.close);

const at = (address: string) => open({ type: 'Consul', consul: { address } });
const fresh = () => at(server.address);

const status = fc.constantFrom(200, 200, 200, 204, 301, 400, 403, 404, 409, 429, 500, 503);

describe('Consul that answers anything', () => {
  it('JSON of any shape', () =>
    fc.assert(
      fc.asyncProperty(anyJson, status, async (body, code) => {
        server.answer((_, response) => response.writeHead(code, { 'content-type': 'application/json' }).end(body));
        await survives(fresh);
      }),
      { numRuns: 60 },
    ));

  it('any bytes, and any length for them', () =>
    fc.assert(
      fc.asyncProperty(anyBytes, status, fc.nat(20), async (body, code, more) => {
        server.answer((_, response) => {
          response.writeHead(code, {
            'content-type': 'application/json',
            'x-consul-index': '-1',
            ...(more > 10 && { 'content-length': body.length + more }),
          });
          response.end(body, () => more > 10 && response.destroy());
        });
        await survives(fresh);
      }),
      { numRuns: 60 },
    ));

  it('without an end: the answer is given up before it fills the memory', async () => {
    let sent = 0;
    server.answer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.on('error', () => {});
      const piece = Buffer.alloc(4 * 1_024 * 1_024, ' ');
      const write = () => {
        while (!response.destroyed && response.write(piece)) sent += piece.length;
        sent += piece.length;
        if (!response.destroyed) response.once('drain', write);
      };
      write();
    });
    const result = await using(fresh, (registry) => outcome(registry.list('prod', AbortSignal.timeout(60_000))));
    assert.deepEqual(result, { code: 'protocol' });
    assert.ok(sent < 1_024 * 1_024 * 1_024, `${sent} bytes`);
  });
});

describe('a list of Consul', () => {
  const cluster = freshCluster();
  const instances = samplesOf(cluster, 6).map((one, n) => ({
    ...one,
    health: n % 2 === 0 ? ('healthy' as const) : ('unhealthy' as const),
  }));

  /** Passes requests on; the answer with this number is what `change` makes of it. */
  function relay(
    number: number,
    change: (body: string) => { readonly body: string; readonly broken?: boolean } | undefined,
  ): () => boolean {
    let answered = 0;
    let changed = false;
    server.answer((asked, response) => {
      const passed = request(
        new URL(asked.url ?? '/', consul.address),
        { method: asked.method ?? 'GET' },
        async (answer) => {
          let body = '';
          for await (const text of answer.setEncoding('utf8')) body += text;
          const made = answered++ === number ? change(body) : undefined;
          if (made !== undefined) changed = true;
          const { 'content-length': _, 'transfer-encoding': __, ...headers } = answer.headers;
          response.writeHead(answer.statusCode ?? 500, {
            ...headers,
            ...(made?.broken === true && { 'content-length': body.length + 1 }),
          });
          response.end(made?.body ?? body, () => made?.broken === true && response.destroy());
        },
      );
      passed.on('error', () => response.destroy());
      passed.end();
    });
    return () => changed;
  }

  it('is complete or an error, wherever one of its answers ends too early', async () => {
    const direct = at(consul.address);
    try {
      const results = await direct.apply(instances.map(register), AbortSignal.timeout(20_000));
      assert.ok(results.every(({ ok }) => ok));
      let cut = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.nat(4),
          fc.double({ min: 0, max: 0.999, noNaN: true }),
          fc.boolean(),
          async (number, where, broken) => {
            const happened = relay(number, (body) => ({
              body: body.slice(0, Math.floor(body.trimEnd().length * where)),
              broken,
            }));
            const result = await using(fresh, (registry) =>
              outcome(registry.list(cluster, AbortSignal.timeout(20_000))),
            );
            if (happened()) {
              cut++;
              assert.ok('code' in result, 'a part was taken for the whole');
            } else assert.ok('value' in result && result.value.length === instances.length);
          },
        ),
        { numRuns: 60 },
      );
      assert.ok(cut > 10, String(cut));
      await fc.assert(
        fc.asyncProperty(fc.nat(4), fc.infiniteStream(fc.noShrink(fc.nat(1_000_000))), async (number, seeds) => {
          relay(number, (body) => {
            const [changed] = fc.sample(spoiled(JSON.parse(body)), { numRuns: 1, seed: seeds.next().value ?? 0 });
            return { body: JSON.stringify(changed) ?? '' };
          });
          await using(fresh, (registry) => outcome(registry.list(cluster, AbortSignal.timeout(20_000))));
        }),
        { numRuns: 60 },
      );
    } finally {
      await direct.apply(instances.map(deregister), AbortSignal.timeout(20_000));
      await direct.close();
    }
  });
});
