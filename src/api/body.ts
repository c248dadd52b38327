import { Ajv, type ValidateFunction } from 'ajv';
import { brokenRules } from './broken-rules.ts';
import type { ObjectMeta } from './core.ts';
import { type Fields, isFields, parseMetadata } from './metadata.ts';
import { type Problem, schemaProblem } from './problem.ts';
import type { Kind, KindSchemas, SchemaNode } from './schema-node.ts';

export const API_VERSION = 'roster.dev/v1alpha1';

export type Parsed<T> = { readonly ok: true; readonly value: T } | Unparsed;

export interface Unparsed {
  readonly ok: false;
  readonly errors: readonly Problem[];
  /** There when the object has a name, so that its status can be answered. */
  readonly metadata?: ObjectMeta;
}

export interface ParseOptions {
  /**
   * prune: a field that the schema does not know is dropped, as an API server does with what it has stored.
   * reject: it is an error, as `kubectl apply` has it. Default: prune.
   */
  readonly unknownFields?: 'prune' | 'reject';
  /** Where an object without a namespace stands, when its kind needs one. Default: `default`. */
  readonly defaultNamespace?: string;
}

export interface Body<Spec, Status> {
  readonly metadata: ObjectMeta;
  readonly spec: Spec;
  readonly status?: Status;
}

/**
 * Schemas are compiled at the first object of a kind. A status that does not fit is dropped, not reported: its writer is
 * the operator, which writes it anew, and the author of the object could not mend it.
 */
export function bodyParser<Spec, Status>(
  kind: Kind,
  { spec: specSchema, status: statusSchema }: KindSchemas,
): (value: unknown, options: ParseOptions) => Parsed<Body<Spec, Status>> {
  const pruning = lazy(() => compile<Spec>(specSchema, true));
  const rejecting = lazy(() => compile<Spec>(specSchema, false));
  const statusCheck = lazy(() => compile<Status>(statusSchema, true));

  return (value, options) => {
    if (!isFields(value)) return failed({ path: '', message: `must be an object of kind ${kind}` });
    const strict = options.unknownFields === 'reject';
    const head = headProblems(value, kind, strict);
    const metadata = parseMetadata(value['metadata']);
    if ('message' in metadata) return failed(...head, metadata);

    const spec = copyWithoutNulls(specSchema, value['spec']);
    const check = strict ? rejecting() : pruning();
    if (!check(spec)) {
      const structural = (check.errors ?? []).map((error) => schemaProblem('spec', error));
      return { ...failed(...head, ...structural), metadata };
    }
    const errors = [...head, ...brokenRules(specSchema, spec, 'spec')];
    if (errors.length > 0) return { ...failed(...errors), metadata };

    const status = copyWithoutNulls(statusSchema, value['status']);
    return {
      ok: true,
      value: { metadata, spec, ...(status !== undefined && statusCheck()(status) ? { status } : {}) },
    };
  };
}

/**
 * A spec that stands alone. Unknown fields are errors, and rules are looked at even where the structure is wrong, so that everything is told at once.
 */
export function specParser<Spec>(schema: SchemaNode): (value: unknown) => Parsed<Spec> {
  const compiled = lazy(() => compile<Spec>(schema, false));
  return (value) => {
    const spec = copyWithoutNulls(schema, value);
    const check = compiled();
    if (check(spec)) {
      const broken = brokenRules(schema, spec, '');
      return broken.length === 0 ? { ok: true, value: spec } : failed(...broken.map(unrooted));
    }
    const structural = (check.errors ?? []).map((error) => schemaProblem('', error));
    // Of a field of the wrong type its rules know nothing.
    const rules = brokenRules(schema, spec, '').filter(({ path }) => structural.every((one) => one.path !== path));
    return failed(...[...structural, ...rules].map(unrooted));
  };
}

const unrooted = ({ path, message }: Problem): Problem => ({ path: path.replace(/^\./, ''), message });

function headProblems(value: Fields, kind: Kind, strict: boolean): readonly Problem[] {
  const known = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
  return [
    ...(value['apiVersion'] === API_VERSION ? [] : [{ path: 'apiVersion', message: `must be ${API_VERSION}` }]),
    ...(value['kind'] === kind ? [] : [{ path: 'kind', message: `must be ${kind}` }]),
    ...Object.keys(value)
      .filter((field) => strict && !known.includes(field))
      .map((path) => ({ path, message: 'is no field of this kind' })),
  ];
}

function compile<T>(schema: SchemaNode, removeAdditional: boolean): ValidateFunction<T> {
  const ajv = new Ajv({ allErrors: true, useDefaults: true, removeAdditional, allowUnionTypes: true });
  ajv.addVocabulary(['x-kubernetes-validations', 'x-kubernetes-int-or-string']);
  return ajv.compile<T>(schema);
}

/** A copy for ajv to fill in. Null in a field that has a default means the default, as in the API server. */
function copyWithoutNulls(schema: SchemaNode | undefined, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => copyWithoutNulls(schema?.items, item));
  if (!isFields(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, child]) => {
      const known = schema?.properties?.[key];
      return child === null && known?.default !== undefined ? [] : [[key, copyWithoutNulls(known, child)]];
    }),
  );
}

export const failed = (...errors: readonly Problem[]): Unparsed => ({ ok: false, errors });

function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
