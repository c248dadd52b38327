import { RegistryError } from '../error.ts';

/** A page of names; `count` is that of all pages. */
export interface Page {
  readonly names: readonly string[];
  readonly count: number;
}

/** Names move between pages when services come and go meanwhile. */
const ATTEMPTS = 5;

/** Every name, or a rejection. Pages are numbered from 1. */
export async function allPages(
  read: (page: number, size: number) => Promise<Page>,
  size: number,
): Promise<readonly string[]> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const found = new Set<string>();
    let count = 0;
    let steady = true;
    for (let page = 1; page === 1 || (steady && (page - 1) * size < count); page++) {
      const answer = await read(page, size);
      steady = page === 1 || answer.count === count;
      count = answer.count;
      const before = found.size;
      for (const name of answer.names) found.add(name);
      // A count that no page comes up to would be asked after for ever.
      steady &&= found.size > before || found.size >= count;
    }
    if (steady && found.size >= count) return [...found];
  }
  throw new RegistryError('unavailable', 'list: services came and went while Nacos was asked for them; try again');
}
