import type { ErrorObject } from 'ajv';

/** What is wrong with one field of an object, for its author. */
export interface Problem {
  /** `spec.ports[0]`, or `spec.metadata[key]` for an entry of a map. */
  readonly path: string;
  readonly message: string;
}

/** The errors of a structural schema, in the words of the author of the object. */
export function schemaProblem(root: string, error: ErrorObject): Problem {
  const path = root + pathOf(error.instancePath);
  const params: Readonly<Record<string, unknown>> = error.params;
  const limit = String(params['limit']);
  switch (error.keyword) {
    case 'required':
      return { path: `${path}.${String(params['missingProperty'])}`, message: 'is required' };
    case 'additionalProperties':
      return { path: `${path}.${String(params['additionalProperty'])}`, message: 'is no field of this kind' };
    case 'type':
      return { path, message: `must be of type ${[params['type']].flat().join(' or ')}` };
    case 'enum':
      return { path, message: `must be one of ${[params['allowedValues']].flat().join(', ')}` };
    case 'minimum':
      return { path, message: `must be at least ${limit}` };
    case 'maximum':
      return { path, message: `must be at most ${limit}` };
    case 'minLength':
      return { path, message: `must have at least ${limit} characters` };
    case 'maxLength':
      return { path, message: `must have at most ${limit} characters` };
    case 'minItems':
      return { path, message: `must have at least ${limit} items` };
    case 'maxItems':
      return { path, message: `must have at most ${limit} items` };
    case 'maxProperties':
      return { path, message: `must have at most ${limit} entries` };
    case 'uniqueItems':
      return { path, message: 'holds the same value twice' };
    default:
      return { path, message: error.message ?? 'is not valid' };
  }
}

/** A JSON pointer in the notation of the API server: `/ports/0` is `.ports[0]`. */
function pathOf(pointer: string): string {
  const steps = pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  return steps.map((step) => (/^[A-Za-z]\w*$/.test(step) ? `.${step}` : `[${step}]`)).join('');
}
