/**
 * The rows of `POST /v1/completions`. Next: `shared.ts`, `chat.ts`.
 */
import type { ServedModel } from '../../../src/serving/served-model.ts';
import { testModel } from '../test-app.ts';
import { testIds } from '../test-tokenizer.ts';
import { acts, choice, differs, type ParameterCase, param, promptText, said } from './case.ts';
import { addsSpecialTokens, sharedCases, tokensAsIds } from './shared.ts';

/** The test model, whose three special tokens are those that fill in the middle. */
function infillModel(): ServedModel {
  const model = testModel();
  const names: Readonly<Record<string, number>> = {
    '<|fim_prefix|>': testIds.endOfText,
    '<|fim_suffix|>': testIds.imStart,
    '<|fim_middle|>': testIds.imEnd,
  };
  const tokenizer = new Proxy(model.tokenizer, {
    get: (target, name) => {
      if (name === 'tokenToId') return (text: string) => names[text] ?? target.tokenToId(text);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { ...model, tokenizer };
}

export const completionCases: readonly ParameterCase[] = [
  ...sharedCases,
  addsSpecialTokens(false),
  tokensAsIds(0),
  differs('prompt', { prompt: [97, 98] }, { prompt: 'hi' }, promptText, 'ab'),
  acts('logprobs', 2, param('numLogprobs'), 2),
  acts('max_tokens', 0, (seen) => [said(seen), choice('finish_reason')(seen)], ['hi', 'length'], {
    needs: { echo: true },
  }),
  acts('echo', true, said, 'hihello world'),
  acts('suffix', 'end', promptText, '<|endoftext|>hi<|im_start|>end<|im_end|>', {
    overrides: { model: infillModel() },
  }),
];
