import {
  Server as GrpcServer,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { decodePayload, encodePayload, type Payload } from '../../src/registries/nacos/grpc-codec.ts';
import type { NacosHost } from '../../src/registries/nacos/host.ts';
import type { Server } from '../../src/registries/nacos/servers.ts';

type Body = Readonly<Record<string, unknown>>;

export interface Asked {
  /** Of the connection that asked. */
  readonly peer: string;
  readonly type: string;
  readonly token: string | undefined;
  readonly body: Body;
}

interface Connection {
  readonly stream: ServerDuplexStream<Payload, Payload>;
  readonly lists: Map<string, readonly NacosHost[]>;
  readonly subscribed: Set<string>;
}

export interface ScriptedOptions {
  readonly credentials?: ServerCredentials;
  readonly secure?: boolean;
  /** Without it, as before 2.3: no handler for persistent entries. */
  readonly takesPersistent?: boolean;
}

export type ScriptedNacos = Awaited<ReturnType<typeof openScriptedNacos>>;

/** Nacos' gRPC side as far as we speak it, in this process: it registers connections, and forgets with them what they published. */
export async function openScriptedNacos({
  credentials,
  secure = false,
  takesPersistent = false,
}: ScriptedOptions = {}) {
  const connections = new Map<string, Connection>();
  const persistent = new Map<string, Map<string, NacosHost>>();
  const asked: Asked[] = [];
  const pushAnswers: Payload[] = [];
  let token: string | undefined;
  let silent = false;
  let refuse: (asked: Asked) => { readonly errorCode: number; readonly message: string } | undefined = () => undefined;

  const hosts = (service: string): readonly NacosHost[] => [
    ...(persistent.get(service)?.values() ?? []),
    ...[...connections.values()].flatMap(({ lists }) => lists.get(service) ?? []),
  ];
  const info = (service: string) => ({
    name: service,
    groupName: 'DEFAULT_GROUP',
    hosts: hosts(service).filter(({ enabled }) => enabled),
    lastRefTime: Date.now(),
    reachProtectionThreshold: false,
  });
  const services = () => [
    ...new Set([...persistent.keys(), ...[...connections.values()].flatMap(({ lists }) => [...lists.keys()])]),
  ];
  const push = (connection: Connection, type: string, body: Body): void =>
    void connection.stream.write({ type, headers: {}, body: JSON.stringify({ requestId: 'r1', ...body }) });
  const told = (service: string) => {
    for (const connection of connections.values()) {
      if (!connection.subscribed.has(service)) continue;
      push(connection, 'NotifySubscriberRequest', {
        groupName: 'DEFAULT_GROUP',
        serviceName: service,
        serviceInfo: info(service),
      });
    }
  };

  const answer = ({ peer, type, body }: Asked): Body => {
    const service = String(body['serviceName']);
    const connection = connections.get(peer);
    if (type === 'ServerCheckRequest') return { connectionId: peer };
    if (connection === undefined) return { errorCode: 301, message: 'Connection is unregistered.' };
    switch (type) {
      case 'HealthCheckRequest':
        return {};
      case 'ServiceListRequest':
        return { count: services().length, serviceNames: services() };
      case 'ServiceQueryRequest':
        return { serviceInfo: info(service) };
      case 'SubscribeServiceRequest':
        if (body['subscribe'] === true) connection.subscribed.add(service);
        else connection.subscribed.delete(service);
        return { serviceInfo: info(service) };
      case 'BatchInstanceRequest':
        connection.lists.set(service, body['instances'] as readonly NacosHost[]);
        told(service);
        return {};
      case 'InstanceRequest':
        connection.lists.delete(service);
        told(service);
        return {};
      case 'PersistentInstanceRequest': {
        if (!takesPersistent) break;
        const host = body['instance'] as NacosHost;
        const entries = persistent.get(service) ?? new Map<string, NacosHost>();
        persistent.set(service, entries);
        if (body['type'] === 'registerInstance') entries.set(`${host.ip}:${host.port}`, host);
        else entries.delete(`${host.ip}:${host.port}`);
        told(service);
        return {};
      }
    }
    return { errorCode: 302, message: 'RequestHandler Not Found' };
  };

  const server = new GrpcServer({ 'grpc.max_receive_message_length': -1 });
  const method = (path: string, stream: boolean) => ({
    path,
    requestStream: stream,
    responseStream: stream,
    requestSerialize: encodePayload,
    requestDeserialize: decodePayload,
    responseSerialize: encodePayload,
    responseDeserialize: decodePayload,
  });
  server.addService(
    { request: method('/Request/request', false) },
    {
      request(call: ServerUnaryCall<Payload, Payload>, done: sendUnaryData<Payload>) {
        const { type, headers, body } = call.request;
        const one: Asked = {
          peer: call.getPeer(),
          type,
          token: headers['accessToken'],
          body: JSON.parse(body) as Body,
        };
        asked.push(one);
        const guarded = type !== 'ServerCheckRequest' && type !== 'HealthCheckRequest';
        const refusal = refuse(one);
        if (silent) return;
        const refused =
          refusal ??
          (guarded && token !== undefined && one.token !== token
            ? { errorCode: 403, message: 'token invalid!' }
            : undefined);
        const fields = refused ?? answer(one);
        const resultCode = 'errorCode' in fields ? 500 : 200;
        done(null, { type: 'Response', headers: {}, body: JSON.stringify({ resultCode, errorCode: 0, ...fields }) });
      },
    },
  );
  server.addService(
    { requestBiStream: method('/BiRequestStream/requestBiStream', true) },
    {
      requestBiStream(stream: ServerDuplexStream<Payload, Payload>) {
        const peer = stream.getPeer();
        const gone = () => {
          const lists = connections.get(peer)?.lists ?? new Map();
          connections.delete(peer);
          for (const service of lists.keys()) told(service);
        };
        stream.on('data', (payload: Payload) => {
          if (payload.type === 'ConnectionSetupRequest') {
            asked.push({ peer, type: payload.type, token: undefined, body: JSON.parse(payload.body) as Body });
            // As in Nacos, some time passes until the connection counts.
            setTimeout(() => connections.set(peer, { stream, lists: new Map(), subscribed: new Set() }), 15);
          } else pushAnswers.push(payload);
        });
        stream.on('cancelled', gone).on('end', gone).on('error', gone);
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials ?? ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const authority = `127.0.0.1:${port}`;
  const address: Server = { secure, authority, origin: `${secure ? 'https' : 'http'}://${authority}` };

  return {
    address,
    asked,
    pushAnswers,
    hosts,
    connections: () => connections.size,
    /** How many services the connections publish, each. */
    published: () => [...connections.values()].map(({ lists }) => lists.size),
    /** From now on calls need this token. */
    demand: (wanted: string | undefined) => {
      token = wanted;
    },
    /** From now on nothing is answered. */
    fallSilent: (is: boolean) => {
      silent = is;
    },
    refuse: (rule: typeof refuse) => {
      refuse = rule;
    },
    /** To every connection. */
    push(type: string, body: Body = {}) {
      for (const connection of connections.values()) push(connection, type, body);
    },
    /** A service without entries. */
    create: (service: string) => void persistent.set(service, new Map()),
    /** A stranger's persistent entry. */
    put(service: string, host: NacosHost) {
      const entries = persistent.get(service) ?? new Map<string, NacosHost>();
      persistent.set(service, entries.set(`${host.ip}:${host.port}`, host));
      told(service);
    },
    /** The server forgets all connections without a word, as after a restart behind a proxy. */
    forget: () => connections.clear(),
    /** All connections break. */
    breakAll() {
      connections.clear();
      server.drain(authority, 0);
    },
    close: () => server.forceShutdown(),
  };
}
