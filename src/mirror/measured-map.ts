/**
 * A sorted map that is never changed, of which every part knows what is measured of it: a balanced tree, so that what is put in or taken out costs the
 * logarithm of its size, and the measure of all of it nothing.
 */
export type MeasuredMap<K, V, M> = Branch<K, V, M> | undefined;

/** `join` is associative, and told what comes first. */
export interface Measure<V, M> {
  of(value: V): M;
  join(before: M, after: M): M;
}

interface Branch<K, V, M> {
  readonly key: K;
  readonly value: V;
  readonly size: number;
  readonly measured: M;
  readonly before: MeasuredMap<K, V, M>;
  readonly after: MeasuredMap<K, V, M>;
}

export function valueAt<K, V, M>(map: MeasuredMap<K, V, M>, key: K): V | undefined {
  let at = map;
  while (at !== undefined && at.key !== key) at = key < at.key ? at.before : at.after;
  return at?.value;
}

export function first<K, V, M>(map: Branch<K, V, M>): Branch<K, V, M> {
  let at = map;
  while (at.before !== undefined) at = at.before;
  return at;
}

export function* entriesOf<K, V, M>(map: MeasuredMap<K, V, M>): Generator<readonly [K, V]> {
  if (map === undefined) return;
  yield* entriesOf(map.before);
  yield [map.key, map.value];
  yield* entriesOf(map.after);
}

/** Balanced by weight, as in Adams, "Implementing sets efficiently in a functional language", with the parameters that Hirai and Yamamoto proved right. */
const DELTA = 3;
const RATIO = 2;

export function mapsMeasuredBy<K, V, M>({ of, join }: Measure<V, M>) {
  type Tree = MeasuredMap<K, V, M>;
  type Entry = Pick<Branch<K, V, M>, 'key' | 'value'>;

  const sizeOf = (tree: Tree): number => tree?.size ?? 0;

  function branch({ key, value }: Entry, before: Tree, after: Tree): Branch<K, V, M> {
    let measured = of(value);
    if (before !== undefined) measured = join(before.measured, measured);
    if (after !== undefined) measured = join(measured, after.measured);
    return { key, value, size: sizeOf(before) + 1 + sizeOf(after), measured, before, after };
  }

  /** One of the two may have one entry more or less than when they were in balance. */
  function balanced(entry: Entry, before: Tree, after: Tree): Branch<K, V, M> {
    const [left, right] = [sizeOf(before), sizeOf(after)];
    if (left + right > 1) {
      if (after !== undefined && right > DELTA * left) return leftward(entry, before, after);
      if (before !== undefined && left > DELTA * right) return rightward(entry, before, after);
    }
    return branch(entry, before, after);
  }

  function leftward(entry: Entry, before: Tree, heavy: Branch<K, V, M>): Branch<K, V, M> {
    const { before: inner, after: outer } = heavy;
    if (inner === undefined || sizeOf(inner) < RATIO * sizeOf(outer))
      return branch(heavy, branch(entry, before, inner), outer);
    return branch(inner, branch(entry, before, inner.before), branch(heavy, inner.after, outer));
  }

  function rightward(entry: Entry, heavy: Branch<K, V, M>, after: Tree): Branch<K, V, M> {
    const { before: outer, after: inner } = heavy;
    if (inner === undefined || sizeOf(inner) < RATIO * sizeOf(outer))
      return branch(heavy, outer, branch(entry, inner, after));
    return branch(inner, branch(heavy, outer, inner.before), branch(entry, inner.after, after));
  }

  function put(tree: Tree, key: K, value: V): Branch<K, V, M> {
    if (tree === undefined) return branch({ key, value }, undefined, undefined);
    if (key < tree.key) return balanced(tree, put(tree.before, key, value), tree.after);
    if (key > tree.key) return balanced(tree, tree.before, put(tree.after, key, value));
    return branch({ key, value }, tree.before, tree.after);
  }

  function remove(tree: Tree, key: K): Tree {
    if (tree === undefined) return undefined;
    if (key < tree.key) return balanced(tree, remove(tree.before, key), tree.after);
    if (key > tree.key) return balanced(tree, tree.before, remove(tree.after, key));
    if (tree.before === undefined || tree.after === undefined) return tree.before ?? tree.after;
    const next = first(tree.after);
    return balanced(next, tree.before, remove(tree.after, next.key));
  }

  return { put, remove };
}
