/** What of the package's codec is used; the package's own types know only its client. */
declare module 'node-zookeeper-client/lib/jute/index.js' {
  export interface Attribute {
    /** `int`, `long`, `boolean`, `buffer`, `ustring`, `vector<…>`, or `data.` and the name of a record. */
    readonly type: string;
  }

  export interface Record {
    byteLength(): number;
    serialize(buffer: Buffer, offset: number): number;
    /** Gives the bytes read. Throws for what is too short. */
    deserialize(buffer: Buffer, offset: number): number;
  }

  export interface Specified extends Record {
    readonly specification: readonly Attribute[];
  }

  interface Stat extends Specified {
    readonly version: number;
    readonly numChildren: number;
    readonly ephemeralOwner: Buffer;
  }

  type Make<Arguments extends readonly unknown[], Made extends Record = Record> = new (...values: Arguments) => Made;

  export interface MultiOperation {
    readonly type: number;
    readonly path: string;
    readonly data?: Buffer;
    readonly version?: number;
    readonly acls?: readonly { toRecord(): Record }[];
    readonly mode?: number;
  }

  const jute: {
    readonly OP_CODES: Readonly<{ [name: string]: number }>;
    /** With its length before it. */
    readonly Request: new (
      header: Record | null,
      payload: Record | null,
    ) => { toBuffer(): Buffer };
    readonly TransactionRequest: new (operations: readonly MultiOperation[]) => Record;
    readonly TransactionResponse: new () => Record & {
      readonly results: readonly { readonly type: number; readonly err?: number }[];
    };
    readonly data: {
      readonly Stat: Make<[], Stat>;
      readonly Id: Make<[scheme: string, id: string]>;
      readonly ACL: Make<[permissions: number, id: Record]>;
    };
    readonly protocol: {
      readonly ConnectRequest: Make<
        [protocolVersion: number, lastZxidSeen: Buffer, timeOut: number, sessionId: Buffer, password: Buffer]
      >;
      readonly ConnectResponse: Make<
        [],
        Specified & { readonly timeOut: number; readonly sessionId: Buffer; readonly passwd: Buffer }
      >;
      readonly RequestHeader: Make<[xid: number, type: number]>;
      readonly ReplyHeader: Make<[], Specified & { readonly xid: number; readonly err: number }>;
      readonly AuthPacket: Make<[type: number, scheme: string, auth: Buffer]>;
      readonly CreateRequest: Make<[path: string, data: Buffer, acl: readonly Record[], flags: number]>;
      readonly DeleteRequest: Make<[path: string, version: number]>;
      readonly CheckVersionRequest: Make<[path: string, version: number]>;
      readonly WatcherEvent: Make<[], Specified & { readonly type: number; readonly path: string | undefined }>;
      readonly ExistsRequest: Make<[path: string, watch: boolean]>;
      readonly ExistsResponse: Make<[], Specified & { readonly stat: Stat }>;
      readonly GetDataRequest: Make<[path: string, watch: boolean]>;
      readonly GetDataResponse: Make<[], Specified & { readonly data: Buffer | undefined; readonly stat: Stat }>;
      readonly GetChildren2Request: Make<[path: string, watch: boolean]>;
      readonly GetChildren2Response: Make<[], Specified & { readonly children: readonly string[] | undefined }>;
    };
  };
  export default jute;
}
