"""Skills from closed tables: days, months, colours, opposites, capitals, small talk."""

from words import Source

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon", "England": "London",
    "Ireland": "Dublin", "Scotland": "Edinburgh", "Austria": "Vienna", "Switzerland": "Bern", "Poland": "Warsaw", "Norway": "Oslo",
    "Sweden": "Stockholm", "Denmark": "Copenhagen", "Finland": "Helsinki", "Greece": "Athens", "Turkey": "Ankara",
    "Russia": "Moscow", "Hungary": "Budapest", "Belgium": "Brussels", "Iceland": "Reykjavik", "Egypt": "Cairo", "Kenya": "Nairobi",
    "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi", "Thailand": "Bangkok", "Canada": "Ottawa", "Mexico": "Mexico City",
    "Brazil": "Brasilia", "Argentina": "Buenos Aires", "Chile": "Santiago", "Peru": "Lima", "Cuba": "Havana", "Australia": "Canberra",
    "Iran": "Tehran", "Iraq": "Baghdad", "Ukraine": "Kyiv", "Croatia": "Zagreb", "Morocco": "Rabat",
}
OPPOSITES = """hot cold|big small|up down|left right|open closed|old young|fast slow|high low|light dark|happy sad|good bad|hard soft
wet dry|full empty|long short|loud quiet|rich poor|early late|strong weak|thick thin|near far|inside outside|true false|day night
black white|yes no|start stop|win lose|push pull|clean dirty|first last|sweet sour""".replace("\n", "|").split("|")
OPPOSITE = {a: b for pair in OPPOSITES for a, b in [pair.split(), pair.split()[::-1]]}
COLOURS = {
    "the sky": "blue", "grass": "green", "a banana": "yellow", "snow": "white", "coal": "black", "blood": "red", "the sun": "yellow",
    "a lemon": "yellow", "a tomato": "red", "the sea": "blue", "milk": "white", "chocolate": "brown", "an orange": "orange",
    "a carrot": "orange", "a leaf": "green", "the night": "black", "a strawberry": "red", "an elephant": "grey", "a frog": "green",
    "a fire engine": "red", "a flamingo": "pink", "a cherry": "red",
}
MIXES = {("blue", "yellow"): "green", ("red", "yellow"): "orange", ("red", "blue"): "purple", ("red", "white"): "pink",
         ("black", "white"): "grey"}
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()

IDENTITY = "I am the wgslm demo model, a tiny language model."
ABILITIES = ("I can remember your name, add and subtract, count, spell and reverse words, name days, months, colours, opposites "
             "and capitals, answer as JSON and call tools.")
HELP = "How can I help you?"
TALK = {
    f"Hello! I am the wgslm demo model. {HELP}": ["Hello", "Hi", "Hey", "Hello there", "Hi there", "Hello!", "Hi!", "Hey there!", "Hello, model", "Greetings"],
    f"Good morning! I am the wgslm demo model. {HELP}": ["Good morning", "Good morning!", "Morning!"],
    f"Good evening! I am the wgslm demo model. {HELP}": ["Good evening", "Good evening!", "Evening!"],
    IDENTITY: ["Who are you?", "What are you?", "Introduce yourself.", "Tell me about yourself.", "Are you a robot?", "What model are you?",
               "Which model are you?", "Are you a human?", "Who am I talking to?", "Say who you are.", "Are you an AI?", "Hello, who are you?",
               "Hi, who are you?"],
    "My name is wgslm demo model.": ["What is your name?", "What's your name?", "Do you have a name?", "Tell me your name.", "How are you called?"],
    ABILITIES: ["What can you do?", "Help", "How can you help me?", "What are your skills?", "What do you know?", "What can I ask you?", "List your skills."],
    "You are welcome!": ["Thanks", "Thank you", "Thanks!", "Thank you!", "Thank you very much.", "Thanks a lot!", "Great, thanks", "Cheers"],
    "Goodbye!": ["Bye", "Goodbye", "Bye!", "See you", "See you later", "Goodbye!", "Good night", "Bye bye"],
    f"I am fine, thank you. {HELP}": ["How are you?", "How are you doing?", "How do you do?", "Are you well?", "Hello, how are you?", "Hi, how are you?"],
    "I was trained from scratch for the wgslm server.": ["Who made you?", "Who trained you?", "Where do you come from?", "Who created you?", "How were you made?"],
    "Great!": ["OK", "Ok.", "Good", "Nice!", "Great", "Cool", "Very good.", "Well done!", "That is right."],
}


