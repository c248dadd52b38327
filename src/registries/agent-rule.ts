import type { Agent } from 'node:http';
import { AddressNotAllowed, type AddressRule, isForbidden, ruledLookup } from './address-rule.ts';

/** Every connection of the agent is made to an allowed address, or fails with {@link AddressNotAllowed} before anything is sent. */
export function ruleAgent(agent: Agent, mayConnect: AddressRule | undefined): void {
  if (mayConnect === undefined) return;
  const create = agent.createConnection.bind(agent);
  const ruled = ruledLookup(mayConnect);
  agent.createConnection = (options, callback) => {
    if (!isForbidden(options.host ?? '', mayConnect)) return create({ ...options, lookup: ruled }, callback);
    // The only way to fail that an agent knows: a socket that breaks at once would do so before anybody listens.
    callback?.(new AddressNotAllowed(), undefined as never);
    return undefined;
  };
}
