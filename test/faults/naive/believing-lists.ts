// What a list lacks was deleted.
import type { KubeObject } from '../../../src/api/core.ts';
import { createIntake as create, type Intake, type IntakeOptions } from '../../../src/kubernetes/intake.ts';

export function createIntake<T extends KubeObject>(options: IntakeOptions<T>): Intake<T> {
  const intake = create(options);
  return Object.create(intake, {
    takeList: {
      value(list: Parameters<Intake<T>['takeList']>[0]) {
        const taken = intake.takeList(list);
        for (const missing of intake.twiceMissing(Number.POSITIVE_INFINITY)) intake.takeAbsence(missing);
        return taken;
      },
    },
  });
}
