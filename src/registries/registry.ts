import type { Change } from '../mirror/change.ts';
import type { Instance } from '../mirror/instance.ts';
import type { RegistryError } from './error.ts';

export type ChangeResult = { readonly ok: true } | { readonly ok: false; readonly error: RegistryError };

export interface Capabilities {
  /** How many changes one `apply` should carry so that it becomes one request of the largest size the server takes. */
  readonly batchSize: number;
  /** Entries with `liveness: 'leased'`. Where false, `normalise` refuses them. */
  readonly leased: boolean;
  /** Where false, `watch` rejects with `unsupported`. */
  readonly watch: boolean;
  /** Where false, the operations of `kv` reject with `unsupported`. */
  readonly kv: boolean;
  /** Every batch of `apply` is compared with the claim by the server itself. Where false, `claim` only tells two operators apart, or is `unsupported`. */
  readonly fenced: boolean;
}

/** Who writes the entries of a cluster from now on. */
export interface Claim {
  readonly cluster: string;
  /**
   * The operator: the same text for all its replicas and after each restart, another one for every other operator, even one that gives its cluster the
   * same name. 1 to 200 of the characters a-z, A-Z, 0-9, `-`, `_`, `.`, `/` and `:`.
   */
  readonly owner: string;
  /**
   * Which of several writers of the owner for this cluster, as where two Registry objects name one server: each has a record of its own, and fences off
   * nobody but its own predecessors. Up to 40 of the characters a-z, 0-9 and `-`. What a client claims last for a cluster counts.
   */
  readonly seat?: string;
  /** The record of this owner may be replaced too: somebody has decided so. */
  readonly adopt?: string;
}

/** What is watched: every entry with the mark of a cluster, or what consumers of one service name get, whoever wrote it. */
export type Scope = { readonly cluster: string } | { readonly service: string };

/**
 * Text about a service that is no instance of it, as its consumers read it: a key below the service, below the registry's prefix. It bears no
 * marks: whoever may write it, does.
 */
export interface KeyValue {
  /** Undefined when there is none. */
  get(service: string, key: string, signal: AbortSignal): Promise<string | undefined>;
  /** Undefined removes it; removing what is not there succeeds. */
  put(service: string, key: string, value: string | undefined, signal: AbortSignal): Promise<void>;
  /** As `watch` of {@link ServiceRegistry}, for one key. */
  watch(service: string, key: string, onHint: () => void, signal: AbortSignal): Promise<never>;
}

/** What a registry would store for an instance, or the rule of the registry that the instance breaks, in one sentence. */
export type Normalised =
  | { readonly ok: true; readonly instance: Instance }
  | { readonly ok: false; readonly message: string };

/**
 * One external service registry.
 *
 * Guarantees
 * - `normalise` is pure: it gives the instance exactly as `list` would return it after a successful `apply` (prefix put before
 *   the service name, metadata keys rewritten to what the registry allows), or the rule that it breaks. Call it once, at the edge;
 *   all other operations speak of normalised instances and of service names as consumers see them.
 * - `apply` takes any number of changes, splits them to the server's limits, and resolves with one result for each, in order. It rejects
 *   only when aborted or closed. A bad change fails alone. Applying the same changes again leaves the same state.
 * - A change is whole or not at all: no reader sees an instance without its health.
 * - Only entries with our mark (`marks.cluster` of the instance) are changed or removed. Where a stranger's entry stands under our id, writing
 *   fails with `conflict`, and removing succeeds without touching it. Others under the same service name are nobody's business here.
 * - Every failure is a RegistryError whose message is one sentence that says what to do, without credentials or answers of the server.
 * - `list(cluster)` is complete or rejects: "cannot say" is never an empty answer. It is as fresh as the last acknowledged write.
 * - A leased entry vanishes by itself when the client that wrote it is gone, at the latest after the TTL of the registry, and not before that client
 *   is closed, killed or out of touch for that long. To other clients it is `lapsing`: an `update` from one of them makes it theirs, in one step for
 *   readers. A lease that was lost shows in `list` (the entries are gone or `lapsing`) and as a hint of `watch`.
 * - `watch` tells that something may have changed, never what: read again. It gives a hint when the watch stands (whoever reads after it misses nothing),
 *   and one soon after each change in its scope. In the scope of a cluster the client's own acknowledged writes give none, as far as it can tell.
 *   It never resolves: it rejects with `aborted`, with `closed`, or when it can see no more; then watch again, and the first hint covers the gap.
 *   No hint comes after it has rejected.
 * - `claim` leaves one record for the cluster beside the entries: the owner, and a term that is new with each claim. From then on this client writes
 *   for the cluster only while that record stands (`fenced`: the server compares it with every batch, so that a client that was frozen for an hour writes
 *   nothing over what came after it): otherwise `check` rejects, and changes fail, with `fenced`, and nothing of them was written. Claim again, and read
 *   again. An `apply` is compared with what was claimed when it was called. Another owner's record, unless `adopt` names it, is left as it is, and
 *   `claim` rejects with `owned`. A `claim` that rejects changes nothing for its client. A client that has claimed nothing writes without comparing.
 *   The record outlives `close`, and is neither listed nor discovered.
 * - After `close`, every operation rejects with `closed`; persistent entries stay, leased ones lapse.
 *
 * Assumptions
 * - Two changes of one id are never in flight at once.
 *
 * Caveats
 * - A result with `error.ambiguous` may have been written. Read again before deciding anything from it.
 */
export interface ServiceRegistry {
  readonly capabilities: Capabilities;
  normalise(instance: Instance): Normalised;
  apply(changes: readonly Change[], signal: AbortSignal): Promise<readonly ChangeResult[]>;
  /** Every entry that bears the mark of this cluster, retained ones included. */
  list(cluster: string, signal: AbortSignal): Promise<readonly Instance[]>;
  /** What a consumer of this service name gets, whoever wrote it. `marks` of entries that are not ours are empty strings. */
  discover(service: string, signal: AbortSignal): Promise<readonly Instance[]>;
  watch(scope: Scope, onHint: () => void, signal: AbortSignal): Promise<never>;
  readonly kv: KeyValue;
  claim(claim: Claim, signal: AbortSignal): Promise<void>;
  /** Resolves when the registry answers, takes our credentials, and still holds what this client has claimed. */
  check(signal: AbortSignal): Promise<{ readonly version: string }>;
  close(): Promise<void>;
}
