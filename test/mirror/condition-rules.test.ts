import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brokenRules, kstatus, type RuleOptions } from './condition-rules.ts';

const T0 = '2026-01-01T00:00:00Z';
const T1 = '2026-01-01T00:01:00Z';

interface Given {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly observedGeneration?: number | undefined;
  readonly lastTransitionTime?: string;
}

function object(conditions: readonly Given[], changes: { kind?: string; metadata?: object; status?: object } = {}) {
  return {
    kind: changes.kind ?? 'ServiceRegistration',
    metadata: { name: 'web', namespace: 'shop', generation: 2, ...changes.metadata },
    status: {
      observedGeneration: 2,
      conditions: conditions.map((one) => ({
        reason: 'Synced',
        message: 'all is well',
        observedGeneration: 2,
        lastTransitionTime: T0,
        ...one,
      })),
      ...changes.status,
    },
  };
}

const ready = { type: 'Ready', status: 'True' };
const accepted = { type: 'Accepted', status: 'True', reason: 'Accepted' };
const synced = { type: 'Synced', status: 'True' };
const working = [
  { type: 'Ready', status: 'Unknown', reason: 'Progressing' },
  { type: 'Reconciling', status: 'True', reason: 'Progressing' },
];
const failed = [
  { type: 'Ready', status: 'False', reason: 'PortNotFound' },
  { type: 'Stalled', status: 'True', reason: 'PortNotFound' },
];

