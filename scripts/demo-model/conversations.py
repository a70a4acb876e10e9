"""Whole conversations: skills mixed over several turns, and their test twins.

Every conversation is an `Example`; its last message is the assistant turn that
evaluation grades. Training learns all assistant turns.
"""

import random
from dataclasses import dataclass

import skills_facts as facts
import skills_json
import skills_numbers as numbers
import skills_tools as tool_skills
import skills_words as letters
from words import SYSTEMS, Source


@dataclass
class Example:
    """A conversation whose last message is the graded assistant turn."""

    skill: str
    messages: list[dict]
    key: str  # substring the graded turn must contain
    tools: list[dict] | None = None


# skill -> generator of (prompt, answer, key)
PLAIN = {
    "talk": facts.talk, "add": numbers.add, "subtract": numbers.subtract, "count": numbers.count, "compare": numbers.compare,
    "decline sums": numbers.too_hard, "spell": letters.spell, "letters": letters.letters, "first/last letter": letters.first_letter,
    "reverse": letters.reverse, "repeat": letters.repeat, "story": letters.story, "capitals": facts.capitals,
    "opposites": facts.opposites, "colours": facts.colours, "days": facts.days, "months": facts.months, "unknown": facts.unknown,
    "json": skills_json.as_json,
}


@dataclass(frozen=True)
class Mix:
    """Shares of a phase of training."""

    kinds: tuple[float, ...]  # plain, memory, nothing told, renamed, with tools
    plain: tuple[float, ...]  # in the order of PLAIN
    form: int = 0  # of the answers: 1 restates days, months and numbers compared; 2 also differences


# Calling tools is learnt early and its conversations are the longest, so later phases spend less on them.
MIXES = (
    Mix((50, 14, 2, 2, 32), (7, 15, 17, 6, 3, 2, 5, 4, 2, 9, 5, 0.7, 6, 5, 5, 4, 6, 4, 11)),
    Mix((66, 12, 1.5, 1.5, 19), (7, 14, 18, 7, 4, 2, 8, 6, 3, 12, 5, 0.5, 8, 6, 5, 5, 9, 4, 10)),
    Mix((68, 10, 1.5, 1.5, 19), (7, 12, 16, 9, 4, 2, 8, 5, 3, 10, 7, 1, 8, 4, 4, 7, 10, 4, 14), form=1),
    Mix((70, 9, 1.5, 1.5, 18), (8, 10, 18, 12, 4, 2, 9, 7, 3, 10, 9, 1, 8, 3, 3, 4, 7, 5, 16), form=2),
)
MEMORY = {  # kind: (filler, tell, acknowledge, ask, recall, how one says it is unknown)
    "name": ("name", ["My name is {}.", "My name is {}.", "I am {}.", "Hello, my name is {}.", "Hi, I am {}.", "I'm {}.", "Call me {}.", "Hi! My name is {}.", "my name is {}"],
             "Nice to meet you, {}!",
             ["What is my name?", "What is my name?", "Who am I?", "What's my name?", "Do you remember my name?", "Do you know my name?", "Tell me my name.", "Say my name.",
              "How am I called?", "Can you tell me my name?", "Do you still know my name?"],
             "Your name is {}.", "I do not know your name yet."),
    "city": ("city", ["I live in {}.", "My home is in {}.", "I am from {}.", "I come from {}."], "{} is a nice place.",
             ["Where do I live?", "Where am I from?", "What city do I live in?", "Where is my home?", "In which city do I live?"], "You live in {}.", "I do not know where you live."),
    "word": ("word", ["Remember the word {}.", "The secret word is {}.", "Please remember the word {}.", "The password is {}.", "Remember this word: {}"],
             "I will remember {}.",
             ["What is the word?", "What was the word?", "What is the secret word?", "Which word did I tell you?", "What word did I ask you to remember?", "What is the password?"],
             "The word is {}.", "You did not tell me a word."),
    "number": ("number", ["Remember the number {}.", "The secret number is {}.", "Please remember the number {}.", "My number is {}.", "The code is {}."],
               "I will remember {}.",
               ["What is the number?", "What was the number?", "What is the secret number?", "Which number did I tell you?", "What number did I ask you to remember?",
                "What is my number?", "What is the code?"],
               "The number is {}.", "You did not tell me a number."),
    "age": ("age", ["I am {} years old.", "My age is {}.", "I'm {} years old."], "{} is a good age.", ["How old am I?", "What is my age?", "What's my age?"],
            "You are {} years old.", "I do not know how old you are."),
    "pet": ("name", ["My dog is called {}.", "My cat is called {}.", "I have a dog called {}.", "My pet is called {}."], "{} is a nice name for a pet.",
            ["What is my pet called?", "What is the name of my pet?", "How is my pet called?"], "Your pet is called {}.", "I do not know your pet."),
}


