/**
 * Records the candidates that the engine draws for fixed seeds, for transformers to score: `bun scripts/goldens/candidates.ts`, then
 * `make.py --only best-of`. To be run again when a change of the sampler or the kernels draws others; the test says so.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { allCandidates, CANDIDATE_CASES } from '../../test/helpers/candidates.ts';
import { withCompletions } from '../../test/helpers/fixture-app.ts';

const path = fileURLToPath(new URL('../../test/fixtures/goldens/best-of.json', import.meta.url));
const cases: object[] = [];
for (const model of new Set(CANDIDATE_CASES.map((each) => each.model))) {
  await withCompletions(model, async (complete) => {
    for (const each of CANDIDATE_CASES.filter((one) => one.model === model)) {
      const choices = await complete(allCandidates(each));
      const candidates = each.prompts.map((_, i) =>
        choices.slice(i * each.numCandidates, (i + 1) * each.numCandidates).map((choice) => choice.token_ids),
      );
      cases.push({ ...each, candidates });
    }
  });
}
writeFileSync(path, `${JSON.stringify({ cases })}\n`);
console.log(`${cases.length} cases written; now make.py --only best-of`);
process.exit(0);
