import type { Command } from 'commander';
import { addPlanOptions, type PlanOptions, plan } from './plan.ts';
import { driftIn, renderPlan } from './plan-report.ts';
import { CommandError, type Terminal } from './terminal.ts';

/** Exit codes as `kubectl diff` has them, for pipelines: what failed must not look like drift. */
const EXIT_CODES = { none: 0, drift: 1, unknown: 2 } as const;

export function addDiff(program: Command, terminal: Terminal): void {
  addPlanOptions(program.command('diff'))
    .description('like plan; exits 0 without drift, 1 with drift, 2 when it cannot say')
    .action(async (options: PlanOptions) => {
      const report = await plan(options, terminal).catch((cause: unknown) => {
        throw new CommandError(cause instanceof Error ? cause.message : String(cause), EXIT_CODES.unknown, cause);
      });
      terminal.out(renderPlan(report, options.output ?? 'table'));
      terminal.setExitCode(EXIT_CODES[driftIn(report)]);
    });
}
