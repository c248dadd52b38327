// Generated from crds/ by src/api/generate.ts. Change the YAML there, then run `node src/api/generate.ts`.

import type { ObjectMeta } from './core.ts';

export interface AllowedNamespaces {
  /** true: every namespace. false: none. */
  readonly all?: boolean;
  /** The namespaces of these names. */
  readonly names?: readonly string[];
  /** The namespaces with these labels. An empty selector takes all. */
  readonly selector?: LabelSelector;
}

export interface CaSecretRef {
  /** Namespace of the Secret: required in a ClusterRegistry, not allowed in a Registry. */
  readonly namespace?: string;
  /** Name of the Secret. */
  readonly name: string;
  /** Key inside the Secret. */
  readonly key: string;
}

export interface Condition {
  /** Aspect. */
  readonly type: string;
  /** Whether it holds. */
  readonly status: 'True' | 'False' | 'Unknown';
  /** Generation of the spec this was decided from. */
  readonly observedGeneration?: number;
  /** When status changed last. */
  readonly lastTransitionTime: string;
  /** Why, in one CamelCase word. */
  readonly reason: string;
  /** Why, in one sentence. */
  readonly message: string;
}

export interface ConsulRegistry {
  /** Address of the HTTP API, for instance http://127.0.0.1:8500. */
  readonly address?: string;
  /** Addresses of several servers or agents; the next one is taken when one does not answer. */
  readonly addresses?: readonly string[];
  /** Datacenter to write to; without it that of the agent. */
  readonly datacenter?: string;
  /** Consul namespace (Enterprise). */
  readonly namespace?: string;
  /** Admin partition (Enterprise). */
  readonly partition?: string;
  /** ACL token; needs node:write on the prefix roster- and service:write, and for leased entries session:write on roster- too. */
  readonly tokenSecretRef?: SecretKeyRef;
  /** TLS to the registry. Without caSecretRef the certificate is checked against the well-known authorities. */
  readonly tls?: RegistryTls;
  /** Put before every service name. */
  readonly prefix: string;
  /** Above 0: every entry is leased, and vanishes this long after the operator stopped renewing it. 0: only the entries of registrations with liveness Leased are, for 180 s. */
  readonly ttlSeconds: number;
  /** Write a check for instances that are not healthy. Off: they are registered without one, and Consul takes them for passing. */
  readonly healthChecks: boolean;
}

export interface DeletionGuard {
  /** Share of a Service's entries, and of all our entries in this registry, that may go within the window, in percent. 100 holds nothing back. */
  readonly maxPercent: number;
  /** So many of a Service, and of all, may always go within the window, whatever their share. */
  readonly minInstances: number;
  /** Length of the window. */
  readonly windowSeconds: number;
}

export interface EtcdRegistry {
  /** Client addresses of the members: host:port, or with http:// or https://. */
  readonly endpoints: readonly string[];
  /** User name. */
  readonly usernameSecretRef?: SecretKeyRef;
  /** Password. */
  readonly passwordSecretRef?: SecretKeyRef;
  /** TLS to the registry. Without caSecretRef the certificate is checked against the well-known authorities. */
  readonly tls?: RegistryTls;
  /** Key prefix under which services stand. Layout GoMicro keeps them in /micro/registry whatever is set here, and Kratos in /microservices unless this is another than the default. */
  readonly prefix: string;
  /** Above 0: every entry is leased, and vanishes this long after the operator stopped renewing it. 0: only the entries of registrations with liveness Leased are, for 180 s. */
  readonly ttlSeconds: number;
  /** How keys and values are written, so that the consumers of that framework find them: Roster (JSON with everything), gRPC's endpoint manager, go-micro, Kratos or go-zero. Readers of all but Roster know no health: they find only what takes traffic. */
  readonly layout: 'Roster' | 'Grpc' | 'GoMicro' | 'Kratos' | 'GoZero';
}

export interface Failure {
  /** namespace/name of the Service. */
  readonly service: string;
  /** Identity of the instance, where it is one. */
  readonly instance?: string;
  /** Stable reason. */
  readonly code: string;
  /** What is wrong and what to do. */
  readonly message: string;
}

