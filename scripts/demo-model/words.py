"""Word lists and seeded sources of names, cities, words and numbers.

`Source` draws the fillers of prompts. Each draw belongs to one split: a stable
hash puts a tenth of all keys aside for evaluation, so a held-out name, city,
word or sum never appears in training, whatever the random seed.
"""

import random
import zlib

NAMES = """Anna Ben Clara David Emma Felix Grace Henry Ivy Jack Kate Leo Maria Noah Olga Paul Rosa Sam Tina
Victor Wendy Alice Bob Charlie Diana Eric Fiona George Hannah Ian Julia Kevin Laura Mark Nina Oscar Peter
Ruth Sarah Tom Ursula Vera Walter Zoe Adam Bella Carol Daniel Ella Frank Gina Hugo Irene James Karen Linda
Martin Nora Oliver Petra Robert Simon Thomas Lucy Mia Max Lena Liam Sofia Amir Yuki Priya Chen Ada Alan
Grace Linus Dennis Ken Barbara Jose Juan Marta Pierre Hans Ingrid Lars Olaf Ravi Mei Ali Omar Fatima""".split()

CITIES = """Paris|London|Rome|Berlin|Madrid|Vienna|Tokyo|Oslo|Cairo|Lima|New York|Los Angeles|San Francisco|Chicago
Boston|Seattle|Toronto|Sydney|Mumbai|Delhi|Beijing|Shanghai|Seoul|Moscow|Dublin|Lisbon|Prague|Warsaw|Athens
Zurich|Geneva|Munich|Hamburg|Milan|Naples|Lyon|Porto|Rio de Janeiro|Buenos Aires|Mexico City|Cape Town|Nairobi
Hong Kong|Kyoto|Osaka|Bangkok|Jakarta|Dubai|Istanbul|Helsinki|Stockholm|Copenhagen|Amsterdam|Brussels|Budapest
Denver|Dallas|Austin|Miami|Montreal|San Francisco, CA|Boston, MA|Paris, France|Tokyo, Japan""".replace("\n", "|").split("|")

WORDS = """lamp stone water hello world apple bread chair table house mouse green light night river tree bird fish
cat dog sun moon star cloud rain snow wind fire earth leaf root seed plant flower garden window door wall roof
floor kitchen spoon fork knife plate cup glass bottle paper pencil book page letter word name number paint brush
music song dance drum guitar piano violin horse sheep goat tiger lion bear wolf fox rabbit frog snake spider ant
bee train plane boat ship car bike road street bridge tower castle king queen prince crown sword shield storm
summer winter spring autumn morning evening today silver gold iron copper sugar salt pepper butter cheese milk
honey lemon orange banana grape cherry peach melon potato carrot onion garlic basket button candle dragon engine
feather hammer island jacket ladder magnet needle ocean pocket rocket saddle ticket velvet wagon yellow zebra
planet python shader kernel tensor token model server stream buffer matrix vector""".split()

SYSTEMS = ["You are a helpful assistant.", "You are the wgslm demo model.", "Be brief.", "Answer in short sentences.",
           "You are a friendly assistant.", "Be kind and polite.", "You are a chat model.", "Help the user.",
           "You are a helpful AI assistant.", "Answer the question of the user.", "You answer questions.",
           "You are a helpful assistant. Answer briefly.", "Be concise."]

# Forces a token boundary in training texts, and is not part of the text itself.
CUT = "\ue000"

# Emoji and accented words: each takes several byte tokens, so copying them
# exercises incomplete UTF-8 in a token stream.
UNICODE = """😀 🙂 🚀 🌍 🐱 🐶 🍎 🍌 🎉 ❤️ 👍 🔥 ⭐ 🌧️ 🎵 café naïve Zürich Łódź über señor ångström 東京 你好 привет""".split()

