import assert from 'node:assert/strict';
import { test } from 'node:test';
import { names, serviceReflection, until } from './reflection.ts';
import {
  bookmark,
  event,
  json,
  page,
  type Script,
  scriptedServer,
  service,
  status,
  statusObject,
  watch,
} from './scripted-server.ts';

type Tuning = Parameters<typeof serviceReflection>[1];

/** Runs the reflector against a script, and ends both. */
async function play(script: Script, tuning: Tuning, body: (run: Playing) => Promise<void>): Promise<void> {
  const server = await scriptedServer(script);
  const running = await serviceReflection(server.kubeconfig, tuning);
  try {
    await body({ ...running, server });
  } finally {
    await running.stop();
    await server.close();
  }
}

type Playing = Awaited<ReturnType<typeof serviceReflection>> & {
  readonly server: Awaited<ReturnType<typeof scriptedServer>>;
};

const two = page(10, [service('a', 5), service('b', 6)]);
const idle = watch([]);

test('a connection that is reset is opened again at the last event, without a list', async () => {
  const script = {
    list: [two],
    watch: [watch([event('ADDED', service('c', 11))], 'reset'), watch([event('ADDED', service('d', 12))])],
  };
  await play(script, {}, async ({ server, store, deltas }) => {
    await until(() => store.size === 4, 'the event of the second watch');
    assert.deepEqual(deltas, ['+a', '+b', '+c', '+d']);
    assert.equal(server.count('list'), 1);
    assert.deepEqual(
      server.requests.filter(({ kind }) => kind === 'watch').map(({ query }) => query.get('resourceVersion')),
      ['10', '11'],
    );
  });
});

test('a watch that cannot be opened again leads to a list: the server may come back restored, and no watch would tell', async () => {
  const broken = status(503, 'ServiceUnavailable');
  // Its revisions are ahead already, and `a` is in it as it was before.
  const restored = page(20, [service('a', 4), service('b', 6)]);
  const script = {
    list: [two, restored],
    watch: [watch([event('MODIFIED', service('a', 11))], 'reset'), broken, idle],
  };
  await play(script, {}, async ({ server, store, deltas, log }) => {
    await until(() => deltas.length === 5, 'the restored state');
    assert.deepEqual(deltas, ['+a', '+b', '~a', '~a', '~b']);
    assert.deepEqual(names(store), ['a@4', 'b@6']);
    assert.match(log.lines.map(({ message }) => message).join('\n'), /older than before/);
    const lists = server.requests.filter(({ kind }) => kind === 'list').map(({ at }) => at);
    assert.ok(lists.at(-1)! - lists[1]! >= 200, 'not believed before a second list, 200 ms later');
    await until(() => server.count('watch') === 3, 'the watch from there');
    const watches = server.requests.filter(({ kind }) => kind === 'watch');
    assert.deepEqual(
      watches.map(({ query }) => query.get('resourceVersion')),
      ['10', '11', '20'],
    );
  });
});

test('a watch that is answered 429 waits as long as Retry-After says', async () => {
  const busy = status(429, 'TooManyRequests', {}, { 'retry-after': '1' });
  await play(
    { list: [two], watch: [busy, watch([event('ADDED', service('c', 11))])] },
    {},
    async ({ server, store }) => {
      await until(() => store.size === 3, 'the watch after the wait');
      const [first, second] = server.requests.filter(({ kind }) => kind === 'watch');
      assert.ok(second!.at - first!.at >= 990, `waited ${second!.at - first!.at} ms`);
      assert.equal(server.count('list'), 1);
    },
  );
});

test('a first list that is answered 503 is tried again, and the store is not synced before one succeeded', async () => {
  let syncedTooEarly = false;
  let isSynced = () => false;
  const unavailable: Script['list'] = [1, 2].map(() => (response, seen) => {
    syncedTooEarly ||= isSynced();
    status(503, 'ServiceUnavailable')(response, seen);
  });
  await play({ list: [...unavailable, two], watch: [idle] }, {}, async ({ store, server }) => {
    isSynced = () => store.synced;
    await store.whenSynced(AbortSignal.timeout(20_000));
    assert.equal(syncedTooEarly, false);
    assert.equal(server.count('list'), 3);
    assert.deepEqual(names(store), ['a@5', 'b@6']);
  });
});