def say(role: str, content: str) -> dict:
    """One message."""
    return {"role": role, "content": content}


def plain_turns(s: Source, n: int) -> list[dict]:
    """n turns of plain skills drawn by their shares."""
    out = []
    for name in s.rng.choices(list(PLAIN), s.mix.plain, k=n):
        ask, answer, _ = PLAIN[name](s)
        out += [say("user", ask), say("assistant", answer)]
    return out


def system(s: Source, p: float = 0.3) -> list[dict]:
    """A neutral system message with probability p."""
    return [say("system", s.pick(SYSTEMS))] if s.chance(p) else []


def plain(s: Source, lead: Source, name: str, before: int) -> Example:
    """`before` lead-in turns, then the skill `name`."""
    ask, answer, key = PLAIN[name](s)
    return Example(name, [*system(s), *plain_turns(lead, before), say("user", ask), say("assistant", answer)], key)


def filler(s: Source, kind: str) -> str:
    """A value to remember."""
    return {"name": s.name, "city": s.city, "word": s.word, "number": lambda: str(s.rng.randint(0, s.pick([99, 999, 9999, 99999]))),
            "age": lambda: str(s.rng.randint(2, 99))}[kind]()


def memory(s: Source, lead: Source, turns: int) -> Example:
    """One to three facts told, other turns between, then asked back."""
    chosen = s.rng.sample(["name"] * 5 + list(MEMORY), s.rng.choices([1, 2, 3], [6, 3, 1])[0])
    messages, values, told = [], {}, list(dict.fromkeys(chosen))
    in_system = s.chance(0.1)
    if in_system:
        values["name"] = s.name()
        text = s.pick(["The name of the user is {}.", "The user is called {}.", "The user's name is {}."]).format(values["name"])
        messages.append(say("system", s.pick(["", "", s.pick(SYSTEMS) + " "]) + text))
        told = [k for k in told if k != "name"]
    else:
        messages += system(s)
    for kind in told:
        fill, tell, ack, *_ = MEMORY[kind]
        values[kind] = filler(s, fill)
        text, reply = s.pick(tell).format(values[kind]), ack.format(values[kind])
        if kind == "name" and s.chance(0.15):
            later = s.pick(MEMORY[kind][3])
            text, reply = f"{text} {later}", MEMORY[kind][4].format(values[kind])
        messages += [say("user", text), say("assistant", reply)]
        if s.chance(0.3):
            messages += plain_turns(lead, 1)
    messages += plain_turns(lead, turns)
    asked = s.rng.sample(list(values), len(values)) if s.chance(0.7) else [s.pick(list(values))]
    unknown = [k for k in MEMORY if k not in values and not (k == "name" and in_system)]
    if s.chance(0.2) and unknown:
        kind = s.pick(unknown)
        messages += [say("user", s.pick(MEMORY[kind][3])), say("assistant", MEMORY[kind][5])]
    for kind in asked:
        key = MEMORY[kind][4].format(values[kind])
        messages += [say("user", s.pick(MEMORY[kind][3])), say("assistant", key)]
    return Example("recall", messages, key)


def nothing_told(s: Source) -> Example:
    """Asked for a fact nobody told."""
    kind = s.pick(["name", "name", *MEMORY])
    return Example("recall", [*system(s), *plain_turns(s, s.rng.randint(0, 2)), say("user", s.pick(MEMORY[kind][3])), say("assistant", MEMORY[kind][5])], MEMORY[kind][5])


def renamed(s: Source, lead: Source) -> Example:
    """A system turn that gives the assistant another name."""
    name = s.name()
    text = s.pick(["Your name is {}.", "You are {}.", "You are called {}.", "You are {}, a helpful assistant.", "Your name is {}. Be brief."]).format(name)
    ask, answer = s.pick([("What is your name?", "My name is {}."), ("What's your name?", "My name is {}."), ("Tell me your name.", "My name is {}."),
                          ("Who are you?", "I am {}."), ("What are you?", "I am {}."), ("Introduce yourself.", "I am {}.")])
    answer = answer.format(name)
    return Example("system name", [say("system", text), *plain_turns(lead, s.pick([0, 0, 1])), say("user", ask), say("assistant", answer)], answer)


