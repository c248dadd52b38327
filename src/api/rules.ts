/** The CEL rules of crds/ for objects that no API server has checked: manifests in files, and objects older than a rule. */

export type Rule = (self: unknown) => boolean;

/**
 * The function for a CEL expression, by its text. Undefined for rules on a change (`oldSelf`): there is one object only here.
 * The value has passed the structural schema.
 */
export function ruleFor(expression: string): Rule | undefined {
  if (expression.includes('oldSelf')) return undefined;
  const rule = RULES[expression] ?? matchesRule(expression);
  if (rule === undefined) throw new Error(`src/api/rules.ts knows no function for the rule ${expression}`);
  return rule;
}

/** `self.matches('…')` and `self.all(k, k.matches('…'))`: CEL knows RE2, and the expressions used mean the same in JavaScript. */
function matchesRule(expression: string): Rule | undefined {
  const each = /^self\.all\(k, k\.matches\('(.*)'\)\)$/.exec(expression)?.[1];
  if (each !== undefined) {
    const pattern = regExp(each);
    return (self) => keysOf(self).every((key) => pattern.test(key));
  }
  const whole = /^self\.matches\('([^']*)'\)$/.exec(expression)?.[1];
  if (whole === undefined) return undefined;
  const pattern = regExp(whole);
  return (self) => pattern.test(text(self));
}

const regExp = (celLiteral: string): RegExp => new RegExp(celLiteral.replaceAll('\\\\', '\\'), 'u');

const unmarked = (key: string): boolean => key !== 'managed-by' && !key.startsWith('roster-');

const https = (address: unknown): boolean => text(address).startsWith('https://');

const blockOf =
  (block: string, type: string): Rule =>
  (self) =>
    has(self, block) === (get(self, 'type') === type);

const RULES: Readonly<Record<string, Rule>> = {
  'has(self.serviceRef) != has(self.selector)': (self) => has(self, 'serviceRef') !== has(self, 'selector'),
  "!has(self.ports) || size(self.ports) < 2 || self.name.contains('{port}')": (self) =>
    list(get(self, 'ports')).length < 2 || text(get(self, 'name')).includes('{port}'),
  "type(self) == int ? (self >= 1 && self <= 65535) : self.matches('^[a-z0-9-]*[a-z][a-z0-9-]*$')": (self) =>
    typeof self === 'number' ? self >= 1 && self <= 65535 : /^[a-z0-9-]*[a-z][a-z0-9-]*$/.test(text(self)),
  'self.all(a, self.exists_one(b, a == b))': (self) => new Set(list(self)).size === list(self).length,
  "self.kind == 'ClusterRegistry'": (self) => get(self, 'kind') === 'ClusterRegistry',
  "self.all(k, k != 'managed-by' && !k.startsWith('roster-'))": (self) => keysOf(self).every(unmarked),
  'self.all(k, size(k) >= 1 && size(k) <= 253)': (self) =>
    keysOf(self).every((key) => [...key].length >= 1 && [...key].length <= 253),
  "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)": (self) =>
    ['In', 'NotIn'].includes(text(get(self, 'operator'))) === list(get(self, 'values')).length > 0,
  '[has(self.all), has(self.names), has(self.selector)].filter(x, x).size() == 1': (self) =>
    ['all', 'names', 'selector'].filter((key) => has(self, key)).length === 1,
  'has(self.namespace)': (self) => has(self, 'namespace'),
  '!has(self.namespace)': (self) => !has(self, 'namespace'),
  'has(self.usernameSecretRef) == has(self.passwordSecretRef)': (self) =>
    has(self, 'usernameSecretRef') === has(self, 'passwordSecretRef'),
  "!has(self.memory) || self.type == 'Memory'": (self) => !has(self, 'memory') || get(self, 'type') === 'Memory',
  "has(self.etcd) == (self.type == 'Etcd')": blockOf('etcd', 'Etcd'),
  "has(self.consul) == (self.type == 'Consul')": blockOf('consul', 'Consul'),
  "has(self.nacos) == (self.type == 'Nacos')": blockOf('nacos', 'Nacos'),
  "has(self.zookeeper) == (self.type == 'ZooKeeper')": blockOf('zookeeper', 'ZooKeeper'),
  'has(self.address) != has(self.addresses)': (self) => has(self, 'address') !== has(self, 'addresses'),
  "!has(self.tls) || ((!has(self.address) || self.address.startsWith('https://')) && (!has(self.addresses) || self.addresses.all(a, a.startsWith('https://'))))":
    (self) =>
      !has(self, 'tls') ||
      ((!has(self, 'address') || https(get(self, 'address'))) && list(get(self, 'addresses')).every(https)),
};

function get(self: unknown, key: string): unknown {
  return typeof self === 'object' && self !== null && Object.hasOwn(self, key) ? Reflect.get(self, key) : undefined;
}

const has = (self: unknown, key: string): boolean => get(self, key) !== undefined;

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** What a CEL comprehension runs over: the items of a list of strings, the keys of a map. */
function keysOf(self: unknown): readonly string[] {
  if (Array.isArray(self)) return self.map(text);
  return typeof self === 'object' && self !== null ? Object.keys(self) : [];
}
