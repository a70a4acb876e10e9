/**
 * The text side of the model being served: everything between words and token ids.
 *
 * Made once at start, shared by all requests. Knows no weights and no engine. Next: `prompt.ts`, `to-engine.ts`.
 */
import type { EngineInfo } from '../engine/types.ts';
import { ChatTemplate } from '../text/chat-template.ts';
import { TokenTable } from '../text/token-table.ts';
import { Tokenizer } from '../text/tokenizer.ts';
import { type TextEncoderPool, TokenizerPool } from '../text/tokenizer-pool.ts';
import { type DefaultsSources, type GenerationDefaults, loadGenerationDefaults } from './generation-defaults.ts';

export interface ServedModel {
  readonly tokenizer: Tokenizer;
  readonly tokens: TokenTable;
  readonly encoder: TextEncoderPool;
  readonly chatTemplate: ChatTemplate;
  readonly defaults: GenerationDefaults;
}

/**
 * Loads the text side of a checkpoint folder. `chatTemplate` is Jinja text or a path that replaces the checkpoint's own.
 * Throws: Error naming the file or the setting at fault.
 */
export async function loadServedModel(
  folder: string,
  chatTemplate: string | null,
  sources: DefaultsSources = {},
): Promise<ServedModel> {
  const [tokenizer, defaults] = await Promise.all([Tokenizer.load(folder), loadGenerationDefaults(folder, sources)]);
  return {
    tokenizer,
    tokens: new TokenTable(tokenizer),
    encoder: new TokenizerPool(tokenizer, folder),
    chatTemplate: await ChatTemplate.load(folder, tokenizer.namedTokens, chatTemplate),
    defaults,
  };
}

/** What translation needs to know of the running server. */
export interface ServingContext {
  readonly model: ServedModel;
  readonly settings: ServingSettings;
  readonly info: EngineInfo;
}

/** What serving may know of the configuration. What is absent has the value that changes nothing. */
export interface ServingSettings extends DefaultsSources {
  /** The first is what answers carry; all are accepted. */
  readonly servedModelNames: readonly string[];
  /** The folder or Hub id, as `/v1/models` shows it. */
  readonly modelRoot: string;
  readonly responseRole: string;
  readonly maxLogprobs: number;
  readonly version: string;
  /** Whether templates get contents as text or as lists of parts; `auto` (the default) looks at the template. */
  readonly chatTemplateContentFormat?: 'auto' | 'string' | 'openai';
  /** Whether a request may bring a chat template of its own. */
  readonly trustRequestChatTemplate?: boolean;
  /** Variables for the chat template; those of a request go before. */
  readonly defaultChatTemplateKwargs?: Readonly<Record<string, unknown>> | null;
  /** Whether log probabilities show tokens as `token_id:N` unless the request says otherwise. */
  readonly returnTokensAsTokenIds?: boolean;
  /** Whether the usage says how many prompt tokens were cached. */
  readonly enablePromptTokensDetails?: boolean;
  /** Whether every stream carries the usage, in all of its chunks. */
  readonly enableForceIncludeUsage?: boolean;
  /** Whether the usage says how long the parts of the work took. */
  readonly enablePerRequestMetrics?: boolean;
  /** Most sequences of one request, prompts times choices. */
  readonly maxNSequences?: number;
  /** Which sequences run first; requests may have a priority only under `priority`. */
  readonly schedulingPolicy?: 'fcfs' | 'priority';
}