def tool_turn(s: Source, box: list, both: bool) -> list[dict]:
    """A question that needs a tool, the call, and (if `both`) result and answer."""
    tool = s.pick(box)
    name = tool.spec["function"]["name"]
    if tool.pair and s.chance(0.12):
        ask, calls = tool.pair()
    else:
        ask, args = tool.ask()
        calls = [args]
    messages = [say("user", ask), {"role": "assistant", "content": "", "tool_calls": [{"name": name, "arguments": a} for a in calls]}]
    if both:
        done = [tool.answer(a) for a in calls]
        if s.chance(0.06):
            why = " ".join(s.word() for _ in range(s.rng.randint(1, 3)))
            body = s.pick(['{"error": "%s"}', "Error: %s", "error: %s"]) % why
            done = [(body, f"The tool failed: {why}.")] * len(calls)
            answer = done[0][1]
        else:
            answer = " ".join(d[1] for d in done)
        messages += [say("tool", d[0]) for d in done]
        messages.append(say("assistant", answer))
    return messages


def with_tools(s: Source, lead: Source, part: str, turns: int) -> Example:
    """A conversation with tools; `part` says what the last turn shows: call, answer or plain."""
    box = tool_skills.toolbox(s)
    has_calc = any(t.kind == "calculator" for t in box)
    messages = system(s, 0.35)
    for _ in range(turns):
        messages += tool_turn(lead, box, True) if s.chance(0.75) else untooled(lead, has_calc, box)[0]
    if part == "plain":
        more, key = untooled(s, has_calc, box)
    else:
        more = tool_turn(s, box, part == "answer")
        key = more[-1]["content"]
    return Example(f"tool {part}" if part != "plain" else "tools given, not needed", messages + more, key, [t.spec for t in box])


def untooled(s: Source, has_calc: bool, box: list) -> tuple[list[dict], str]:
    """A turn that needs none of the tools."""
    names = ["talk", "talk", "capitals", "opposites", "colours", "spell", "days", "months", "reverse", "repeat", "count", "json"]
    names += [] if has_calc else ["add", "subtract", "add", "subtract"]
    ask, answer, key = PLAIN[s.pick(names)](s)
    return [say("user", ask), say("assistant", answer)], key


def training(rng: random.Random, phase: int = 0) -> Example:
    """One training conversation of a phase of MIXES."""
    s = Source(rng, mix=MIXES[phase])
    kind = rng.choices(range(5), s.mix.kinds)[0]
    long = rng.random() < 0.012
    if kind == 0:
        name = rng.choices(list(PLAIN), s.mix.plain)[0]
        return plain(s, s, name, rng.randint(10, 25) if long else rng.choices([0, 1, 2, 3, 4, 6], [24, 22, 20, 15, 12, 7])[0])
    if kind == 1:
        return memory(s, s, rng.randint(10, 25) if long else rng.choices([0, 1, 2, 3, 5], [30, 25, 20, 15, 10])[0])
    if kind == 2:
        return nothing_told(s)
    if kind == 3:
        return renamed(s, s)
    part = rng.choices(["call", "answer", "plain"], [10, 70, 20])[0]
    return with_tools(s, s, part, rng.choices([0, 1, 2, 3], [25, 35, 30, 10])[0])


SKILLS = [*PLAIN, "recall", "system name", "tool call", "tool answer", "tools given, not needed"]


def testing(rng: random.Random, skill: str) -> Example:
    """One held-out conversation whose last turn shows `skill`."""
    s, lead = Source(rng, "test", MIXES[-1]), Source(rng, mix=MIXES[-1])
    before = rng.choices([0, 1, 2], [60, 25, 15])[0]
    if skill == "recall":
        return memory(s, lead, rng.randint(0, 4))
    if skill == "system name":
        return renamed(s, lead)
    if skill.startswith("tool"):
        return with_tools(s, s, {"tool call": "call", "tool answer": "answer"}.get(skill, "plain"), rng.choices([0, 1, 2], [60, 30, 10])[0])
    return plain(s, lead, skill, before)