test('after a 410, an empty list at a lower resource version removes nothing', async () => {
  const expired = watch([event('ERROR', statusObject(410, 'Expired'))]);
  const script = {
    list: [two, page(3, [])],
    watch: [expired, idle],
    get: [status(404, 'NotFound', { name: 'other' })],
  };
  await play(script, {}, async ({ server, store, deltas, log }) => {
    // Refused at first, then believed to be a restored cluster; the objects stay until the server itself says that they are gone.
    await until(() => server.count('get') >= 2, 'the absences to be asked for');
    assert.deepEqual(deltas, ['+a', '+b']);
    assert.deepEqual(names(store), ['a@5', 'b@6']);
    assert.match(log.lines.map(({ message }) => message).join('\n'), /older than before/);
    assert.equal(store.wasDeleted('shop/a'), false);
  });
});

test('a restored cluster is believed when two older lists, far enough apart, show it; what it lacks goes only after its own 404', async () => {
  const expired = watch([event('ERROR', statusObject(410, 'Expired'))]);
  const gone: NonNullable<Script['get']>[number] = (response, seen) =>
    status(404, 'NotFound', { name: seen.path.split('/').at(-1) ?? '' })(response, seen);
  await play(
    { list: [two, page(3, [service('b', 2)])], watch: [expired, idle], get: [gone] },
    {},
    async ({ server, store, deltas }) => {
      await until(() => deltas.includes('-a'), 'the removal of a');
      assert.deepEqual(deltas, ['+a', '+b', '~b', '-a']);
      assert.deepEqual(names(store), ['b@2']);
      assert.deepEqual(
        server.requests.filter(({ kind }) => kind === 'get').map(({ path }) => path),
        ['/api/v1/namespaces/shop/services/a'],
      );
      const lists = server.requests.filter(({ kind }) => kind === 'list').map(({ at }) => at);
      assert.ok(lists.at(-1)! - lists[1]! >= 400, 'two older lists, and one more for the absence, each 200 ms apart');
    },
  );
});

test('after a 410, an older list with the same names and other UIDs changes nothing', async () => {
  const older = page(9, [service('a', 3, 'uid-of-last-week'), service('b', 4, 'uid-of-last-month')]);
  const expired = status(410, 'Expired');
  const script = { list: [two, older, page(12, [service('a', 5), service('b', 12)])], watch: [expired, idle] };
  await play(script, {}, async ({ store, deltas }) => {
    await until(() => deltas.length === 3, 'the newer list');
    assert.deepEqual(deltas, ['+a', '+b', '~b']);
    assert.deepEqual(
      [...store.all()].map(({ metadata }) => metadata.uid),
      ['uid-a', 'uid-b'],
    );
  });
});

test('an older version of an object that the watch sends does not replace the newer one', async () => {
  const lines = [
    event('MODIFIED', service('a', 4)),
    event('DELETED', service('a', 3)),
    event('ADDED', service('c', 11)),
  ];
  await play({ list: [two], watch: [watch(lines)] }, {}, async ({ server, store, deltas }) => {
    await until(() => store.size === 3, 'the event behind the old ones');
    assert.deepEqual(names(store), ['a@5', 'b@6', 'c@11']);
    assert.deepEqual(deltas, ['+a', '+b', '+c']);
    assert.equal(server.count('list'), 1);
  });
});

