import type { KubeObject, ObjectKey } from '../api/core.ts';
import type { Clock } from '../clock.ts';
import type { KubeError } from './kube-error.ts';
import { type Log, onceAMinute } from './log.ts';
import type { Resource } from './resources.ts';

const MALFORMED_KEPT = 100;

export interface TroubleOptions {
  readonly resource: Resource<KubeObject>;
  readonly log: Log;
  readonly clock: Clock;
}

/** What goes wrong while one resource is read, for the person who reads the log: each sort at once, then once a minute while it lasts. */
export function createTrouble({ resource, log, clock }: TroubleOptions) {
  const due = onceAMinute(clock);
  const badObjects = new Map<ObjectKey, string>();
  const where = { resource: resource.name, group: resource.group };
  const full = resource.group === '' ? resource.name : `${resource.name}.${resource.group}`;

  let unlisted = false;

  const warn = (sort: string, fields: object, message: string) => {
    if (!due(sort)) return;
    log.warn({ ...where, ...fields }, message);
    unlisted ||= sort.startsWith('list') || sort === 'older';
  };

  const sentence = (verb: 'list' | 'watch', { status }: KubeError): string => {
    if (status === 403)
      return `not allowed to ${verb} ${full}: grant the service account the verbs get, list and watch on it`;
    if (status === 404) return `the API server does not serve ${full}: ${remedy(resource)}`;
    if (status === 401) return `the API server refuses our credentials: check the token or certificate`;
    if (status === 429) return `the API server is busy and asks us to wait before the next ${verb} of ${full}`;
    return `cannot ${verb} ${full}, trying again`;
  };

  return {
    failed(verb: 'list' | 'watch', error: KubeError): void {
      warn(`${verb} ${error.status}`, { status: error.status, error: error.message }, sentence(verb, error));
    },
    distrusted(why: string): void {
      warn('distrusted', { why }, `the watch of ${full} cannot be trusted, listing again`);
    },
    olderList(got: string, seen: string): void {
      warn(
        'older',
        { got, seen },
        `the API server shows ${full} older than before: not believed until a second list confirms that the cluster was restored`,
      );
    },
    /** A list was taken: says so when the log holds that it was not. */
    listed(): void {
      if (unlisted) log.info(where, `${full} listed again`);
      unlisted = false;
    },
    malformed(object: ObjectKey, problem: string): void {
      if (badObjects.get(object) === problem) return;
      if (badObjects.size >= MALFORMED_KEPT) badObjects.clear();
      badObjects.set(object, problem);
      log.warn(
        { ...where, object, problem },
        'an object cannot be read and is passed over; what was known of it before stays',
      );
    },
  };
}

const remedy = (resource: Resource<KubeObject>): string =>
  resource.group === 'roster.dev'
    ? 'install the CRDs (kubectl apply -f crds/)'
    : 'this Kubernetes version or API group is missing it';
