/**
 * The text side of the model being served: everything between words and token ids.
 *
 * Made once at start, shared by all requests. Knows no weights and no engine. Next: `prompt.ts`, `to-engine.ts`.
 */
import { ChatTemplate } from '../text/chat-template.ts';
import { TokenTable } from '../text/token-table.ts';
import { Tokenizer } from '../text/tokenizer.ts';
import { type TextEncoderPool, TokenizerPool } from '../text/tokenizer-pool.ts';
import { type GenerationDefaults, loadGenerationDefaults } from './generation-defaults.ts';

export interface ServedModel {
  readonly tokenizer: Tokenizer;
  readonly tokens: TokenTable;
  readonly encoder: TextEncoderPool;
  readonly chatTemplate: ChatTemplate;
  readonly defaults: GenerationDefaults;
}

/**
 * Loads the text side of a checkpoint folder. `chatTemplate` is Jinja text or a path that replaces the checkpoint's own.
 * Throws: Error naming the file at fault.
 */
export async function loadServedModel(folder: string, chatTemplate: string | null): Promise<ServedModel> {
  const [tokenizer, defaults] = await Promise.all([Tokenizer.load(folder), loadGenerationDefaults(folder)]);
  return {
    tokenizer,
    tokens: new TokenTable(tokenizer),
    encoder: new TokenizerPool(tokenizer, folder),
    chatTemplate: await ChatTemplate.load(folder, tokenizer.namedTokens, chatTemplate),
    defaults,
  };
}

/** What serving may know of the configuration. */
export interface ServingSettings {
  /** The first is what answers carry; all are accepted. */
  readonly servedModelNames: readonly string[];
  /** The folder or Hub id, as `/v1/models` shows it. */
  readonly modelRoot: string;
  readonly responseRole: string;
  readonly maxLogprobs: number;
  readonly version: string;
}