test('a line that is cut off leads to a new list, so the deletion it held is not lost', async () => {
  const cut = `${event('ADDED', service('c', 11))}${event('DELETED', service('a', 12)).slice(0, 40)}`;
  const gone = status(404, 'NotFound', { name: 'a' });
  const script = {
    list: [two, page(12, [service('b', 6), service('c', 11)])],
    watch: [watch([cut], 'end'), idle],
    get: [gone],
  };
  await play(script, {}, async ({ server, store, deltas }) => {
    await until(() => deltas.includes('-a'), 'the confirmed absence');
    assert.deepEqual(deltas, ['+a', '+b', '+c', '-a']);
    assert.equal(store.wasDeleted('shop/a'), true);
    assert.equal(server.count('list'), 3);
  });
});

test('a line that is no JSON, or an event of an unknown type, leads to a new list', async () => {
  const script = {
    list: [two, page(12, [service('a', 5), service('b', 6), service('c', 12)])],
    watch: [watch(['{"type":"ADD\n']), watch([event('RENAMED', {})]), idle],
  };
  await play(script, {}, async ({ server, store }) => {
    await until(() => server.count('watch') === 3, 'the third watch');
    assert.equal(server.count('list'), 3);
    assert.equal(store.size, 3);
  });
});

test('a silent watch is given up and everything is listed again', async () => {
  const script = { list: [two, page(12, [service('a', 5), service('b', 12)])], watch: [idle] };
  await play(script, { stallMs: 150 }, async ({ server, deltas, log }) => {
    await until(() => deltas.includes('~b'), 'the second list');
    const watches = server.requests.filter(({ kind }) => kind === 'watch');
    const lists = server.requests.filter(({ kind }) => kind === 'list');
    assert.ok(lists[1]!.at - watches[0]!.at >= 140, 'not before the silence was long enough');
    assert.ok(log.lines.some(({ fields }) => /no event and no bookmark/.test(String(fields['why']))));
  });
});

test('bookmarks keep a quiet watch alive and move the point from which it goes on', async () => {
  const sent: NodeJS.Timeout[] = [];
  const ticking: NonNullable<Script['watch']>[number] = (response) => {
    response.writeHead(200);
    let version = 20;
    const timer = setInterval(() => {
      response.write(bookmark(version++));
      if (version < 36) return;
      clearInterval(timer);
      response.end();
    }, 50);
    sent.push(timer);
  };
  await play({ list: [two], watch: [ticking, idle] }, { stallMs: 500 }, async ({ server }) => {
    await until(() => server.count('watch') === 2, 'the watch after 800 ms of bookmarks alone');
    assert.equal(server.count('list'), 1);
    assert.equal(server.requests.at(-1)!.query.get('resourceVersion'), '35');
    assert.equal(server.requests.at(-1)!.query.get('allowWatchBookmarks'), 'true');
    for (const timer of sent) clearInterval(timer);
  });
});

test('a bookmark of the past means another history of the cluster: everything is listed again', async () => {
  await play(
    { list: [two, page(12, [service('a', 12), service('b', 6)])], watch: [watch([bookmark(4)]), idle] },
    {},
    async ({ deltas }) => {
      await until(() => deltas.includes('~a'), 'the second list');
      assert.deepEqual(deltas, ['+a', '+b', '~a']);
    },
  );
});

test('a continue token that expired starts the list anew, and nothing of the first half is shown', async () => {
  const script = {
    list: [
      page(10, [service('a', 5)], 'next'),
      status(410, 'Expired'),
      page(20, [service('b', 6)], 'more'),
      page(20, [service('c', 7)]),
    ],
    watch: [idle],
  };
  await play(script, {}, async ({ server, store, deltas, log }) => {
    await store.whenSynced(AbortSignal.timeout(20_000));
    assert.deepEqual(deltas, ['+b', '+c']);
    assert.deepEqual(log.lines, [], 'nothing that anybody need know of');
    const lists = server.requests.filter(({ kind }) => kind === 'list');
    assert.deepEqual(
      lists.map(({ query }) => query.get('continue')),
      [null, 'next', null, 'more'],
    );
    assert.ok(lists.every(({ query }) => query.get('limit') === '500' && !query.has('resourceVersion')));
    await until(() => server.count('watch') === 1, 'the watch');
    assert.equal(server.requests.at(-1)!.query.get('resourceVersion'), '20');
  });
});

