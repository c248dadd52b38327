/** A stream of lines that are pushed by hand. Whoever reads for a process that died waits for ever. */
export function openLines(isAlive: () => boolean) {
  const encoder = new TextEncoder();
  const ready: Uint8Array[] = [];
  let ending: { readonly error?: unknown } | undefined;
  let wake = () => {};

  async function* read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (!isAlive()) await new Promise<never>(() => {});
      const chunk = ready.shift();
      if (chunk !== undefined) yield chunk;
      else if (ending !== undefined) {
        if ('error' in ending) throw ending.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }

  return {
    stream: read(),
    push(text: string): void {
      ready.push(encoder.encode(text));
      wake();
    },
    end(): void {
      ending ??= {};
      wake();
    },
    /** What came before is lost with the connection. */
    fail(error: unknown): void {
      ready.length = 0;
      ending ??= { error };
      wake();
    },
  };
}