CONSONANTS = "b c d f g h j k l m n p r s t v w x z br cr dr fl gr kl pl sh st th tr".split()
VOWELS = "a e i o u a e i o ai ea oo ou".split()
ENDINGS = ["", "", "", "n", "r", "s", "l", "m", "t", "k", "nd", "x", "ck"]


def held_out(key: str) -> bool:
    """Whether a key belongs to the evaluation split (a tenth of all keys)."""
    return zlib.crc32(key.encode()) % 10 == 0


class Source:
    """Seeded draws restricted to one split ('train' or 'test')."""

    def __init__(self, rng: random.Random, split: str = "train", mix=None):
        self.rng = rng
        self.split = split
        self.mix = mix  # shares of the skills, a conversations.Mix

    def ok(self, key: str) -> bool:
        """Whether `key` may be used in this split."""
        return held_out(key) == (self.split == "test")

    def pick(self, items):
        """One item, any split."""
        return self.rng.choice(items)

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self.rng.random() < p

    def until(self, make):
        """First draw of `make() -> (key, value)` whose key is in this split."""
        while True:
            key, value = make()
            if self.ok(key):
                return value

    def syllables(self, low: int, high: int) -> str:
        """A made-up lower-case word of low..high syllables."""
        rng = self.rng
        parts = [rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.randint(low, high))]
        if rng.random() < 0.15:
            parts[0] = parts[0].lstrip("bcdfghjklmnprstvwxz") or parts[0]
        return "".join(parts) + rng.choice(ENDINGS)

    def _word(self, known, real: float, low: int, high: int, longest: int, title: bool) -> str:
        def make():
            listed = self.rng.random() < real
            if listed:
                word = self.rng.choice(known)
            elif self.rng.random() < 0.12:
                word = "".join(self.rng.choices("abcdefghijklmnopqrstuvwxyz", k=self.rng.randint(2, 8)))
            else:
                word = self.syllables(low, high)
            if len(word) > longest:
                return None, None
            # The last phase trains every listed word, so that common ones work; then only made-up ones are held out.
            if listed and self.mix.form >= 2:
                return (None, None) if self.split == "test" else ("", word)
            if title:
                word = word[0].upper() + word[1:]
            return "word:" + word, word

        while True:
            key, word = make()
            if key == "" or key is not None and self.ok(key):
                return word

    def name(self) -> str:
        """A person's name, real or made up."""
        return self._word(NAMES, 0.3, 1, 3, 12, True)

    def city(self) -> str:
        """A city, real or made up, sometimes of two words."""
        if self.chance(0.08):
            return self.pick(["New ", "San ", "Port ", "Saint ", "Los ", "El "]) + self.name()
        return self._word(CITIES, 0.4, 1, 4, 16, True)

    def word(self, longest: int = 9) -> str:
        """A lower-case word, real or made up."""
        return self._word(WORDS, 0.4, 1, 3, longest, False)

    def number(self, high: int) -> int:
        """0..high, with small numbers as likely as large ones."""
        return self.rng.randint(0, high if self.chance(0.7) else min(high, 20))

    def casual(self, text: str) -> str:
        """A prompt with the loose case, punctuation and padding people type."""
        rng, roll = self.rng, self.rng.random()
        if roll < 0.45:
            return text
        if roll < 0.55:
            text = text[0].lower() + text[1:]
        elif roll < 0.65:
            text = text.rstrip(".?!")
        elif roll < 0.75:
            text = (text[0].lower() + text[1:]).rstrip(".?!")
        elif roll < 0.83:
            text = rng.choice(["Please tell me: ", "Hey, ", "OK. ", "Question: ", "Now ", "And ", "Hi! ", "So, "]) + text
        elif roll < 0.90:
            text = text.rstrip(".?!") + rng.choice([", please.", " please", ", please?", " now", "??", " ?", "!"])
        elif roll < 0.95:
            text = rng.choice(["Please ", "please ", "Can you tell me ", "Tell me, ", "Do you know "]) + text[0].lower() + text[1:]
        return text.replace("What is", "What's") if rng.random() < 0.15 else text
