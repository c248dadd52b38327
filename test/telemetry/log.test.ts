import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Instance } from '../../src/mirror/instance.ts';
import { createLog, type LogLevel, logChange } from '../../src/telemetry/log.ts';

const CANARY = 'c4n4ry-9f3b';

function recorder(level: LogLevel = 'debug') {
  const lines: string[] = [];
  const log = createLog({ level, destination: { write: (line: string) => lines.push(line) } });
  return { log, lines, entries: () => lines.map((line) => JSON.parse(line)) };
}

const instance: Instance = {
  id: 'prod/shop/web/10.0.0.7:8080',
  service: 'web-public',
  address: '10.0.0.7',
  port: 8080,
  health: 'healthy',
  liveness: 'persistent',
  weight: 100,
  tags: [],
  metadata: {},
  marks: { cluster: 'prod', owner: 'shop/web', registration: 'ServiceRegistration/shop/web', retained: false },
};

test('a line is JSON with level, time and the constant message', () => {
  const { log, entries } = recorder();
  log.warn({ registry: 'consul' }, 'registry down');
  const [{ time, ...rest }] = entries();
  assert.deepEqual(rest, { level: 'warn', registry: 'consul', msg: 'registry down' });
  assert.match(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test('lines below the level are not written', () => {
  const { log, entries } = recorder('warn');
  log.debug({}, 'a');
  log.info({}, 'b');
  log.warn({}, 'c');
  log.error({}, 'd');
  assert.deepEqual(
    entries().map(({ msg }) => msg),
    ['c', 'd'],
  );
});

const hidden: Readonly<Record<string, object>> = {
  'under the name of a secret': { token: CANARY, password: CANARY, secret: CANARY, ca: CANARY, key: CANARY },
  'whatever the spelling of the name': {
    'X-Consul-Token': CANARY,
    Authorization: CANARY,
    clientKey: CANARY,
    API_KEY: CANARY,
  },
  'where the secret is an object': { secret: { value: CANARY } },
  'deep inside': { request: { options: [{ headers: { authorization: CANARY } }] } },
  'in the credentials of a URL': {
    address: `https://admin:${CANARY}@consul:8501/v1`,
    other: `http://${CANARY}@consul`,
  },
  'in a bearer token in text': { detail: `sent Authorization: Bearer ${CANARY}` },
  'in a private key in text': { detail: `-----BEGIN RSA PRIVATE KEY-----\n${CANARY}\n-----END RSA PRIVATE KEY-----` },
  'in an error, its cause, and what clients hang on it': {
    err: Object.assign(new Error(`GET http://u:${CANARY}@consul failed`, { cause: new Error(`Bearer ${CANARY}`) }), {
      body: CANARY,
      response: { headers: { cookie: CANARY } },
    }),
  },
};

for (const [where, fields] of Object.entries(hidden)) {
  test(`a secret does not reach the log: ${where}`, () => {
    const { log, lines } = recorder();
    log.error({ registry: 'consul', ...fields }, 'failed');
    assert.equal(lines.length, 1);
    assert.ok(!lines.join('').includes(CANARY), lines.join(''));
    assert.match(lines.join(''), /\[redacted\]/);
  });
}

test('names that only resemble those of secrets are shown', () => {
  const { log, entries } = recorder();
  const fields = { monkey: 'm', africa: 'a', tokenSecretRef: { name: 'consul' }, secretName: 's', tokens: 3 };
  log.info(fields, 'x');
  const [{ level: _l, time: _t, msg: _m, ...shown }] = entries();
  assert.deepEqual(shown, fields);
});

test('an error is shown with its name, message, code and the messages of its causes', () => {
  const { log, entries } = recorder();
  const cause = Object.assign(new Error('connect refused'), { code: 'ECONNREFUSED' });
  log.error({ err: new TypeError('list failed', { cause }) }, 'x');
  const [{ err }] = entries();
  assert.equal(err.name, 'TypeError');
  assert.equal(err.message, 'list failed');
  assert.deepEqual(err.cause, { name: 'Error', message: 'connect refused', code: 'ECONNREFUSED' });
  assert.match(err.stack, /log\.test\.ts/);
});

test('a cyclic field does not stop the operator', () => {
  const { log, lines } = recorder();
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  log.info({ cyclic }, 'x');
  assert.equal(lines.length, 1);
});

test('each change leaves one line with registry, namespace, service, instance, action, reason and duration', () => {
  const { log, entries } = recorder();
  logChange(log, {
    registry: 'consul',
    change: { action: 'register', instance, reason: 'EndpointAdded' },
    durationMs: 12.4,
  });
  const [{ time: _, ...line }] = entries();
  assert.deepEqual(line, {
    level: 'info',
    registry: 'consul',
    namespace: 'shop',
    service: 'web',
    name: 'web-public',
    instance: 'prod/shop/web/10.0.0.7:8080',
    action: 'register',
    reason: 'EndpointAdded',
    durationMs: 12,
    msg: 'instance registered',
  });
});

test('a removal tells what shows that it is right', () => {
  const { log, entries } = recorder();
  const change = { action: 'deregister', instance, reason: 'ServiceDeleted', evidence: 'ObjectDeleted' } as const;
  logChange(log, { registry: 'consul', change, durationMs: 1 });
  const [{ reason, evidence }] = entries();
  assert.deepEqual({ reason, evidence }, { reason: 'ServiceDeleted', evidence: 'ObjectDeleted' });
});

test('a change that the registry refused is a warning with the code', () => {
  const { log, entries } = recorder();
  const change = { action: 'deregister', instance, reason: 'EndpointRemoved' } as const;
  logChange(log, { registry: 'consul', change, error: 'forbidden', durationMs: 1 });
  const [{ level, error, msg }] = entries();
  assert.deepEqual({ level, error, msg }, { level: 'warn', error: 'forbidden', msg: 'change not written' });
});
