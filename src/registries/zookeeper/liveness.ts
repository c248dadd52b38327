import type { Liveness } from '../../mirror/instance.ts';
import { NO_SESSION, type Session } from './wire.ts';

/** Of a node, by the session with which it goes. */
export function livenessOf(owner: Buffer, session: Session): Liveness {
  if (owner.equals(NO_SESSION.id)) return 'persistent';
  return owner.equals(session.id) ? 'leased' : 'lapsing';
}
