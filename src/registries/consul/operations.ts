import type { Change } from '../../mirror/change.ts';
import type { Parcel } from './batches.ts';
import { type CheckEntry, checkEntry, checkId, nodeMeta, type ServiceEntry, serviceEntry } from './entry.ts';
import { isLeaseNode, NODE_ADDRESS } from './shards.ts';
import type { Place, Standing } from './standing.ts';

/** An operation of `/v1/txn`, as Consul reads it. */
export type Operation =
  | { readonly Node: { readonly Verb: 'set'; readonly Node: NodeEntry & Tenant } }
  | {
      readonly Service: {
        readonly Verb: 'cas';
        readonly Node: string;
        readonly Service: ServiceEntry & Tenant & { readonly ModifyIndex: number };
      };
    }
  | {
      readonly Service: {
        readonly Verb: 'delete-cas';
        readonly Node: string;
        readonly Service: Tenant & { readonly ID: string; readonly Service: string; readonly ModifyIndex: number };
      };
    }
  | {
      /** Fails where there is none. */
      readonly Check: {
        readonly Verb: 'get';
        readonly Check: Tenant & { readonly Node: string; readonly CheckID: string };
      };
    }
  | { readonly Check: { readonly Verb: 'set'; readonly Check: CheckEntry & Tenant & { readonly Node: string } } }
  | {
      readonly Check: {
        readonly Verb: 'delete';
        readonly Check: Tenant & { readonly Node: string; readonly CheckID: string };
      };
    };

interface NodeEntry {
  readonly Node: string;
  readonly Address: string;
  readonly Meta: Readonly<Record<string, string>>;
}

/** Enterprise: transactions want them in every operation, requests in a header and a parameter. */
export interface Tenant {
  readonly Namespace?: string;
  readonly Partition?: string;
}

/** A change on its way. */
export interface Pending {
  readonly change: Change;
  /** The node on which its instance should stand. */
  readonly node: string;
  readonly standing: Standing;
}

/**
 * The operations of one change. Services are set and deleted by compare-and-set on the index of what is known to stand, 0 for nothing: it costs
 * no more than a plain set, and a stranger's entry under our id, or a newer one of another operator, makes the transaction fail
 * instead of being overwritten. The check needs no compare: it stands or falls with the service in the same transaction, and
 * deleting one that is not there is allowed.
 */
export function operationsOf({ change, node, standing }: Pending, tenant: Tenant): Parcel<Operation> {
  const { instance } = change;
  const { id, marks } = instance;
  const known = standing.get(id);
  const removalFrom = (place: Place) => removal(id, instance.service, place, tenant);
  const doubles = (known?.doubles ?? []).filter((double) => change.action === 'deregister' || double.node !== node);
  if (change.action === 'deregister') {
    return { shared: [], own: known === undefined ? [] : [known, ...doubles].map(removalFrom) };
  }

  const moved = known !== undefined && known.node !== node && known.index > 0;
  const index = known === undefined || known.node !== node ? 0 : known.index;
  const check = checkEntry(instance);
  const own: Operation[] = [];
  // Its name and its lease decide the node: with another one it moves, in one step for readers.
  own.push(...[...(moved ? [known] : []), ...doubles].map(removalFrom));
  own.push({
    Service: { Verb: 'cas', Node: node, Service: { ...serviceEntry(instance), ...tenant, ModifyIndex: index } },
  });
  if (check !== undefined) {
    own.push({ Check: { Verb: 'set', Check: { ...check, ...tenant, Node: node } } });
  } else if (index > 0 && (known?.checked === true || mayHaveCheck(change))) {
    own.push({ Check: { Verb: 'delete', Check: { Node: node, CheckID: checkId(id), ...tenant } } });
  }

  const { Partition } = tenant;
  const entry = {
    Node: node,
    Address: NODE_ADDRESS,
    Meta: nodeMeta(marks.cluster),
    ...(Partition === undefined ? {} : { Partition }),
  };
  // A node of leased entries is put there with its lease, or it would be one without.
  const shared =
    standing.nodes.has(node) || isLeaseNode(node)
      ? []
      : [{ key: node, operation: { Node: { Verb: 'set', Node: entry } } as const }];
  return { own, shared };
}

const mayHaveCheck = (change: Change): boolean =>
  change.action === 'update' && checkEntry(change.previous) !== undefined;

/** Consul wants the name too, and finds by id. */
const removal = (id: string, service: string, { node, index }: Place, tenant: Tenant): Operation => ({
  Service: { Verb: 'delete-cas', Node: node, Service: { ID: id, Service: service, ModifyIndex: index, ...tenant } },
});