export interface InstanceCounts {
  /** That should stand in the registry. */
  readonly desired: number;
  /** That stand there. */
  readonly registered: number;
  /** Of these, healthy. */
  readonly healthy: number;
}

export interface LabelSelector {
  /** Labels that must all be present with exactly this value. */
  readonly matchLabels?: {
    readonly [k: string]: string;
  };
  /** Requirements that must all hold. */
  readonly matchExpressions?: readonly LabelSelectorRequirement[];
}

export interface LabelSelectorRequirement {
  /** Label key. */
  readonly key: string;
  /** How the label is compared with values. */
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /** Needed by In and NotIn, not allowed with Exists and DoesNotExist. */
  readonly values?: readonly string[];
}

export interface MemoryRegistry {
  /** Most instances it holds; further ones are refused. Without it there is no bound. */
  readonly capacity?: number;
  /** Above 0: every entry is leased, and vanishes this long after the operator stopped renewing it. 0: only the entries of registrations with liveness Leased are, for 180 s. */
  readonly ttlSeconds: number;
}

export interface NacosRegistry {
  /** Addresses of the servers: http://host:8848 or https://host:8848. */
  readonly addresses: readonly string[];
  /** Id of the Nacos namespace; without it the public one. */
  readonly namespace?: string;
  /** Group of every service. */
  readonly group: string;
  /** Nacos cluster of every instance. */
  readonly cluster: string;
  /** User name. */
  readonly usernameSecretRef?: SecretKeyRef;
  /** Password. */
  readonly passwordSecretRef?: SecretKeyRef;
  /** TLS to the registry. Without caSecretRef the certificate is checked against the well-known authorities. */
  readonly tls?: RegistryTls;
  /** Wire protocol. Auto takes gRPC where the server speaks it and HTTP elsewhere. */
  readonly protocol: 'Auto' | 'Grpc' | 'Http';
  /** Share of healthy instances, 0 to 1, below which Nacos hands out unhealthy ones too. */
  readonly protectThreshold?: number;
}

export interface OwnedInstances {
  /** With our mark, of this cluster. */
  readonly owned: number;
}

export interface RegistrationStatus {
  /** Generation of the spec this status was decided from; -1: not looked at yet. */
  readonly observedGeneration: number;
  /** What is the matter, by type. */
  readonly conditions?: readonly Condition[];
  /** Services. */
  readonly services?: ServiceCounts;
  /** Instances. */
  readonly instances?: InstanceCounts;
  /** Names in the registry: the first 10, sorted. */
  readonly names?: readonly string[];
  /** What could not be done: the first 10. */
  readonly failures?: readonly Failure[];
  /** The last value of the annotation roster.dev/reconcile-at that was acted on. */
  readonly lastHandledReconcileAt?: string;
  /** The last value of the annotation roster.dev/release that was acted on; none is acted on twice. */
  readonly lastHandledReleaseAt?: string;
}

export interface RegistryAudit {
  /** Time between two comparisons. */
  readonly intervalSeconds: number;
}

export interface RegistryRef {
  /** Registry is looked up in the namespace of this object. */
  readonly kind: 'ClusterRegistry' | 'Registry';
  /** Name of the registry. */
  readonly name: string;
}

export interface RegistryServer {
  /** Its version. */
  readonly version?: string;
}

export interface RegistryStatus {
  /** Generation of the spec this status was decided from; -1: not looked at yet. */
  readonly observedGeneration: number;
  /** What is the matter, by type. */
  readonly conditions?: readonly Condition[];
  /** The server that answered. */
  readonly server?: RegistryServer;
  /** Instances. */
  readonly instances?: OwnedInstances;
  /** The operator that writes here for a cluster of the same name, while this one does not. */
  readonly otherOwner?: string;
  /** The last value of the annotation roster.dev/reconcile-at that was acted on. */
  readonly lastHandledReconcileAt?: string;
  /** The last value of the annotation roster.dev/release that was acted on; none is acted on twice. */
  readonly lastHandledReleaseAt?: string;
}