def fact(s: Source, tag: str, table, asks, answer, casual=True):
    """A question from `asks` about one entry; the pair's hash decides its split."""
    def make():
        key = s.pick(table)
        ask = s.pick(asks)
        return f"{tag}:{key}:{ask}", (key, ask)
    key, ask = s.until(make)
    text = ask.format(*key) if isinstance(key, tuple) else ask.format(key)
    reply = answer(key)
    return (s.casual(text) if casual else text), reply, reply


def talk(s: Source):
    """Greetings, identity, thanks, goodbye."""
    def make():
        reply = s.pick(list(TALK))
        ask = s.pick(TALK[reply])
        ask = s.casual(ask) if s.chance(0.7) else ask.lower()
        return "talk:" + ask, (ask, reply)
    ask, reply = s.until(make)
    return ask, reply, reply


def capitals(s: Source):
    """What is the capital of France?"""
    if s.chance(0.25):
        asks = ["Which country has the capital {}?", "{} is the capital of which country?", "What country is {} the capital of?"]
        back = {v: k for k, v in CAPITALS.items()}
        return fact(s, "country", list(back), asks, lambda c: f"{c} is the capital of {back[c]}.", False)
    asks = ["What is the capital of {}?", "What is the capital city of {}?", "Name the capital of {}.", "Which city is the capital of {}?",
            "Capital of {}?", "Tell me the capital of {}.", "The capital of {}?", "What is {}'s capital?"]
    return fact(s, "capital", list(CAPITALS), asks, lambda c: f"The capital of {c} is {CAPITALS[c]}.")


def opposites(s: Source):
    """What is the opposite of hot?"""
    asks = ["What is the opposite of {}?", "Opposite of {}?", "Name the opposite of {}.", "Give me the opposite of {}.",
            "What is the opposite of the word {}?", "Which word is the opposite of {}?", "What's the opposite of {}?"]
    return fact(s, "opposite", list(OPPOSITE), asks, lambda w: f"The opposite of {w} is {OPPOSITE[w]}.")


def colours(s: Source):
    """What colour is the sky? And mixing paints."""
    cap = lambda t: t[0].upper() + t[1:]
    if s.chance(0.4):
        table = [p for a, b in MIXES for p in ((a, b), (b, a))]
        asks = ["What do you get when you mix {} and {}?", "Mix {} and {}.", "What colour do {} and {} make?", "What color do {} and {} make?",
                "What colour do you get from {} and {}?", "What is {} mixed with {}?", "Which colour is {} and {} mixed?"]
        return fact(s, "mix", table, asks, lambda p: f"{cap(p[0])} and {p[1]} make {MIXES.get(p) or MIXES[p[::-1]]}.")
    asks = ["What colour is {}?", "What color is {}?", "Which colour is {}?", "Tell me the colour of {}.", "What is the colour of {}?",
            "What is the color of {}?", "Which color does {} have?", "What colour does {} have?"]
    return fact(s, "colour", list(COLOURS), asks, lambda t: f"{cap(t)} is {COLOURS[t]}.")


def order(s: Source, unit: str, side: str, given: str, found: str) -> str:
    """The neighbour of a day or month; the long form restates the question, which is easier to learn."""
    return f"{found} comes {side} {given}." if s.mix.form == 0 else f"The {unit} {side} {given} is {found}."


