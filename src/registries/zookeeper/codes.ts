/** The answer was not one of ZooKeeper. */
export class NotZooKeeper extends Error {
  override readonly name = 'NotZooKeeper';
}

/** An error code of the server, of `KeeperException.Code`. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly code: number;

  constructor(code: number) {
    super(`ZooKeeper answered with error ${code}`);
    this.code = code;
  }
}

export const CODES = {
  systemError: -1,
  rolledBack: -2,
  marshallingError: -5,
  unimplemented: -6,
  badArguments: -8,
  noNode: -101,
  noAuth: -102,
  badVersion: -103,
  noChildrenForEphemerals: -108,
  nodeExists: -110,
  notEmpty: -111,
  sessionExpired: -112,
  invalidAcl: -114,
  authFailed: -115,
  sessionMoved: -118,
  notReadOnly: -119,
  needsAuthentication: -124,
  quotaExceeded: -125,
  throttled: -127,
} as const;
