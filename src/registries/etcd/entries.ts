import { hash } from 'node:crypto';
import type { Instance } from '../../mirror/instance.ts';
import { consumersKeys, type KeyRange, OWNER, segment, withPrefix } from './keys.ts';
import { restOf } from './layouts/common.ts';
import type { Layout } from './layouts/layout.ts';
import { decode, encode, NO_MARKS } from './value.ts';

/** An instance and the keys that it stands under: one where consumers look, one of Roster's records beside it, or both. */

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

export interface Held extends KeyValue {
  /** Of its last change. */
  readonly revision: string;
  /** `0` without one. */
  readonly lease: string;
}

/** A key under which an instance may stand; without a value it must not stand there. */
export interface Slot {
  readonly key: string;
  readonly value?: string;
}

export interface Entries {
  readonly layout: Layout;
  /** All slots of an instance, filled as its state wants it. */
  filled(instance: Instance): readonly Slot[];
  /** All slots of an instance, empty. */
  empty(instance: Instance): readonly Slot[];
  /** Where all keys of a cluster are, with those of others: all that consumers read, and its records. */
  keysOf(cluster: string): readonly KeyRange[];
  /** Whether a value that stands at one of these keys, or stood there, is one of this cluster. */
  isOf(cluster: string, held: KeyValue): boolean;
  /** Where all keys are that tell what consumers of a service get, with those of others. */
  keysBehind(service: string): readonly KeyRange[];
  isBehind(service: string, key: string): boolean;
  /** The record that belongs to a key that consumers read, if it is one of ours. */
  recordBeside(key: string): string | undefined;
  /** The instances of a cluster among these, which must be complete for each instance, with the keys that are theirs. */
  owned(cluster: string, held: readonly Held[]): readonly Owned[];
  /** The instance that a consumer gets by a value of ours. */
  served(held: KeyValue, record: KeyValue | undefined): Instance | undefined;
}

export interface Owned {
  readonly instance: Instance;
  readonly held: readonly Held[];
}

/** Never equal for different values. */
export const digestOf = (value: string): string => hash('sha1', value, 'base64');

export function createEntries(prefix: string, layout: Layout): Entries {
  const root = `${prefix}/${OWNER}/`;
  const recordOf = (instance: Instance) =>
    `${root}${segment(instance.marks.cluster)}/${instance.service}/${restOf(instance)}`;

  const recordsOf = (cluster: string) => `${root}${segment(cluster)}/`;

  const recordBeside = (key: string): string | undefined => {
    const [service, cluster, ...rest] = key.slice(layout.home.length + 1).split('/');
    return layout.records === 'always' && rest.length > 0
      ? `${root}${cluster}/${service}/${rest.join('/')}`
      : undefined;
  };

  const readRecord = ({ key, value }: KeyValue): Instance | undefined => {
    const instance = decode(value);
    return instance !== undefined && instance.marks !== NO_MARKS && recordOf(instance) === key ? instance : undefined;
  };

  const readServed = ({ key, value }: KeyValue, record: Instance | undefined): Instance | undefined => {
    if (layout.records !== 'always') {
      const instance = layout.read(value);
      return instance !== undefined && instance.marks !== NO_MARKS && layout.keyOf(instance) === key
        ? instance
        : undefined;
    }
    if (record === undefined || layout.keyOf(record) !== key) return undefined;
    const found = layout.address(value);
    const instance = { ...record, ...found };
    // What no field of an instance shows must show as drift all the same.
    return layout.serves(instance) && layout.write(instance) === value
      ? instance
      : { ...instance, health: 'unhealthy' };
  };

  return {
    layout,
    filled(instance) {
      const key = layout.keyOf(instance);
      if (layout.records === 'never') return [{ key, value: layout.write(instance) }];
      const serves = layout.serves(instance);
      const record = recordOf(instance);
      return [
        serves ? { key, value: layout.write(instance) } : { key },
        layout.records === 'always' || !serves ? { key: record, value: encode(instance) } : { key: record },
      ];
    },
    empty(instance) {
      const key = layout.keyOf(instance);
      return layout.records === 'never' ? [{ key }] : [{ key }, { key: recordOf(instance) }];
    },
    keysOf: (cluster) => [
      ...consumersKeys(layout.home),
      ...(layout.records === 'never' ? [] : [withPrefix(recordsOf(cluster))]),
    ],
    isOf(cluster, { key, value }) {
      if (key.startsWith(root)) return key.startsWith(recordsOf(cluster));
      if (layout.records === 'always') return recordBeside(key)?.startsWith(recordsOf(cluster)) === true;
      return layout.read(value)?.marks.cluster === cluster;
    },
    // What weighs an instance, and its metadata, may stand in its record alone.
    keysBehind: (service) => [layout.asks(service), ...(layout.records === 'always' ? [withPrefix(root)] : [])],
    isBehind: (service, key) => !key.startsWith(root) || key.slice(root.length).split('/')[1] === service,
    recordBeside,
    owned(cluster, all) {
      const records = new Map<string, { readonly instance: Instance; readonly held: Held }>();
      for (const held of all) {
        const instance = layout.records !== 'never' && held.key.startsWith(root) ? readRecord(held) : undefined;
        if (instance?.marks.cluster === cluster) records.set(layout.keyOf(instance), { instance, held });
      }
      const found: Owned[] = [];
      for (const held of all) {
        if (held.key.startsWith(root)) continue;
        const record = records.get(held.key);
        const instance = readServed(held, record?.instance);
        if (instance?.marks.cluster !== cluster) continue;
        records.delete(held.key);
        const twice = layout.records === 'unserved' && record !== undefined;
        found.push({
          instance: twice ? { ...instance, health: 'unhealthy' } : instance,
          held: record === undefined ? [held] : [held, record.held],
        });
      }
      for (const { instance, held } of records.values()) {
        // A record alone is how an instance stands that consumers must not see.
        found.push({
          instance: layout.serves(instance) ? { ...instance, health: 'unhealthy' } : instance,
          held: [held],
        });
      }
      return found;
    },
    served: (held, record) => readServed(held, record === undefined ? undefined : readRecord(record)),
  };
}