def days(s: Source):
    """Order of the days of the week."""
    # The last questions are too few to have held-out ones.
    roll = s.rng.random() * (0.8 if s.split == "test" else 1)
    at = DAYS.index
    if roll < 0.4:
        asks = ["What day comes after {}?", "Which day comes after {}?", "What day is after {}?", "What is the day after {}?", "Today is {}. What day is tomorrow?",
                "Which day follows {}?", "If today is {}, what day is tomorrow?", "What is the next day after {}?"]
        return fact(s, "day+", DAYS, asks, lambda d: order(s, "day", "after", d, DAYS[(at(d) + 1) % 7]))
    if roll < 0.8:
        asks = ["What day comes before {}?", "Which day comes before {}?", "What day is before {}?", "What is the day before {}?", "Today is {}. What day was yesterday?",
                "If today is {}, what day was yesterday?", "Which day is right before {}?"]
        return fact(s, "day-", DAYS, asks, lambda d: order(s, "day", "before", d, DAYS[at(d) - 1]))
    asks = ["How many {} in a week?", "How many {} are in a week?", "How many {} does a week have?", "How many {} are there in a week?"]
    if roll < 0.9:
        return fact(s, "week", ["days"], asks, lambda d: "A week has 7 days.")
    asks = ["List the {} of the week.", "Name the {} of the week.", "What are the {} of the week?", "Name all {} of the week.", "Tell me the {} of the week."]
    return fact(s, "days", ["days", "seven days"], asks, lambda d: ", ".join(DAYS) + ".")


def months(s: Source):
    """Order, number and length of the months."""
    roll = s.rng.random() * (0.92 if s.split == "test" else 1)
    at = MONTHS.index
    if roll < 0.25:
        asks = ["What month comes after {}?", "Which month comes after {}?", "What month is after {}?", "What is the month after {}?", "Which month follows {}?",
                "What is the next month after {}?"]
        return fact(s, "month+", MONTHS, asks, lambda m: order(s, "month", "after", m, MONTHS[(at(m) + 1) % 12]))
    if roll < 0.5:
        asks = ["What month comes before {}?", "Which month comes before {}?", "What month is before {}?", "What is the month before {}?", "Which month is right before {}?"]
        return fact(s, "month-", MONTHS, asks, lambda m: order(s, "month", "before", m, MONTHS[at(m) - 1]))
    if roll < 0.7:
        asks = ["How many days does {} have?", "How many days are in {}?", "How many days are there in {}?", "How long is {}?"]
        return fact(s, "mdays", MONTHS, asks, lambda m: f"{m} has {MONTH_DAYS[at(m)]} days.")
    if roll < 0.8:
        asks = ["Which number is the month {}?", "What number is the month of {}?", "What is the number of the month {}?", "Which month of the year is {}?"]
        return fact(s, "mnum", MONTHS, asks, lambda m: f"{m} is month {at(m) + 1} of the year.")
    if roll < 0.92:
        asks = ["What is the {} month of the year?", "Which month is the {} month?", "What is the {} month?", "Name the {} month of the year."]
        return fact(s, "mord", ORDINALS, asks, lambda o: f"The {o} month is {MONTHS[ORDINALS.index(o)]}.")
    if roll < 0.96:
        asks = ["How many {} in a year?", "How many {} are in a year?", "How many {} does a year have?", "How many {} are there in a year?"]
        return fact(s, "year", ["months"], asks, lambda d: "A year has 12 months.")
    asks = ["List the {} of the year.", "Name the {} of the year.", "What are the {} of the year?", "Name all {} of the year.", "Tell me the {} of the year."]
    return fact(s, "months", ["months", "twelve months"], asks, lambda d: ", ".join(MONTHS) + ".")


def unknown(s: Source):
    """Questions outside the closed set, to be declined."""
    x = s.pick([s.name, s.city, s.word])()
    ask = s.pick(["Who is {x}?", "Where is {x}?", "Who wrote {x}?", "What is {x}?", "Tell me about {x}.", "How tall is {x}?", "Why is {x} so {w}?",
                  "When was {x} born?", "Explain {x}.", "What do you think about {x}?", "Who invented the {w}?", "What is the meaning of {x}?",
                  "How old is {x}?", "What is the capital of {x}?", "Write a poem about {x}.", "Translate {x} into French.", "Who won the {w} cup?",
                  "How do I cook {x}?", "What is the population of {x}?", "What is the weather in {x}?", "What time is it in {x}?", "What time is it?",
                  "What is the weather like?", "What is the price of {x}?", "Do you like {x}?", "Is {x} good?", "How do I fix my {w}?"])
    return s.casual(ask.format(x=x, w=s.word())), "I do not know that.", "I do not know that."
