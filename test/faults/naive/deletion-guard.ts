// However many go at once, they go.
import type { judge as judgeAll } from '../../../src/mirror/deletion-guard.ts';

export * from '../../../src/mirror/deletion-guard.ts';

export const judge: typeof judgeAll = (owner, registry, { removals }) => ({ owner, registry, passed: removals });
