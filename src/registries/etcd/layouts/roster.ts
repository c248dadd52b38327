import { segment, withPrefix } from '../keys.ts';
import { decode, encode } from '../value.ts';
import type { Layout } from './layout.ts';

/**
 * `<prefix>/<service>/<id>`: JSON with everything that an instance has. Slashes and percent signs of a service name are written `%2F` and
 * `%25` in the key.
 */
export function rosterLayout(prefix: string): Layout {
  return {
    home: prefix,
    records: 'never',
    brokenRule: () => undefined,
    serves: () => true,
    keyOf: ({ service, id }) => `${prefix}/${segment(service)}/${id}`,
    write: encode,
    read: decode,
    asks: (service) => withPrefix(`${prefix}/${segment(service)}/`),
    sees(_, value) {
      const seen = decode(value);
      return seen === undefined || seen.address === '' ? [] : [seen];
    },
  };
}
