import { type Clock, systemClock } from '../../clock.ts';
import { RegistryError } from '../error.ts';
import type { ServiceInfo } from './answer.ts';
import type { NacosHost } from './host.ts';
import type { ApiOptions, Ask, HttpApi } from './http-api.ts';
import { notNacos, ofAnswer } from './http-failure.ts';
import { createLogin } from './http-login.ts';
import { createRecords, RECORDS_CLUSTER, RECORDS_GROUP, type Records } from './http-records.ts';
import { apiOf2 } from './http-v2.ts';
import { apiOf3 } from './http-v3.ts';
import { createVersion, hasVersion3 } from './http-version.ts';
import { openWire } from './http-wire.ts';
import { httpOriginsOf } from './servers.ts';
import type { NacosSettings } from './settings.ts';

/**
 * The HTTP API of Nacos: the calls that gRPC does not have, or not yet in every version, and all of them where its port is closed.
 *
 * Guarantees
 * - Each call ends by its deadlines or with its signal. It goes to the next address when nothing reached the first one.
 * - The password is in the body of a login, and the token in a header, never in an address.
 *
 * Caveats
 * - 2.x is asked by its v1 paths, 3.x by its v3 ones; there `serviceNames`, `read` and `prepareService` are calls of the admin API.
 */
export interface NacosHttp {
  /** Of the server, asked once a minute. */
  version(signal: AbortSignal): Promise<string>;
  /**
   * For the gRPC header `accessToken`; undefined where there is no account, or where it was refused: the server may want none. `stale`: a token that
   * was not taken.
   */
  token(signal: AbortSignal, stale?: string): Promise<string | undefined>;
  /** Every service of the namespace and group. */
  serviceNames(operation: string, signal: AbortSignal): Promise<readonly string[]>;
  /** Resolves when the server answers to our credentials. */
  probe(operation: string, signal: AbortSignal): Promise<void>;
  /** As consumers get it; no hosts for a service that does not exist. */
  read(operation: string, service: string, signal: AbortSignal): Promise<ServiceInfo>;
  /**
   * Creates the service with our protectThreshold if it is missing, and switches the server's health checks of our Nacos cluster off: to be done
   * before the first entry, and again for a service that was empty, since Nacos forgets about those within a minute.
   */
  prepareService(service: string, signal: AbortSignal): Promise<void>;
  /** Sets our protectThreshold on a service that exists; nothing is asked where there is none. */
  protectService(service: string, signal: AbortSignal): Promise<void>;
  putPersistent(service: string, host: NacosHost, signal: AbortSignal): Promise<void>;
  /** Succeeds when it is gone already. */
  removePersistent(service: string, host: NacosHost, signal: AbortSignal): Promise<void>;
  /** Of the namespace. */
  readonly records: Records;
  close(): void;
}

export function openNacosHttp(settings: NacosSettings, clock: Clock = systemClock): NacosHttp {
  const { addresses, tls, mayConnect, connectMs, requestMs, username, password } = settings;
  const { namespace = '', group, cluster, protectThreshold = 0 } = settings;
  const closing = new AbortController();
  const wire = openWire({ origins: httpOriginsOf(addresses), tls, mayConnect, connectMs, requestMs });
  const version = createVersion(wire, clock, closing.signal);
  const account = username === undefined || password === undefined ? undefined : { username, password };
  const login = createLogin({ wire, account, version, clock, closing: closing.signal });

  const ask: Ask = async (call, read, signal) => {
    const token = await login.token(signal);
    let answer = await wire.ask(call, token, signal);
    if (token !== undefined && (answer.status === 401 || answer.status === 403)) {
      // The server was restarted with another secret, or the user was changed: nothing was done.
      const fresh = await login.token(signal, token);
      if (fresh !== token) answer = await wire.ask(call, fresh, signal);
    }
    const { status, body, origin } = answer;
    const failed = { ...call, origin };
    try {
      const taken = read(status, body);
      if (taken !== undefined) return taken.value;
    } catch {
      throw notNacos(failed);
    }
    throw ofAnswer(answer, failed, login.credentials());
  };

  const options: ApiOptions = {
    ask,
    operation: 'apply',
    namespace: namespace === '' ? 'public' : namespace,
    group,
    cluster,
    protectThreshold,
  };
  const apiFor = (given: ApiOptions) => {
    const [api2, api3] = [apiOf2(given), apiOf3(given)];
    return async (signal: AbortSignal): Promise<HttpApi> => (hasVersion3(await version(signal)) ? api3 : api2);
  };
  const api = apiFor(options);
  const records = { operation: 'claim', group: RECORDS_GROUP, cluster: RECORDS_CLUSTER, protectThreshold: 0 };

  return {
    version,
    token: (signal, stale) => login.token(signal, stale),
    serviceNames: async (operation, signal) => (await api(signal)).names(operation, signal),
    probe: async (operation, signal) => (await api(signal)).probe(operation, signal),
    read: async (operation, service, signal) => (await api(signal)).read(operation, service, signal),
    async prepareService(service, signal) {
      const { create, uncheck } = await api(signal);
      await create(service, signal);
      await uncheck(service, signal);
    },
    async protectService(service, signal) {
      if (protectThreshold > 0) await (await api(signal)).protect(service, signal);
    },
    putPersistent: async (service, host, signal) => (await api(signal)).put(service, host, signal),
    removePersistent: async (service, host, signal) => (await api(signal)).remove(service, host, signal),
    records: createRecords(apiFor({ ...options, ...records })),
    close() {
      closing.abort(new RegistryError('closed', 'the Nacos registry was closed'));
      wire.close();
    },
  };
}