export interface RegistryTimeouts {
  /** For a connection. */
  readonly connectSeconds: number;
  /** For the answer to one request. */
  readonly requestSeconds: number;
}

export interface RegistryTls {
  /** PEM bundle of the authorities that may sign the certificate of the registry. */
  readonly caSecretRef?: CaSecretRef;
  /** Client certificate: a Secret of type kubernetes.io/tls, with tls.crt and tls.key. */
  readonly certSecretRef?: TlsSecretRef;
  /** Name the certificate must bear, where it differs from the host of the address. */
  readonly serverName?: string;
}

export interface SecretKeyRef {
  /** Namespace of the Secret: required in a ClusterRegistry, not allowed in a Registry. */
  readonly namespace?: string;
  /** Name of the Secret. */
  readonly name: string;
  /** Key inside the Secret. */
  readonly key: string;
}

export interface ServiceCounts {
  /** Covered by this object. */
  readonly matched: number;
  /** Of these, in the registry as desired. */
  readonly synced: number;
}

export interface ServiceRef {
  /** Name of the Service. */
  readonly name: string;
}

export interface TlsSecretRef {
  /** Namespace of the Secret: required in a ClusterRegistry, not allowed in a Registry. */
  readonly namespace?: string;
  /** Name of the Secret. */
  readonly name: string;
}

export interface ZooKeeperRegistry {
  /** host:port of the servers, separated by commas, with an optional chroot path behind the last. */
  readonly connectString: string;
  /** Path under which services stand. */
  readonly rootPath: string;
  /** Session time-out asked for; the server may bound it. Leased entries vanish this long after the operator is gone. */
  readonly sessionTimeoutSeconds: number;
  /** TLS to the registry. Without caSecretRef the certificate is checked against the well-known authorities. */
  readonly tls?: RegistryTls;
  /** Digest credentials, written user:password; several, a line each, while one account takes the place of another. */
  readonly digestAuthSecretRef?: SecretKeyRef;
  /** How nodes are written, so that the consumers of that framework find them: Curator and Spring Cloud, Kratos (its readers look below /microservices: set rootPath to it), or Plain, JSON with everything. */
  readonly layout: 'Curator' | 'Kratos' | 'Plain';
}

export interface RegistrationSpec {
  /** The registry to write to. Cannot be changed: make a new registration and delete the old one. */
  readonly registryRef: RegistryRef;
  /** Name under which the Services stand in the registry: text with the placeholders {service}, {namespace}, {cluster} and {port}. */
  readonly name: string;
  /** Let several Services stand under one name. Only where every registration of that name says so; otherwise the youngest ones get NameConflict. */
  readonly mergeName: boolean;
  /** Ports to register, by name or number of the Service port. Without it: the only port, else the one named http, else the first. */
  readonly ports?: readonly (number | string)[];
  /** Which address of a Service is registered. */
  readonly addressType: 'Endpoints' | 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName' | 'Auto';
  /** Tags of every instance, where the registry has them. */
  readonly tags?: readonly string[];
  /** Metadata of every instance. The keys managed-by and roster-* are ours. */
  readonly metadata?: {
    readonly [k: string]: string;
  };
  /** Labels of the Service to copy into the metadata, under their own key. metadata wins. */
  readonly metadataFromLabels?: readonly string[];
  /** Share of the traffic, mapped to the range of the registry. 0 drains. */
  readonly weight: number;
  /** Lower is preferred, where the registry knows priorities. */
  readonly priority: number;
  /** Readiness: an endpoint that is not ready stays listed as unhealthy. ReadyOnly: it is absent. */
  readonly health: 'Readiness' | 'ReadyOnly';
  /** Persistent: entries stay while the operator is away. Leased: they vanish with it. */
  readonly liveness: 'Persistent' | 'Leased';
  /** Sync: register, update and remove. UpsertOnly: never remove. CreateOnly: neither update nor remove. DryRun: only say what would be done. */
  readonly updatePolicy: 'Sync' | 'UpsertOnly' | 'CreateOnly' | 'DryRun';
  /** What happens to the entries when this object goes. */
  readonly deletionPolicy: 'Delete' | 'Retain';
  /** Leave the entries as they are and write nothing. */
  readonly suspend: boolean;
}

