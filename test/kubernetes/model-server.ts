/**
 * A small API server with a memory of its own: Services in one namespace, a history that can be compacted, pages of one moment, and
 * connections that break as told. It is what a reflector is compared with.
 */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import {
  type Answer,
  bookmark,
  event,
  json,
  type ScriptedServer,
  scriptedServer,
  service,
  status,
} from './scripted-server.ts';

type Stored = ReturnType<typeof service>;

export interface ModelServer extends ScriptedServer {
  /** `name@resourceVersion` of what exists, sorted. */
  truth(): readonly string[];
  objects(): readonly Stored[];
  set(name: string): void;
  remove(name: string): void;
  /** Forgets the history: watches from before are answered 410. */
  compact(): void;
  /** Ends every watch: in order, by a reset, or in the middle of an event. */
  cut(how: 'end' | 'reset' | 'truncate'): void;
  /** The next so many requests fail with this status. */
  fail(times: number, code: number): void;
  bookmarks(): void;
}

interface Change {
  readonly version: number;
  readonly line: string;
}

export async function modelServer(): Promise<ModelServer> {
  const objects = new Map<string, Stored>();
  const snapshots = new Map<string, { readonly version: number; readonly rest: readonly Stored[] }>();
  const watches = new Set<ServerResponse>();
  let history: Change[] = [];
  let version = 100;
  let compactedAt = 100;
  let failures = 0;
  let failureCode = 500;

  const failing =
    (answer: Answer): Answer =>
    (response, seen) => {
      if (failures > 0) {
        failures--;
        return status(failureCode, 'Scripted')(response, seen);
      }
      return answer(response, seen);
    };

  const change = (type: string, object: Stored) => {
    const line = event(type, object);
    history.push({ version, line });
    for (const watch of watches) watch.write(line);
  };

  const list: Answer = (response, seen) => {
    const token = seen.query.get('continue');
    const from = token === null ? { version, rest: [...objects.values()] } : snapshots.get(token);
    if (from === undefined || from.version < compactedAt) return status(410, 'Expired')(response, seen);
    const limit = Number(seen.query.get('limit'));
    const rest = from.rest.slice(limit);
    const next = rest.length === 0 ? undefined : randomUUID();
    if (next !== undefined) snapshots.set(next, { version: from.version, rest });
    json({
      kind: 'ServiceList',
      metadata: { resourceVersion: String(from.version), ...(next === undefined ? {} : { continue: next }) },
      items: from.rest.slice(0, limit),
    })(response, seen);
  };

  const watch: Answer = (response, seen) => {
    const since = Number(seen.query.get('resourceVersion'));
    if (since < compactedAt) return status(410, 'Expired')(response, seen);
    response.writeHead(200);
    response.flushHeaders();
    for (const past of history) if (past.version > since) response.write(past.line);
    watches.add(response);
    response.on('close', () => watches.delete(response));
  };

  const get: Answer = (response, seen) => {
    const name = seen.path.split('/').at(-1) ?? '';
    const object = objects.get(name);
    (object === undefined ? status(404, 'NotFound', { name }) : json(object))(response, seen);
  };

  const server = await scriptedServer({ list: [failing(list)], watch: [failing(watch)], get: [failing(get)] });
  return {
    ...server,
    truth: () => [...objects.values()].map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`).sort(),
    objects: () => [...objects.values()],
    set(name) {
      version++;
      const known = objects.get(name);
      const object = service(name, version, known?.metadata.uid ?? randomUUID());
      objects.set(name, object);
      change(known === undefined ? 'ADDED' : 'MODIFIED', object);
    },
    remove(name) {
      const known = objects.get(name);
      if (known === undefined) return;
      version++;
      objects.delete(name);
      change('DELETED', service(name, version, known.metadata.uid));
    },
    compact() {
      version++;
      compactedAt = version;
      history = [];
    },
    cut(how) {
      for (const watch of watches) {
        if (how === 'reset') watch.socket?.resetAndDestroy();
        else watch.end(how === 'truncate' ? '{"type":"DELETED","obj' : '');
      }
      watches.clear();
    },
    fail(times, code) {
      failures = times;
      failureCode = code;
    },
    bookmarks() {
      for (const watch of watches) watch.write(bookmark(version));
    },
  };
}
