import type { AddressRule } from '../address-rule.ts';
import type { TlsAccess } from '../tls.ts';

export interface NacosSettings {
  /** `http://host:8848` or `https://host:8848`, at least one. */
  readonly addresses: readonly string[];
  readonly namespace?: string | undefined;
  readonly group: string;
  /** Nacos cluster of every instance. */
  readonly cluster: string;
  readonly protocol: 'Auto' | 'Grpc' | 'Http';
  /** 0 to 1, set on services that we create. */
  readonly protectThreshold?: number | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly tls?: TlsAccess | undefined;
  readonly mayConnect?: AddressRule | undefined;
  readonly connectMs: number;
  readonly requestMs: number;
}
