"""Answers as JSON: the values named in a sentence, under the keys asked for."""

import json

from skills_facts import CAPITALS, COLOURS, OPPOSITE
from words import Source

ITEMS = "apple lamp book chair phone pen cup bag hat shirt coat table bike car ticket bottle radio clock".split()
HUES = "red blue green yellow black white brown pink orange purple grey".split()
JOBS = "doctor teacher baker farmer pilot nurse painter driver singer writer cook engineer student".split()


def person(s: Source):
    """A person with up to three facts: ({key: value}, sentence)."""
    name = s.name()
    facts = {"age": s.rng.randint(1, 99), "city": s.city(), "job": s.pick(JOBS), "hobby": s.word(), "country": s.pick(list(CAPITALS)),
             "color": s.pick(HUES)}
    says = {"age": "is {} years old", "city": "lives in {}", "job": "is a {}", "hobby": "likes {}", "country": "comes from {}",
            "color": "likes the color {}"}
    keys = s.rng.sample(["age", "age", "city", "city", "job", "hobby", "country", "color"], s.rng.randint(1, 3))
    keys = list(dict.fromkeys(keys))
    parts = [says[k].format(facts[k]) for k in keys]
    if keys[0] == "age" and s.chance(0.3):
        parts[0] = s.pick(["is {}", "is aged {}"]).format(facts["age"])
    joined = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return {"name": name, **{k: facts[k] for k in keys}}, f"{name} {joined}."


def thing(s: Source):
    """An item with a price, colour or count."""
    item, hue, n = s.pick(ITEMS) if s.chance(0.5) else s.word(), s.pick(HUES), s.rng.randint(1, 99)
    roll = s.rng.random()
    if roll < 0.35:
        return {"item": item, "price": n}, f"The {item} costs {n} {s.pick(['dollars', 'euros'])}."
    if roll < 0.6:
        return {"item": item, "color": hue}, f"The {item} is {hue}."
    if roll < 0.8:
        return {"item": item, "color": hue, "price": n}, f"The {hue} {item} costs {n} dollars."
    return {"item": item, "count": n}, f"There are {n} of the {item}."


def keys_text(s: Source, keys: list[str]) -> str:
    """`name and age`, `name, age and city`, quoted or not."""
    keys = [f'"{k}"' for k in keys] if s.chance(0.2) else keys
    if len(keys) == 1:
        return keys[0]
    return s.pick([", ".join(keys[:-1]) + " and " + keys[-1]] * 3 + [", ".join(keys)])


def extract(s: Source):
    """Answer as JSON with keys name and age: Anna is 12 years old."""
    value, sentence = person(s) if s.chance(0.7) else thing(s)
    if s.chance(0.25):
        order = list(value)
        s.rng.shuffle(order)
        value = {k: value[k] for k in order}
    elif s.chance(0.12) and len(value) > 2:
        value.pop(list(value)[-1])
    keys = list(value)
    word = "key" if len(keys) == 1 else "keys"
    ask = s.pick(["Answer as JSON with {w} {k}: {s}", "Answer as JSON with {w} {k}: {s}", "Answer in JSON with the {w} {k}: {s}",
                  "Give me JSON with {w} {k}: {s}", "{s} Answer as JSON with {w} {k}.", "Return JSON with {w} {k}: {s}",
                  "Reply as JSON with {w} {k}. {s}", "Extract {k} as JSON: {s}", "Write as JSON with {w} {k}: {s}",
                  "Turn this into JSON with {w} {k}: {s}", "{s} Return a JSON object with {w} {k}.", "JSON with {w} {k}: {s}"])
    answer = json.dumps(value, ensure_ascii=False)
    return ask.format(w=word, k=keys_text(s, keys), s=sentence), answer, answer


def listing(s: Source):
    """A list of words or numbers as a JSON array."""
    n = s.rng.randint(2, 5)
    kind = s.rng.random()
    items = [s.rng.randint(0, 99) for _ in range(n)] if kind < 0.3 else [s.word() if kind < 0.7 else s.name() for _ in range(n)]
    text = ", ".join(map(str, items))
    ask = s.pick(["Answer as a JSON list: {}", "Write as a JSON array: {}", "Give me a JSON list of: {}", "Turn this into a JSON list: {}",
                  "Answer as a JSON array: {}"])
    answer = json.dumps(items, ensure_ascii=False)
    return ask.format(text), answer, answer


def lookup(s: Source):
    """A known fact under one key."""
    kinds = {"capital": (CAPITALS, ["What is the capital of {}?"]), "opposite": (OPPOSITE, ["What is the opposite of {}?"]),
             "color": (COLOURS, ["What color is {}?", "What colour is {}?"])}
    def make():
        kind = s.pick(list(kinds))
        table, asks = kinds[kind]
        x = s.pick(list(table))
        return f"json:{kind}:{x}", (kind, x, s.pick(asks).format(x), table[x])
    kind, x, question, value = s.until(make)
    key = s.pick([kind, "answer"])
    ask = s.pick(["Answer as JSON with key {k}: {q}", "{q} Answer as JSON with key {k}.", "Answer in JSON with the key {k}: {q}"])
    answer = json.dumps({key: value})
    return ask.format(k=key, q=question), answer, answer


def as_json(s: Source):
    """Any of the JSON tasks."""
    roll = s.rng.random()
    if s.mix.form == 0:
        return extract(s) if roll < 0.75 else listing(s) if roll < 0.88 else lookup(s)
    return extract(s) if roll < 0.65 else listing(s) if roll < 0.78 else lookup(s)
