/** `host:port` and hosts of URLs: IPv6 stands in brackets. */

export interface HostPort {
  readonly address: string;
  readonly port: number;
}

export const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address);

export const unbracketed = (host: string): string => /^\[(.*)\]$/.exec(host)?.[1] ?? host;

export const hostPort = ({ address, port }: HostPort): string => `${bracketed(address)}:${port}`;

export function parseHostPort(text: string): HostPort | undefined {
  const [, host, port] = /^(\[[^\]]+\]|[^:/]+):(\d{1,5})$/.exec(text) ?? [];
  return host === undefined ? undefined : { address: unbracketed(host), port: Number(port) };
}
