import type { Health } from '../../../mirror/instance.ts';
import { idOf } from '../paths.ts';
import { fieldsOf, number, pairs, parseJson, text, texts } from './json.ts';
import type { Layout } from './layout.ts';
import { markPairs, marksOf } from './marks.ts';

/** For programs of one's own: an instance as one JSON object, with nothing of any framework. Roster's marks have an object of their own in it. */
export const plainLayout: Layout = {
  replaces: false,
  hides: () => false,
  brokenRule: () => undefined,
  write: ({ instance }) => {
    const { id, service, address, port, health, weight, tags, metadata, marks } = instance;
    return JSON.stringify({ id, service, address, port, health, weight, tags, metadata, roster: markPairs(marks) });
  },
  read(content, { service, node, liveness }) {
    const document = fieldsOf(parseJson(content));
    if (document === undefined) return undefined;
    const marks = marksOf(pairs(document['roster']));
    const ours = marks.cluster !== '';
    const address = text(document['address']);
    if (!ours && address === '') return undefined;
    return {
      registeredAt: 0,
      instance: {
        id: ours ? idOf(node) : node,
        service,
        address,
        port: number(document['port'], 0),
        health: healthOf(document['health']),
        liveness,
        weight: number(document['weight'], 1),
        tags: texts(document['tags']),
        metadata: pairs(document['metadata']),
        marks,
      },
    };
  },
};

/** Whoever says nothing of it is in service. */
const healthOf = (told: unknown): Health =>
  told === 'draining' || told === 'unhealthy'
    ? told
    : told === undefined || told === 'healthy'
      ? 'healthy'
      : 'unhealthy';
