// Answers of the HTTP API of Nacos, spoiled: an error of a known code or a result, never a defect, and never a part of a list for the whole.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { openAnsweringServer } from './answering-server.ts';
import { anyBytes, anyJson, CLUSTER, open, outcome, spoiled, survives, using } from './hostile-answers.ts';

const server = await openAnsweringServer();
after(server.close);
const at = () => open({ type: 'Nacos', nacos: { addresses: [server.address], protocol: 'Http' } });
const fresh = () => at();

const status = fc.constantFrom(200, 200, 200, 204, 301, 400, 403, 404, 429, 500, 503);
const hosts = [1, 2, 3].map((n) => ({
  ip: `10.0.0.${n}`,
  port: 80,
  weight: 1,
  healthy: true,
  enabled: true,
  ephemeral: false,
  clusterName: 'DEFAULT',
  metadata: {
    'managed-by': 'roster',
    'roster-cluster': CLUSTER,
    'roster-id': `${CLUSTER}/a/web/10.0.0.${n}:80`,
    'roster-owner': 'a/web',
    'roster-registration': 'ServiceRegistration/a/web',
  },
}));

/** As Nacos 2 answers; `change` what one path gets. */
function serve(path: string, change: (json: string) => string = (json) => json): void {
  server.answer((request, response) => {
    const url = new URL(request.url ?? '/', server.address);
    const said = answerOf(url.pathname);
    const json = JSON.stringify(said);
    response.end(url.pathname.endsWith(path) ? change(json) : json);
  });
}

function answerOf(path: string): unknown {
  if (path.endsWith('/server/state')) return { version: '2.2.4', standalone_mode: 'standalone' };
  if (path.endsWith('/service/list')) return { doms: ['web', 'api'], count: 2 };
  if (path.endsWith('/instance/list')) return { name: 'DEFAULT_GROUP@@web', hosts, reachProtectionThreshold: false };
  return {};
}

describe('Nacos that answers anything', () => {
  it('JSON of any shape', () =>
    fc.assert(
      fc.asyncProperty(anyJson, status, async (body, code) => {
        server.answer((_, response) => response.writeHead(code).end(body));
        await survives(fresh);
      }),
      { numRuns: 60 },
    ));

  it('any bytes', () =>
    fc.assert(
      fc.asyncProperty(anyBytes, status, async (body, code) => {
        server.answer((_, response) => response.writeHead(code).end(body));
        await survives(fresh);
      }),
      { numRuns: 60 },
    ));
});

describe('a list of Nacos', () => {
  it('is what was answered', async () => {
    serve('none');
    const result = await using(fresh, (registry) => outcome(registry.list(CLUSTER, AbortSignal.timeout(20_000))));
    assert.ok('value' in result && result.value.length > 0, JSON.stringify(result));
  });

  for (const path of ['/service/list', '/instance/list']) {
    it(`is complete or an error, wherever the answer of ${path} ends too early`, () =>
      fc.assert(
        fc.asyncProperty(fc.double({ min: 0, max: 0.999, noNaN: true }), async (where) => {
          serve(path, (json) => json.slice(0, Math.floor(json.length * where)));
          const result = await using(fresh, (registry) => outcome(registry.list(CLUSTER, AbortSignal.timeout(20_000))));
          assert.ok('code' in result, JSON.stringify(result));
        }),
        { numRuns: 60 },
      ));

    it(`is an error or a result, whatever is wrong within the answer of ${path}`, () =>
      fc.assert(
        fc.asyncProperty(spoiled(answerOf(path)), async (wrong) => {
          serve(path, () => JSON.stringify(wrong) ?? '');
          await using(fresh, (registry) => outcome(registry.list(CLUSTER, AbortSignal.timeout(20_000))));
          await using(fresh, (registry) => outcome(registry.discover('web', AbortSignal.timeout(20_000))));
        }),
        { numRuns: 100 },
      ));
  }
});
