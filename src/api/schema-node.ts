/** A rule of `x-kubernetes-validations`: a CEL expression that must hold, and what to tell the author when it does not. */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
}

/** The part of a structural schema that the kinds under crds/ use. Descriptions are left out at run time. */
export interface SchemaNode {
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode | false;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly [keyword: string]: unknown;
  readonly 'x-kubernetes-int-or-string'?: true;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-validations'?: readonly CelRule[];
}

export type Kind = 'ServiceRegistration' | 'ClusterServiceRegistration' | 'Registry' | 'ClusterRegistry';

export interface KindSchemas {
  readonly spec: SchemaNode;
  readonly status: SchemaNode;
}
