"""The fixtures' tokenizer: a byte-level BPE of 44 merges, made here, with ChatML tokens; and its golden encodings.

The golden ids and texts come from the Rust `tokenizers` library, the streamed pieces from its DecodeStream.
A few merges join only part of an emoji's bytes on purpose: a streaming detokenizer must hold those back.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.decoders import DecodeStream

from families import BEGIN, END_OF_TEXT, IM_END, IM_START

ADDED = (
    AddedToken('<|endoftext|>', special=True),
    AddedToken('<|im_start|>', special=True),
    AddedToken('<|im_end|>', special=True),
    AddedToken('<tool_call>', special=False),
    AddedToken('</tool_call>', special=False),
    AddedToken('<|begin|>', special=True),
)

# The split that GPT-4-like tokenizers use: contractions, words with one leading sign, single digits, signs, white space.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

TRAINING_TEXT = [
    'the cat and the dog sat in the sun and then the rain came over the hills',
    'hello there, what is the answer to the question? the answer is in the other hand',
    'smile 😀 😃 😄 😁 😆 and 你好 你们 ééé über naïve café',
    'He said: "hello, hello" and then went on to the station.\n\n',
] * 4

CHAT_TEMPLATE = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

TEXTS = [
    '', ' ', '  ', 'a', 'hello', ' hello', 'Hello, world!', 'the cat sat', 'the  cat   sat', 'the other answer is here',
    "it's we've I'LL don't", '0', '1234567890', '3.14 and 1,000', 'a_b-c/d\\e', 'x = {"key": [1, 2, null]}',
    '\n', '\n\n', ' \n', 'line one\nline two\r\nline three', 'tab\tand\t\ttabs', 'trailing spaces   ', '   leading',
    'café', 'cafe\u0301', 'naïve über Ångström', 'ПриветМир', '你好，世界', '日本語のテキスト', '안녕하세요', 'שלום مرحبا',
    '😀', 'hi 😀😃', '👩‍👩‍👧‍👦 family', '🇩🇪🇯🇵', '👍🏽', '😀a😄b', '🦀 rust', '\u00a0no break\u2003em', 'a\u0000b', '\ufffd and \ufeff',
    'ﬁ ligature ½ ²', 'zero\u200bwidth', '<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n',
    'text<|endoftext|>more', '<|im_start', '<tool_call>{"name": "time"}</tool_call>', ' <|im_end|> ', '<|begin|>x',
]

# Ids as a model may emit them: no encoder makes these (a character cut off, bytes that are no UTF-8, special ids in the middle).
ODD_BYTES = [[0xF0], [0xF0, 0x9F, 0x98], [0xC3], [0x61, 0xFF, 0x62], [0xE4, 0xBD, 0x61], [0x80, 0x80], [0xC3, 0xA9, 0xC3]]


def byte_characters() -> dict[int, str]:
    """Byte -> the printable character that stands for it in a byte-level vocabulary."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def make_tokenizer(begin_token: bool) -> Tokenizer:
    """A trained tokenizer; with `begin_token` its post-processor puts <|begin|> first, as Llama 3's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), 'isolated'), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TRAINING_TEXT, trainers.BpeTrainer(vocab_size=END_OF_TEXT, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_tokens(list(ADDED))
    if begin_token:
        tokenizer.post_processor = processors.TemplateProcessing(
            single='<|begin|> $A', pair='<|begin|> $A <|begin|> $B', special_tokens=[('<|begin|>', BEGIN)]
        )
    else:
        tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    expected = {'<|endoftext|>': END_OF_TEXT, '<|im_start|>': IM_START, '<|im_end|>': IM_END, '<|begin|>': BEGIN}
    for token, token_id in expected.items():
        assert tokenizer.token_to_id(token) == token_id, (token, tokenizer.token_to_id(token))
    return tokenizer


def write_tokenizer(folder: Path, begin_token: bool) -> None:
    """Mutates: writes tokenizer.json and tokenizer_config.json into `folder`."""
    tokenizer = make_tokenizer(begin_token)
    (folder / 'tokenizer.json').write_text(tokenizer.to_str(pretty=False) + '\n')
    added = {
        str(tokenizer.token_to_id(token.content)): {
            'content': token.content, 'lstrip': False, 'normalized': token.normalized, 'rstrip': False,
            'single_word': False, 'special': token.special,
        }
        for token in ADDED
    }
    config = {
        'added_tokens_decoder': added,
        'bos_token': '<|begin|>' if begin_token else None,
        'chat_template': CHAT_TEMPLATE,
        'clean_up_tokenization_spaces': False,
        'eos_token': '<|im_end|>',
        'model_max_length': 160,
        'pad_token': '<|endoftext|>',
        'tokenizer_class': 'PreTrainedTokenizerFast',
    }
    (folder / 'tokenizer_config.json').write_text(json.dumps(config, indent=2) + '\n')


def decoded(tokenizer: Tokenizer, ids: list[int]) -> dict:
    """What the library makes of ids: whole, without special tokens, and token by token (null: nothing to show yet)."""
    stream = DecodeStream(skip_special_tokens=False)
    return {
        'ids': ids,
        'decoded': tokenizer.decode(ids, skip_special_tokens=False),
        'decodedSkipSpecial': tokenizer.decode(ids, skip_special_tokens=True),
        'stream': [stream.step(tokenizer, token_id) for token_id in ids],
    }


def tokenizer_goldens(models_folder: Path, names: tuple[str, ...]) -> dict:
    """Golden encodings read back from the written files, so that they describe what is on disk."""
    sets = []
    for name in names:
        tokenizer = Tokenizer.from_file(str(models_folder / name / 'tokenizer.json'))
        cases = []
        for text in TEXTS:
            plain = tokenizer.encode(text, add_special_tokens=False).ids
            case = {'text': text, **decoded(tokenizer, plain)}
            case['idsWithSpecial'] = tokenizer.encode(text, add_special_tokens=True).ids
            cases.append(case)
        characters = byte_characters()
        odd = [[tokenizer.token_to_id(characters[byte]) for byte in run] for run in ODD_BYTES]
        smile = tokenizer.encode('😀', add_special_tokens=False).ids
        odd += [[IM_START, *smile, IM_END], [*smile[:-1], IM_END], [*smile[:-1], *smile]]
        sets.append({'model': name, 'cases': cases, 'idCases': [decoded(tokenizer, ids) for ids in odd]})
    smile = next(case for case in sets[0]['cases'] if case['text'] == '😀')
    assert len(smile['ids']) > 1 and None in smile['stream'], 'no emoji is split over tokens'
    return {'sets': sets}
