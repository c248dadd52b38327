/** A greeting is the first message of a connection. words: what has no length before it, such as a four-letter word and its answer. */
export type FrameKind = 'greeting' | 'message' | 'words';

/** What no message reaches: the first bytes of a four-letter word, read as a length. */
const TOO_LONG = 0x10000000;
/** Of the shortest message: its length, the number of the request, and what it is. */
const SHORTEST = 12;

/** Puts messages of ZooKeeper together, each with its length of four bytes before it. */
export function framesOf(onFrame: (frame: Buffer, kind: FrameKind) => void): (chunk: Buffer) => void {
  let waiting: Buffer = Buffer.alloc(0);
  let isFirst = true;
  return (chunk) => {
    waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
    while (waiting.length >= 4) {
      const said = waiting.readUInt32BE(0);
      const length = said >= TOO_LONG ? waiting.length : 4 + said;
      if (waiting.length < length) return;
      const frame = waiting.subarray(0, length);
      waiting = waiting.subarray(length);
      const kind = said >= TOO_LONG || length < SHORTEST ? 'words' : isFirst ? 'greeting' : 'message';
      isFirst = false;
      onFrame(frame, kind);
    }
  };
}