test('a list that fails in the middle shows nothing', async () => {
  let shown = -1;
  let size = () => 0;
  const afterTheFailure: NonNullable<Script['list']>[number] = (response, seen) => {
    shown = size();
    page(10, [service('b', 6)])(response, seen);
  };
  const script = {
    list: [page(10, [service('a', 5)], 'next'), status(500, 'InternalError'), afterTheFailure],
    watch: [idle],
  };
  await play(script, {}, async ({ store, deltas }) => {
    size = () => store.size;
    await store.whenSynced(AbortSignal.timeout(20_000));
    assert.equal(shown, 0);
    assert.deepEqual(deltas, ['+b']);
  });
});

test('a watch that the server ends goes on from the last event, without a list', async () => {
  const script = { list: [two], watch: [watch([bookmark(15)], 'end'), watch([event('MODIFIED', service('a', 16))])] };
  await play(script, {}, async ({ server, deltas }) => {
    await until(() => deltas.includes('~a'), 'the change');
    assert.equal(server.count('list'), 1);
    const asked = server.requests.filter(({ kind }) => kind === 'watch').map(({ query }) => query);
    assert.deepEqual(
      asked.map((query) => query.get('resourceVersion')),
      ['10', '15'],
    );
    for (const query of asked) {
      const seconds = Number(query.get('timeoutSeconds'));
      assert.ok(seconds >= 300 && seconds <= 600, `timeoutSeconds ${seconds}`);
    }
  });
});

test('another UID under the same name is a deletion and a new object', async () => {
  await play(
    { list: [two], watch: [watch([event('ADDED', service('a', 11, 'uid-new'))])] },
    {},
    async ({ store, deltas }) => {
      await until(() => deltas.length === 4, 'the replacement');
      assert.deepEqual(deltas, ['+a', '+b', '-a', '+a']);
      assert.equal(store.get('shop/a')?.metadata.uid, 'uid-new');
      assert.equal(store.wasDeleted('shop/a'), false);
    },
  );
});

test('a DELETED event for another UID does not remove the object', async () => {
  const script = {
    list: [two, page(12, [service('a', 5), service('b', 6)])],
    watch: [watch([event('DELETED', service('a', 11, 'uid-other'))]), idle],
  };
  await play(script, {}, async ({ server, store, deltas }) => {
    await until(() => server.count('watch') === 2, 'the list that follows');
    assert.deepEqual(deltas, ['+a', '+b']);
    assert.equal(store.wasDeleted('shop/a'), false);
  });
});

test('an object that a newer list lacks stays until a second list and a live 404 agree, however long an error lasts', async () => {
  const expired = watch([event('ERROR', statusObject(410, 'Expired'))]);
  const refusals = [
    status(503, 'ServiceUnavailable'),
    status(403, 'Forbidden', { name: 'a' }),
    status(404, 'NotFound'),
  ];
  const script = {
    list: [two, page(20, [service('b', 6)])],
    watch: [expired, idle],
    get: [...refusals, status(404, 'NotFound', { name: 'a' })],
  };
  await play(script, {}, async ({ server, deltas }) => {
    await until(() => server.count('get') === 3, 'three answers that prove nothing');
    assert.deepEqual(deltas, ['+a', '+b']);
    await until(() => deltas.includes('-a'), 'the 404 of the object itself');
    assert.equal(server.count('get'), 4);
  });
});

test('an object that comes back while its absence is being confirmed is not removed', async () => {
  const expired = watch([event('ERROR', statusObject(410, 'Expired'))]);
  const back = watch([event('ADDED', service('a', 21, 'uid-again')), event('ADDED', service('c', 22))]);
  const script = {
    list: [two, page(20, [service('b', 6)])],
    watch: [expired, back],
    get: [status(404, 'NotFound', { name: 'a' })],
  };
  await play(script, {}, async ({ server, store, deltas }) => {
    await until(() => deltas.includes('+c'), 'the return');
    assert.deepEqual(deltas, ['+a', '+b', '-a', '+a', '+c']);
    await until(() => server.count('watch') >= 2, 'the watch');
    assert.equal(store.get('shop/a')?.metadata.uid, 'uid-again');
    assert.equal(server.count('get'), 0);
  });
});

