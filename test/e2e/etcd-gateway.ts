// etcd by its JSON gateway, without a client that could hide anything.
import type { Etcd } from '../servers/etcd.ts';

export interface EtcdAnswer {
  readonly header: { readonly revision: string };
  readonly kvs?: readonly EtcdPair[];
  readonly alarms?: readonly { readonly memberID: string; readonly alarm: string }[];
}

/** Keys and values are base64. */
export interface EtcdPair {
  readonly key: string;
  readonly value: string;
  /** 1 for one that was written once since it was made. */
  readonly version: string;
  readonly mod_revision: string;
}

type Server = Pick<Etcd, 'address'>;

export const post = ({ address }: Server, path: string, body: object): Promise<Response> =>
  fetch(`${address}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });

export const call = async (server: Server, path: string, body: object): Promise<EtcdAnswer> =>
  (await (await answered(post(server, path, body))).json()) as EtcdAnswer;

/** Rejects for a status that says no. */
export async function answered(sent: Promise<Response>): Promise<Response> {
  const response = await sent;
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${await response.text()}`);
  return response;
}

export const base64 = (plain: string): string => Buffer.from(plain).toString('base64');
export const text = (encoded: string): string => Buffer.from(encoded, 'base64').toString();
/** All keys below a prefix that ends with a slash. */
export const rangeOf = (prefix: string) => ({ key: base64(prefix), range_end: base64(`${prefix.slice(0, -1)}0`) });
