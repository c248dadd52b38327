import type {
  ConsulRegistry,
  EtcdRegistry,
  MemoryRegistry,
  NacosRegistry,
  RegistryTimeouts,
  ZooKeeperRegistry,
} from '../api/kinds.generated.ts';
import { type CreateOptions, createRegistry, type OpenRegistry } from './create.ts';
import { RegistryError } from './error.ts';
import { parseRegistryConfig } from './parse-config.ts';
import { blockName } from './registry-types.ts';
import type { SecretSources } from './secrets.ts';

/** A block before its defaults, without what is for Kubernetes. */
type Block<B, Required extends keyof B = never> = Pick<B, Required> &
  Partial<Omit<B, Required | 'tls' | `${string}SecretRef`>> &
  ('tls' extends keyof B ? { readonly tls?: { readonly serverName?: string } } : unknown);

interface Blocks {
  readonly Memory: Block<MemoryRegistry>;
  readonly Etcd: Block<EtcdRegistry, 'endpoints'>;
  readonly Consul: Block<ConsulRegistry>;
  readonly Nacos: Block<NacosRegistry, 'addresses'>;
  readonly ZooKeeper: Block<ZooKeeperRegistry, 'connectString'>;
}

type Type = keyof Blocks;

/** What can be said in any order; `Self` is the builder as far as it has come. */
interface Settings<Self> {
  withTimeouts(timeouts: Partial<RegistryTimeouts>): Self;
  withSecrets(secrets: SecretSources): Self;
  withName(name: string): Self;
  withObserver(observe: NonNullable<CreateOptions['observe']>): Self;
  /** The other options of `createRegistry`. */
  withOptions(options: CreateOptions): Self;
}

interface Complete extends Settings<Complete> {
  /** Throws a RegistryError `invalid` that names everything that is wrong with the config. */
  build(): OpenRegistry;
}

type WithBlock<T extends Type> = { readonly [K in T as `with${K}`]: (block: Blocks[K]) => Complete };

interface Incomplete<T extends Type> extends Settings<Incomplete<T> & WithBlock<T>> {}

type NeedsBlock<T extends Type> = Incomplete<T> & WithBlock<T>;

interface Start extends Settings<Start> {
  /** Memory has no required field, and may do without its block. */
  withType(type: 'Memory'): Complete & WithBlock<'Memory'>;
  withType(type: 'Etcd'): NeedsBlock<'Etcd'>;
  withType(type: 'Consul'): NeedsBlock<'Consul'>;
  withType(type: 'Nacos'): NeedsBlock<'Nacos'>;
  withType(type: 'ZooKeeper'): NeedsBlock<'ZooKeeper'>;
}

/** All steps at every point: the types above say which of them may come next, and the steps themselves say it again for JavaScript. */
type Steps = Settings<Steps> & { withType(type: Type): Steps; build(): OpenRegistry } & {
  readonly [T in Type as `with${T}`]: (block: Blocks[T]) => Steps;
};

interface Draft {
  readonly type?: Type;
  readonly block?: unknown;
  readonly timeouts?: Partial<RegistryTimeouts>;
  readonly secrets?: SecretSources;
  readonly options?: CreateOptions;
}

const TYPES: readonly Type[] = ['Memory', 'Etcd', 'Consul', 'Nacos', 'ZooKeeper'];

/**
 * `createRegistry` as a chain: `registryBuilder().withType('Etcd').withEtcd({ endpoints }).build()`. A chain without a type, without the block of its type,
 * with the block of another or with a second type does not compile, and throws `invalid` where nothing was compiled. No step changes the builder that it
 * is called on.
 */
export const registryBuilder = (): Start => steps({});

function steps(draft: Draft): Steps {
  const { type, block, timeouts, secrets, options } = draft;
  const withBlock =
    <T extends Type>(of: T) =>
    (given: Blocks[T]) => {
      if (type !== of) throw misuse(`with${of}() needs withType('${of}') before it`);
      if (block !== undefined) throw misuse(`with${of}() was called twice; call it once`);
      return steps({ ...draft, block: given });
    };
  return {
    withType(chosen) {
      if (type !== undefined) throw misuse('withType() was called twice; call it once');
      if (!TYPES.includes(chosen)) throw misuse(`withType() takes one of ${TYPES.join(', ')}`);
      return steps({ ...draft, type: chosen });
    },
    withMemory: withBlock('Memory'),
    withEtcd: withBlock('Etcd'),
    withConsul: withBlock('Consul'),
    withNacos: withBlock('Nacos'),
    withZooKeeper: withBlock('ZooKeeper'),
    withTimeouts: (given) => steps({ ...draft, timeouts: given }),
    withSecrets: (given) => steps({ ...draft, secrets: given }),
    withName: (name) => steps({ ...draft, options: { ...options, name } }),
    withObserver: (observe) => steps({ ...draft, options: { ...options, observe } }),
    withOptions: (given) => steps({ ...draft, options: { ...options, ...given } }),
    build() {
      if (type === undefined) throw misuse('build() needs withType() before it');
      if (block === undefined && type !== 'Memory') throw misuse(`build() needs with${type}() before it`);
      const given = block === undefined ? {} : { [blockName(type)]: block };
      const parsed = parseRegistryConfig({ type, ...given, ...(timeouts !== undefined && { timeouts }) });
      if (parsed.ok) return createRegistry(parsed.value, secrets, options);
      throw misuse(parsed.errors.map(({ path, message }) => `${path || 'the config'} ${message}`).join('; '));
    },
  };
}

const misuse = (message: string): RegistryError => new RegistryError('invalid', message);
