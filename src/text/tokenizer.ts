/**
 * A tokenizer of a Hugging Face checkpoint: text to ids and back, special tokens, vocabulary.
 *
 * Owns every workaround around `@huggingface/tokenizers`; nothing else imports it. Truncation and padding entries of the file are
 * ignored, clean-up of spaces is off unless the checkpoint asks for it, and a begin-of-sequence token is added only where the
 * file's post-processor says so. Next: `detokenizer.ts` (streams), `tokenizer-pool.ts` (long texts), `token-table.ts`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';

/** Token strings that chat templates refer to by name. */
export interface NamedTokens {
  readonly bos_token?: string;
  readonly eos_token?: string;
  readonly unk_token?: string;
  readonly pad_token?: string;
}

export interface EncodeOptions {
  /** Whether the post-processor may add tokens such as begin-of-sequence. */
  readonly addSpecialTokens: boolean;
}

export interface DecodeOptions {
  readonly skipSpecialTokens: boolean;
}

interface TokenizerJson {
  readonly decoder?: unknown;
  readonly added_tokens?: readonly { readonly id: number; readonly content: string; readonly special?: boolean }[];
}

interface TokenizerConfigJson {
  readonly added_tokens_decoder?: Readonly<Record<string, { readonly special?: boolean }>>;
  readonly clean_up_tokenization_spaces?: unknown;
  readonly [key: string]: unknown;
}

/** One loaded tokenizer. Stateless between calls, so that any number of requests may share it. */
export class Tokenizer {
  /** Ids that carry control, not text. */
  readonly specialIds: ReadonlySet<number>;
  /** Highest id + 1. The model's own vocabulary may be larger (padding). */
  readonly vocabSize: number;
  readonly namedTokens: NamedTokens;
  /** The file's `decoder` entry, see `decoder-kind.ts`. Null where the file has none. */
  readonly decoderConfig: unknown;
  /** Length of the longest token. Units: UTF-16 code units of the vocabulary's own spelling. */
  readonly longestToken: number;
  private readonly inner: HuggingFaceTokenizer;

  /** Takes the parsed files. Throws: Error when a part of the file is unknown to the library. */
  constructor(tokenizerJson: unknown, configJson: unknown = {}) {
    const file = tokenizerJson as TokenizerJson;
    const config = (configJson ?? {}) as TokenizerConfigJson;
    // The library turns the clean-up on when the entry is missing, which changes text that was never English prose.
    const cleanUp = config.clean_up_tokenization_spaces === true;
    this.inner = new HuggingFaceTokenizer(file, { ...config, clean_up_tokenization_spaces: cleanUp });
    this.decoderConfig = file.decoder ?? null;
    const special = new Set<number>();
    for (const token of file.added_tokens ?? []) if (token.special === true) special.add(token.id);
    for (const [id, token] of Object.entries(config.added_tokens_decoder ?? {})) {
      if (token.special === true) special.add(Number(id));
    }
    this.specialIds = special;
    let highest = -1;
    let longest = 1;
    for (const [token, id] of this.inner.get_vocab()) {
      if (id > highest) highest = id;
      if (token !== undefined && token.length > longest) longest = token.length;
    }
    this.vocabSize = highest + 1;
    this.longestToken = longest;
    this.namedTokens = namedTokens(config);
  }

  /** Loads `tokenizer.json` and, where present, `tokenizer_config.json` of a checkpoint folder. Throws: Error naming the file. */
  static async load(folder: string): Promise<Tokenizer> {
    const [file, config] = await Promise.all([
      readJson(join(folder, 'tokenizer.json')),
      readJson(join(folder, 'tokenizer_config.json')),
    ]);
    if (file === null) throw new Error(`${folder} has no tokenizer.json`);
    return new Tokenizer(file, config ?? {});
  }

  encode(text: string, options: EncodeOptions): number[] {
    return this.inner.encode(text, { add_special_tokens: options.addSpecialTokens }).ids;
  }

  /** The text of a whole sequence; ids outside the vocabulary are left out. */
  decode(ids: ArrayLike<number>, options: DecodeOptions): string {
    const kept: number[] = [];
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i];
      if (id === undefined || this.inner.id_to_token(id) === undefined) continue;
      if (options.skipSpecialTokens && this.specialIds.has(id)) continue;
      kept.push(id);
    }
    return kept.length === 0 ? '' : this.inner.decode(kept, { skip_special_tokens: false });
  }

  /** The vocabulary's own spelling of a token; undefined for an unknown id. */
  idToToken(id: number): string | undefined {
    return this.inner.id_to_token(id);
  }

  tokenToId(token: string): number | undefined {
    return this.inner.token_to_id(token);
  }
}

function namedTokens(config: TokenizerConfigJson): NamedTokens {
  const found: Record<string, string> = {};
  for (const name of ['bos_token', 'eos_token', 'unk_token', 'pad_token']) {
    const value = config[name];
    const text = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
    if (typeof text === 'string') found[name] = text;
  }
  return found;
}

/** A parsed JSON file, or null where it does not exist. Throws: Error naming the file that is not JSON. */
async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${path} is not valid JSON`);
  }
}
