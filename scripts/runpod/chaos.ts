/**
 * Prints what becomes of jobs under each kind of chaos: `bun scripts/runpod/chaos.ts [jobs per kind]`.
 */
import { type ChaosCount, chaosKinds, playChaos } from '../../test/unit/jobs/chaos.ts';

const numJobs = Number(process.argv[2] ?? 500);
const columns: readonly (keyof ChaosCount)[] = [
  ...([
    'jobs',
    'finished',
    'failed',
    'stopped',
    'left',
    'lost',
    'answeredTwice',
    'repeated',
    'wrongText',
    'requests',
  ] as const),
];
console.log(`| queue | ${columns.join(' | ')} |`);
console.log(`|---|${columns.map(() => '---').join('|')}|`);
for (const [index, chaos] of chaosKinds.entries()) {
  const count = await playChaos(chaos, numJobs, index + 1);
  console.log(`| ${chaos.name} | ${columns.map((column) => count[column]).join(' | ')} |`);
}
