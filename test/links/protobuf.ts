// Just enough of protocol buffers to look into a message without its definition.

/** A number for fields of varints, bytes for those with a length. */
export type Field = readonly [number: number, content: number | Buffer];

/** The fields of a message in order. Numbers of fixed width are passed over. */
export function* fieldsOf(message: Buffer): Iterable<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message.readUInt8(at++);
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        yield [number, varint()];
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const end = varint() + at;
        yield [number, message.subarray(at, end)];
        at = end;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        throw new Error('a field of an unknown kind');
    }
  }
}

/** The contents of a field that has a length, as often as it stands there. */
export const bytesOf = (message: Buffer, field: number): readonly Buffer[] =>
  Array.from(fieldsOf(message)).flatMap(([number, content]) =>
    number === field && typeof content !== 'number' ? [content] : [],
  );

/** 0 where it does not stand. */
export const numberOf = (message: Buffer, field: number): number => {
  for (const [number, content] of fieldsOf(message))
    if (number === field && typeof content === 'number') return content;
  return 0;
};
