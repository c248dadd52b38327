import type { Clock } from '../clock.ts';

/** The part of a pino logger that this folder uses. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** For warnings that come again and again: whether one of this sort is due, at once and then once a minute while it lasts. */
export function onceAMinute(clock: Clock): (sort: string) => boolean {
  const told = new Map<string, number>();
  return (sort) => {
    const last = told.get(sort);
    if (last !== undefined && clock.now() - last < 60_000) return false;
    told.set(sort, clock.now());
    return true;
  };
}
