"""Skills with letters and copying: spelling, reversing, repeating, telling."""

from words import CUT, UNICODE, Source


def spelled(word: str) -> str:
    """l-a-m-p for lamp."""
    return "-".join(word)


def quote(s: Source, word: str) -> str:
    """The word as prompts write it: bare or quoted."""
    return s.pick(["{}", "{}", "{}", '"{}"', "'{}'"]).format(word)


def spell(s: Source):
    """Spell the word lamp."""
    word = s.word()
    ask = s.pick(["Spell the word {}.", "Spell {}.", "How do you spell {}?", "Can you spell {}?", "Please spell {}.",
                  "Spell the word {}, letter by letter.", "Spell out {}."]).format(quote(s, word))
    return ask, f"{word} is spelled {spelled(word)}.", spelled(word) + "."


def letters(s: Source):
    """How many letters does lamp have?"""
    word = s.word()
    ask = s.pick(["How many letters does {} have?", "How many letters are in {}?", "Count the letters in {}.",
                  "How many letters are in the word {}?", "How long is the word {}?"]).format(quote(s, word))
    if s.mix.form == 0:
        return ask, f"{spelled(word)}: {word} has {len(word)} letters.", f"has {len(word)} letters."
    key = f"{word} has {len(word)} letter{'s' if len(word) > 1 else ''}."
    return ask, ", ".join(f"{c} {i}" for i, c in enumerate(word, 1)) + ": " + key, key


def reverse(s: Source):
    """Reverse the word lamp."""
    word = s.word()
    back = word[::-1]
    ask = s.pick(["Reverse the word {}.", "Reverse {}.", "Write {} backwards.", "What is {} backwards?", "Spell {} backwards.",
                  "What is {} reversed?", "Please reverse {}.", "Can you reverse the word {}?", "Reverse the letters of {}."])
    # Letter by letter also as tokens: the merges of a reversed word are arbitrary, so joining them is needlessly hard.
    joined = back if s.mix.form == 0 else CUT + CUT.join(back)
    return ask.format(quote(s, word)), f"{spelled(word)} reversed is {spelled(back)}: {joined}", f": {back}"


def first_letter(s: Source):
    """What is the first letter of lamp?"""
    word = s.word()
    which = s.pick(["first", "last"])
    letter = word[0] if which == "first" else word[-1]
    ask = s.pick(["What is the {w} letter of {}?", "Which letter is the {w} letter of the word {}?", "What is the {w} letter in {}?"])
    answer = f"{spelled(word)}: the {which} letter of {word} is {letter}."
    return ask.format(quote(s, word), w=which), answer, f"is {letter}."


def repeat(s: Source):
    """Repeat after me: one to six words, numbers, emoji."""
    def item():
        roll = s.rng.random()
        if roll < 0.6:
            return s.word()
        if roll < 0.72:
            return s.name()
        if roll < 0.85:
            return str(s.rng.randint(0, 9999))
        return s.pick(UNICODE)

    text = s.pick([" ", " ", " ", ", "]).join(item() for _ in range(s.rng.randint(1, 6)))
    ask = s.pick(["Repeat after me: {}", "Repeat: {}", "Say: {}", "Say {}", "Repeat this: {}", "Echo: {}", "Repeat the words: {}",
                  "Please repeat: {}", "Write exactly this: {}"])
    return ask.format(text), text, text


def story(s: Source):
    """A fixed tale around a given animal: a long answer for streaming tests."""
    word = s.word() if s.chance(0.7) else s.until(lambda: (lambda w: ("word:" + w, w))(s.pick(
        "fox cat dog bear frog mouse lion robot dragon rabbit horse bird king".split())))
    ask = s.pick(["Tell me a story about a {}.", "Tell me a short story about a {}.", "Write a story about a {}.",
                  "Write a short story about a {}.", "Tell a story about a {}."])
    answer = (f"Once upon a time there was a little {word}. The {word} lived in a green forest near a river. Every morning the "
              f"{word} went for a walk. One day the {word} met a small blue bird. The bird was sad and alone. \"Come with me,\" "
              f"said the {word}. They walked and sang all day. In the evening they were friends. The end.")
    return s.casual(ask.format(word)), answer, answer
