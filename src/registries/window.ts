/**
 * How much may be in flight to one registry at once. Halves when a call takes more than three times what is usual for its kind, and grows back by one
 * with each that does not: a registry that slows down is not pushed further.
 */
export interface Window {
  /** 1 up to the bound. */
  readonly size: number;
  /** Only calls of one kind are compared with one another. */
  judge(tookMs: number, kind?: string): void;
}

export function createWindow(bound: number): Window {
  const usualMs = new Map<string, number>();
  let size = bound;
  return {
    get size() {
      return size;
    },
    judge(tookMs, kind = '') {
      const usual = usualMs.get(kind);
      const slow = usual !== undefined && tookMs > usual * 3;
      size = slow ? Math.max(1, Math.floor(size / 2)) : Math.min(bound, size + 1);
      usualMs.set(kind, usual === undefined ? tookMs : usual * 0.9 + tookMs * 0.1);
    },
  };
}
