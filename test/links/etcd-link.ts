import { type Conversation, openTcpLink, type Piece, type TcpLink } from './tcp-link.ts';

const FRAME_HEADER = 9;
const DATA = 0;
const HEADERS = 1;

/**
 * A connection of HTTP/2 without TLS in the middle of which things can go wrong. Unlike on a plain one, what the server sends is an answer
 * only from the headers of a stream on: settings, pings and windows pass. `target` is the server's port on loopback.
 */
export const openEtcdLink = (target: number): Promise<TcpLink> => openTcpLink(target, { conversation: inFrames });

function inFrames(): Conversation {
  let waiting: Buffer = Buffer.alloc(0);
  return {
    *answered(chunk) {
      waiting = Buffer.concat([waiting, chunk]);
      while (waiting.length >= FRAME_HEADER) {
        const length = FRAME_HEADER + waiting.readUIntBE(0, 3);
        if (waiting.length < length) return;
        const bytes = waiting.subarray(0, length);
        waiting = waiting.subarray(length);
        yield pieceOf(bytes);
      }
    },
  };
}

function pieceOf(bytes: Buffer): Piece {
  switch (bytes[3]) {
    case HEADERS:
      return { bytes, canBeCut: true };
    case DATA:
      return { bytes, truncated: bytes.subarray(0, FRAME_HEADER + 3) };
    default:
      return { bytes };
  }
}