export interface ServiceRegistrationSpec extends RegistrationSpec {
  /** The one Service of this namespace to register. */
  readonly serviceRef?: ServiceRef;
  /** The Services of this namespace with these labels. An empty selector takes all. */
  readonly selector?: LabelSelector;
}

export interface ClusterServiceRegistrationSpec extends RegistrationSpec {
  /** The namespaces with these labels. An empty selector takes all but kube-system and the namespace of the operator; those are taken only where the label kubernetes.io/metadata.name is asked for with their name. */
  readonly namespaceSelector: LabelSelector;
  /** The Services with these labels. An empty selector takes all. */
  readonly selector: LabelSelector;
}

export interface RegistrySettings {
  /** How long to wait for the registry. */
  readonly timeouts: RegistryTimeouts;
  /** Complete comparison of what the registry holds with what it should hold; entries changed or removed behind our back are mended by it. */
  readonly audit: RegistryAudit;
  /** Holds back removals of entries whose objects were not seen to be deleted, when there are suspiciously many; see the condition DeletionBlocked. */
  readonly deletionGuard: DeletionGuard;
  /** Also mirror EndpointSlices that the endpoint controllers did not make for Pods of the same namespace. Whoever may write such slices can then publish any address. */
  readonly allowUnmanagedEndpoints: boolean;
}

/** A registry and how to write to it; `type` says which block is there. */
export type RegistryConfig = RegistrySettings &
  (
    | { readonly type: 'Memory'; readonly memory?: MemoryRegistry }
    | { readonly type: 'Etcd'; readonly etcd: EtcdRegistry }
    | { readonly type: 'Consul'; readonly consul: ConsulRegistry }
    | { readonly type: 'Nacos'; readonly nacos: NacosRegistry }
    | { readonly type: 'ZooKeeper'; readonly zookeeper: ZooKeeperRegistry }
  );

export type RegistrySpec = RegistryConfig;

export interface RegistryAdmission {
  /** Which namespaces may use this registry. */
  readonly allowedNamespaces: AllowedNamespaces;
  /** Directory of the operator's Pod, below its --credentials-directory, whose files stand for the Secrets that are not named: token, username, password, digest-auth, ca.crt, tls.crt, tls.key. They are read again every 10 s. */
  readonly credentialsDirectory?: string;
}

export type ClusterRegistrySpec = RegistryConfig & RegistryAdmission;

export interface ServiceRegistration {
  readonly apiVersion: 'roster.dev/v1alpha1';
  readonly kind: 'ServiceRegistration';
  readonly metadata: ObjectMeta & { readonly namespace: string };
  readonly spec: ServiceRegistrationSpec;
  readonly status?: RegistrationStatus;
}

export interface ClusterServiceRegistration {
  readonly apiVersion: 'roster.dev/v1alpha1';
  readonly kind: 'ClusterServiceRegistration';
  readonly metadata: ObjectMeta;
  readonly spec: ClusterServiceRegistrationSpec;
  readonly status?: RegistrationStatus;
}

export interface Registry {
  readonly apiVersion: 'roster.dev/v1alpha1';
  readonly kind: 'Registry';
  readonly metadata: ObjectMeta & { readonly namespace: string };
  readonly spec: RegistrySpec;
  readonly status?: RegistryStatus;
}

export interface ClusterRegistry {
  readonly apiVersion: 'roster.dev/v1alpha1';
  readonly kind: 'ClusterRegistry';
  readonly metadata: ObjectMeta;
  readonly spec: ClusterRegistrySpec;
  readonly status?: RegistryStatus;
}

export type Registration = ServiceRegistration | ClusterServiceRegistration;

export type RegistryObject = Registry | ClusterRegistry;

export type RosterObject = Registration | RegistryObject;
