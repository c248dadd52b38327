/**
 * unreached: no connection. insecure: no TLS on it. ungreeted: no word in time on a new one. hung-up: it was closed, before or instead of an answer. silent: no answer in
 * time. garbled: an answer that is none. expired: the session that was to be continued is over. unauthorized: the credentials were refused. closed: by us.
 */
export type Loss =
  | 'unreached'
  | 'insecure'
  | 'ungreeted'
  | 'hung-up'
  | 'silent'
  | 'garbled'
  | 'expired'
  | 'unauthorized'
  | 'closed';

/** The connection is over, and with it every request that had no answer yet. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
  readonly loss: Loss;

  constructor(loss: Loss, cause?: unknown) {
    super(`the connection is over: ${loss}`, { cause });
    this.loss = loss;
  }
}
