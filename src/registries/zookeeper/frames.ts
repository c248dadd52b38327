import { NotZooKeeper } from './codes.ts';

/** A list of a million names; the first bytes of other protocols, read as a length, are far more. */
const MAX_FRAME = 128 * 1_024 * 1_024;

/** Puts frames together from what a socket delivers: a length in four bytes, and so many bytes. Throws for lengths that are none. */
export function frameReader(onFrame: (frame: Buffer) => void): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let held = 0;

  return (chunk) => {
    parts.push(chunk);
    held += chunk.length;
    while (held >= 4) {
      const [head] = parts;
      if (head === undefined || head.length < 4) parts = [Buffer.concat(parts)];
      const length = parts[0]?.readInt32BE(0) ?? 0;
      if (length < 0 || length > MAX_FRAME) throw new NotZooKeeper('the answer does not begin with its length');
      if (held < length + 4) return;
      const bytes = parts.length === 1 ? (parts[0] ?? chunk) : Buffer.concat(parts);
      const rest = bytes.subarray(length + 4);
      parts = rest.length === 0 ? [] : [rest];
      held = rest.length;
      onFrame(bytes.subarray(4, length + 4));
    }
  };
}
