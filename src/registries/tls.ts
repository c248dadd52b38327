import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { RegistryError } from './error.ts';

/** PEM texts, and the name that the certificate must bear where it is not the host of the address. */
export interface TlsAccess {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly serverName?: string | undefined;
}

/** Throws `invalid` now, in words, rather than with the first connection, in those of OpenSSL. `block`: that of the config, `spec.etcd`. */
export function assertPem({ ca, cert, key }: TlsAccess, block: string): void {
  try {
    // A secure context passes over a bundle without a certificate.
    if (ca !== undefined) new X509Certificate(ca);
  } catch {
    throw new RegistryError('invalid', `the Secret of ${block}.tls.caSecretRef holds no PEM certificate`);
  }
  try {
    if ((cert === undefined) !== (key === undefined)) throw new Error('one without the other');
    createSecureContext({ cert, key });
  } catch {
    const rule = 'tls.crt must be a PEM certificate, and tls.key the PEM key that belongs to it, without a passphrase';
    throw new RegistryError('invalid', `the Secret of ${block}.tls.certSecretRef cannot be used: ${rule}`);
  }
}