test('a kind that the server does not serve is named in the log once, and is read as soon as it is there', async () => {
  const missing: Script['list'] = [1, 2, 3].map(
    () => (response) => response.writeHead(404).end('404 page not found\n'),
  );
  await play({ list: [...missing, two], watch: [idle] }, {}, async ({ store, log }) => {
    await store.whenSynced(AbortSignal.timeout(20_000));
    const warnings = log.lines.filter(({ level }) => level === 'warn');
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!.message, /does not serve services/);
  });
});

test('a missing permission is named with its verb and resource', async () => {
  await play(
    { list: [two], watch: [status(403, 'Forbidden'), status(403, 'Forbidden'), idle] },
    {},
    async ({ server, log }) => {
      await until(() => server.count('watch') === 3, 'the third watch');
      const warnings = log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message);
      assert.deepEqual(warnings, [
        'not allowed to watch services: grant the service account the verbs get, list and watch on it',
      ]);
    },
  );
});

test('a handler that throws is logged and stops nothing', async () => {
  const onDelta = () => {
    throw new Error('a defect of the handler');
  };
  await play(
    { list: [two], watch: [watch([event('ADDED', service('c', 11))])] },
    { onDelta },
    async ({ store, log }) => {
      await until(() => store.size === 3, 'the event after the failures');
      assert.equal(log.lines.filter(({ level }) => level === 'error').length, 3);
    },
  );
});

test('an object that cannot be read is logged, and its last good version stays', async () => {
  const bad = { ...service('a', 11), spec: { ports: [{ port: 'http' }] } };
  await play(
    { list: [two], watch: [watch([event('MODIFIED', bad), event('ADDED', service('c', 12))])] },
    {},
    async ({ store, log }) => {
      await until(() => store.size === 3, 'the event after the bad one');
      assert.deepEqual(names(store), ['a@5', 'b@6', 'c@12']);
      assert.ok(log.lines.some(({ fields }) => fields['object'] === 'shop/a'));
    },
  );
});

test('an answer that is no list is an error, not an empty list', async () => {
  const garbage = [json({}), json({ items: [] }), json({ metadata: { resourceVersion: '11' }, items: [{}] })];
  await play(
    { list: [two, ...garbage, page(12, [service('a', 5), service('b', 6)])], watch: [status(410, 'Expired'), idle] },
    {},
    async ({ server, deltas }) => {
      await until(() => server.count('watch') === 2, 'the good list');
      assert.deepEqual(deltas, ['+a', '+b']);
      assert.equal(server.count('get'), 0);
    },
  );
});

test('a character that arrives in two pieces is read whole', async () => {
  const line = event('ADDED', service('ü', 11));
  const bytes = Buffer.from(line);
  const middle = bytes.indexOf(0xc3) + 1;
  const inPieces: NonNullable<Script['watch']>[number] = (response) => {
    response.writeHead(200);
    response.write(bytes.subarray(0, middle));
    setTimeout(() => response.write(bytes.subarray(middle)), 20);
  };
  await play({ list: [two], watch: [inPieces] }, {}, async ({ store, deltas }) => {
    await until(() => store.size === 3, 'the event in two pieces');
    assert.deepEqual(deltas, ['+a', '+b', '+ü']);
  });
});

test('a list without anything is asked for again, since no event tells of what it left out', async () => {
  await play({ list: [page(10, []), two], watch: [idle] }, {}, async ({ store, deltas }) => {
    await until(() => store.size === 2, 'the second list');
    assert.deepEqual(deltas, ['+a', '+b']);
  });
});