describe('the rules for conditions', () => {
  const right: Readonly<Record<string, unknown>> = {
    'a registration that is done': object([ready, accepted, synced]),
    'a registration at work': object([...working, accepted, { ...synced, status: 'False', reason: 'Progressing' }]),
    'a registration that needs a person': object([...failed, { ...accepted, status: 'False', reason: 'PortNotFound' }]),
    'a registry that answers': object(
      [
        { ...ready, reason: 'Ready' },
        { type: 'Reachable', status: 'True', reason: 'Reachable' },
      ],
      { kind: 'ClusterRegistry' },
    ),
    'held deletions, told by Ready too': object([
      { type: 'Ready', status: 'False', reason: 'TooManyRemovals' },
      { type: 'Stalled', status: 'True', reason: 'TooManyRemovals' },
      { type: 'DeletionBlocked', status: 'True', reason: 'TooManyRemovals' },
    ]),
    'an object that is being deleted': object([...working], { metadata: { deletionTimestamp: T0, generation: 3 } }),
  };
  for (const [name, given] of Object.entries(right)) {
    it(`are kept by ${name}`, () => assert.deepEqual(brokenRules(given), []));
  }

  const wrong: readonly [rule: string, name: string, given: unknown, options?: RuleOptions][] = [
    [
      'FAIL0001',
      'Ready=True beside a condition that is bad when True',
      object([ready, { type: 'DeletionBlocked', status: 'True' }]),
    ],
    ['FAIL0002', 'no Ready', object([accepted])],
    ['FAIL0002', 'no conditions at all', object([], { status: { conditions: undefined } })],
    ['FAIL0003', 'a final status with Ready=Unknown and Reconciling=True', object(working), { settled: true }],
    [
      'FAIL0004',
      'Stalled=True with Ready=Unknown',
      object([
        { ...ready, status: 'Unknown' },
        { type: 'Stalled', status: 'True' },
      ]),
    ],
    ['FAIL0005', 'Reconciling and Stalled together', object([...failed, { type: 'Reconciling', status: 'True' }])],
    ['FAIL0006', 'an observedGeneration of the future', object([ready], { status: { observedGeneration: 3 } })],
    [
      'FAIL0007',
      'Ready=True for an older generation',
      object([ready], { metadata: { generation: 3 } }),
      { settled: true },
    ],
    [
      'FAIL0008',
      'Ready=True with a condition of an older generation',
      object([ready, { ...accepted, observedGeneration: 1 }]),
    ],
    [
      'FAIL0009',
      'Ready=True with a condition of another generation than the root',
      object([ready, { ...accepted, observedGeneration: 5 }]),
    ],
    ['FAIL0011', 'Ready=Unknown without Reconciling', object([{ ...ready, status: 'Unknown' }])],
    [
      'WARN0001',
      'Ready=True beside a bad condition that is not True',
      object([ready, { type: 'DeletionBlocked', status: 'Unknown' }]),
    ],
    [
      'WARN0002',
      'Ready that does not tell of held deletions',
      object([...failed, { type: 'DeletionBlocked', status: 'True', reason: 'TooManyRemovals' }]),
    ],
    ['WARN0003', 'Reconciling=False', object([ready, { type: 'Reconciling', status: 'False' }])],
    ['WARN0004', 'Stalled=False', object([ready, { type: 'Stalled', status: 'False' }])],
    [
      'WARN0005',
      'a condition without observedGeneration',
      object([...failed, { ...accepted, observedGeneration: undefined }]),
    ],
    ['KSTATUS', 'no status', { kind: 'Registry', metadata: { generation: 1 } }],
    ['KSTATUS', 'no observedGeneration', object([ready], { status: { observedGeneration: undefined } })],
    ['KSTATUS', 'Ready=False that kstatus takes for work in progress', object([{ ...ready, status: 'False' }])],
    ['KUBERNETES', 'a condition that is there twice', object([ready, ready])],
    ['KUBERNETES', 'a status that does not exist', object([{ ...ready, status: 'true' }])],
    ['KUBERNETES', 'a reason with a space', object([{ ...ready, reason: 'All well' }])],
    ['KUBERNETES', 'an empty reason', object([{ ...ready, reason: '' }])],
    ['KUBERNETES', 'a time that is none', object([{ ...ready, lastTransitionTime: 'yesterday' }])],
    [
      'KUBERNETES',
      'a time with fractions of a second',
      object([{ ...ready, lastTransitionTime: '2026-01-01T00:00:00.123Z' }]),
    ],
    ['KUBERNETES', 'no generation', object([ready], { metadata: { generation: undefined } })],
    ['ROSTER00', 'a kind that is not ours', object([ready], { kind: 'Deployment' })],
    ['ROSTER01', 'Ready=False without Stalled', object([{ ...ready, status: 'False' }])],
    [
      'ROSTER02',
      'DeletionBlocked=False',
      object([...failed, { type: 'DeletionBlocked', status: 'False', reason: 'PortNotFound' }]),
    ],
    ['ROSTER03', 'Ready=True with Accepted=False', object([ready, { ...accepted, status: 'False' }])],
    [
      'ROSTER03',
      'Ready=True with Reachable=False',
      object([ready, { type: 'Reachable', status: 'False' }], { kind: 'Registry' }),
    ],
    [
      'ROSTER04',
      'Synced=True with fewer entries than desired',
      object([ready, synced], { status: { instances: { desired: 3, registered: 2, healthy: 2 } } }),
    ],
    ['ROSTER05', 'a condition of another kind', object([ready, { type: 'Reachable', status: 'True' }])],
    ['ROSTER06', 'a reason that is not documented', object([{ ...ready, reason: 'Whatever' }])],
    ['ROSTER07', 'an empty message', object([{ ...ready, message: '' }])],
    [
      'ROSTER08',
      'a generation that goes back',
      object([ready]),
      { previous: object([ready], { status: { observedGeneration: 7 } }) },
    ],
    [
      'ROSTER09',
      'a transition time that moves alone',
      object([{ ...ready, lastTransitionTime: T1 }]),
      { previous: object([ready]) },
    ],
    [
      'ROSTER10',
      'a transition time that goes back',
      object([ready]),
      { previous: object([{ ...ready, status: 'False', lastTransitionTime: T1 }]) },
    ],
  ];
  for (const [rule, name, given, options] of wrong) {
    it(`${rule} is broken by ${name}`, () => {
      const broken = brokenRules(given, options);
      assert.ok(
        broken.some((one) => one.startsWith(`${rule}:`)),
        `found ${JSON.stringify(broken)}`,
      );
    });
  }

  it('let a transition time move together with the status', () => {
    const previous = object(working);
    assert.deepEqual(brokenRules(object([{ ...ready, lastTransitionTime: T1 }]), { previous }), []);
  });

  it('know what kstatus makes of an object, in its order', () => {
    assert.equal(kstatus(object([ready], { metadata: { deletionTimestamp: T0, generation: 2 } })), 'Terminating');
    assert.equal(kstatus(object([ready], { metadata: { generation: 3 } })), 'InProgress');
    assert.equal(kstatus(object(working)), 'InProgress');
    assert.equal(kstatus(object(failed)), 'Failed');
    assert.equal(kstatus(object([ready])), 'Current');
    assert.equal(kstatus(object([])), 'Current');
  });
});
