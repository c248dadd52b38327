/**
 * The two messages of Nacos' gRPC, by hand: `Payload { Metadata metadata = 2; google.protobuf.Any body = 3 }` and
 * `Metadata { string type = 3; map<string, string> headers = 7; string clientIp = 8 }`. What they carry is JSON.
 */
export interface Payload {
  /** The simple name of the request's or response's class. */
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. */
  readonly body: string;
}

/** Bytes that are not a message of Nacos. */
export class NotNacos extends Error {
  override readonly name = 'NotNacos';
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

export function encodePayload({ type, headers, body }: Payload): Buffer {
  const pairs = Object.entries(headers).map(([key, value]) => field(7, text(1, key), text(2, value)));
  return Buffer.concat([field(2, text(3, type), ...pairs), field(3, text(2, body))]);
}

export function decodePayload(bytes: Uint8Array): Payload {
  let type = '';
  let body = '';
  const headers: [string, string][] = [];
  for (const [number, content] of fieldsOf(bytes)) {
    if (number === 2) {
      for (const [inner, value] of fieldsOf(content)) {
        if (inner === 3) type = textOf(value);
        if (inner === 7) headers.push(pairOf(value));
      }
    }
    if (number === 3) for (const [inner, value] of fieldsOf(content)) if (inner === 2) body = textOf(value);
  }
  return { type, headers: Object.fromEntries(headers), body };
}

function pairOf(bytes: Uint8Array): [string, string] {
  const parts = new Map(fieldsOf(bytes));
  return [textOf(parts.get(1) ?? EMPTY), textOf(parts.get(2) ?? EMPTY)];
}

const EMPTY = new Uint8Array();

const text = (number: number, value: string): Buffer => field(number, Buffer.from(value));

function field(number: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([varint(number * 8 + LENGTH), varint(length), ...parts]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  while (left > 127) {
    bytes.push((left % 128) + 128);
    left = Math.floor(left / 128);
  }
  return Buffer.from([...bytes, left]);
}

/** The fields of a message that have a length; numbers, which none of ours is, are passed over. */
function* fieldsOf(bytes: Uint8Array): Iterable<[number: number, content: Uint8Array]> {
  let at = 0;
  const byte = (): number => {
    const one = bytes[at++];
    if (one === undefined) throw new NotNacos('a message that ends too early');
    return one;
  };
  const number = (): number => {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      const one = byte();
      value += (one % 128) * scale;
      if (one < 128) return value;
    }
    throw new NotNacos('a number without an end');
  };
  while (at < bytes.length) {
    const tag = number();
    const kind = tag % 8;
    if (kind === VARINT) number();
    else if (kind === FIXED64) at += 8;
    else if (kind === FIXED32) at += 4;
    else if (kind === LENGTH) {
      const end = number() + at;
      if (end > bytes.length) throw new NotNacos('a field that ends after its message');
      yield [Math.floor(tag / 8), bytes.subarray(at, end)];
      at = end;
    } else throw new NotNacos('a field of an unknown kind');
  }
  if (at > bytes.length) throw new NotNacos('a message that ends too early');
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
