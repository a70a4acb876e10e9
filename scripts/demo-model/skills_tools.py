"""Tool calling: random schemas, questions that need them, calls and answers.

Names of tools and parameters, descriptions and key order vary, so that the
model copies them from the system turn instead of learning one schema.
"""

from dataclasses import dataclass, field
from typing import Callable

from render import tojson
from words import Source


@dataclass
class Tool:
    """One tool of a conversation and how to ask for it."""

    spec: dict  # the JSON schema the template prints
    ask: Callable[[], tuple[str, dict]]  # -> (question, arguments)
    answer: Callable[[dict], tuple[str, str]]  # arguments -> (tool result, sentence)
    kind: str = ""
    pair: Callable[[], tuple[str, list[dict]]] | None = None  # question that needs two calls
    tags: set = field(default_factory=set)


def schema(s: Source, name: str, about: str, params: dict[str, dict], required: list[str]) -> dict:
    """An OpenAI-style function tool; descriptions are sometimes left out."""
    function = {"name": name}
    if about and s.chance(0.85):
        function["description"] = about
    body = {"type": "object", "properties": params}
    if required and s.chance(0.9):
        body["required"] = required
    if s.chance(0.08):
        body["additionalProperties"] = False
    function["parameters"] = body
    return {"type": "function", "function": function}


def param(s: Source, kind: str, about: str = "") -> dict:
    """One parameter's schema."""
    out = {"type": kind}
    if about and s.chance(0.4):
        out["description"] = about
    return out


def strange(s: Source, name: str) -> str:
    """The given identifier, or (rarely) a made-up one: forces copying."""
    if s.chance(0.12):
        return s.word() + s.pick(["", "_" + s.word(), "_tool"])
    return name


def weather(s: Source) -> Tool:
    """get_weather(city[, unit])"""
    name = strange(s, s.pick(["get_weather", "get_weather", "get_weather", "weather", "get_current_weather", "current_weather", "lookup_weather", "getWeather"]))
    key = strange(s, s.pick(["city", "city", "city", "location", "location", "place", "town"]))
    about = s.pick(["Get the weather for a city.", "Get the weather in a city", "Get the current weather", "Current weather of a place.",
                    "Get the current weather in a given location", "Get weather", "Weather for a location.", "Look up the weather."])
    params = {key: param(s, "string", s.pick(["The city", "City name", "The name of the city", "The city and state, e.g. San Francisco, CA", "e.g. Paris"]))}
    unit = s.chance(0.3)
    if unit:
        params["unit"] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    spec = schema(s, name, about, params, [key])

    def ask():
        city = s.city()
        text = s.pick(["What is the weather in {}?", "What is the weather in {}?", "What is the weather like in {}?", "How is the weather in {}?", "Weather in {}?",
                       "Tell me the weather in {}.", "Is it raining in {}?", "Is it warm in {}?", "What is the temperature in {}?", "Get the weather for {}.",
                       "How warm is it in {}?", "What's the weather in {}?", "What's the weather like in {} today?", "What is the weather in {} today?",
                       "Check the weather in {}.", "I am going to {}. What is the weather there?", "Do I need an umbrella in {}?", "weather in {}",
                       "Please get the weather in {}.", "What is the current weather in {}?", "Use the tool to get the weather in {}."]).format(city)
        args = {key: city}
        if unit and s.chance(0.3):
            args["unit"] = s.pick(["celsius", "fahrenheit"])
            text = text.rstrip("?. ") + f" in {args['unit']}?"
        return text, args

    def pair():
        a, b = s.city(), s.city()
        return s.pick(["What is the weather in {} and in {}?", "What is the weather in {} and {}?", "Compare the weather in {} and {}.",
                       "How is the weather in {} and in {}?"]).format(a, b), [{key: a}, {key: b}]

    def answer(args):
        city, t = args[key], s.rng.randint(-15, 39)
        sky = s.pick(["sunny", "cloudy", "rainy", "windy", "snowy", "foggy", "clear", "stormy", "warm", "cold", "partly cloudy", "light rain"])
        head = {s.pick(["city", "location", key]): city} if s.chance(0.4) else {}
        temp = s.pick(["temperature", "temperature", "temp", "temp_c", "temperature_c"])
        cond = s.pick(["condition", "condition", "conditions", "weather", "sky", "description", "forecast"])
        tail = {"unit": s.pick(["celsius", "fahrenheit", "C", "F"])} if s.chance(0.3) else {}
        roll = s.rng.random()
        if roll < 0.4:
            body = {temp: t, **tail, cond: sky} if s.chance(0.5) else {temp: t, cond: sky, **tail}
            if s.chance(0.3):
                body = {cond: sky, temp: t, **tail}
            return tojson({**head, **body}), f"It is {t} degrees and {sky} in {city}."
        if roll < 0.6:
            return tojson({**head, temp: t, **tail}), f"It is {t} degrees in {city}."
        if roll < 0.75:
            return tojson({**head, cond: sky}), f"It is {sky} in {city}."
        text = s.pick([f"{t} degrees and {sky}", f"{sky}, {t} degrees", f"{t} C, {sky}", sky, f"{t} C", f"{sky} and {t} C", f"{t}°C, {sky}", f"{t}°C", f"{sky}, {t}°C"])
        return text, f"The weather in {city}: {text}."

    return Tool(spec, ask, answer, "weather", pair)


def clock(s: Source) -> Tool:
    """get_time(city), or get_time() without parameters"""
    name = strange(s, s.pick(["get_time", "get_time", "get_time", "time", "get_current_time", "current_time", "clock", "what_time", "getTime"]))
    bare = s.chance(0.2)
    key = strange(s, s.pick(["city", "city", "location", "place", "timezone"]))
    about = s.pick(["Get the time in a city.", "Get the current time", "The time in a city.", "Get the local time", "Current time of a place.", "Get the time"])
    params = {} if bare else {key: param(s, "string", s.pick(["The city", "City name", "The time zone", "Where"]))}
    spec = schema(s, name, about, params, [] if bare else [key])

    def ask():
        if bare:
            return s.casual(s.pick(["What time is it?", "What is the time?", "Tell me the time.", "What time is it now?", "What is the current time?"])), {}
        city = s.city()
        return s.pick(["What time is it in {}?", "What time is it in {}?", "What is the time in {}?", "Tell me the time in {}.", "Time in {}?", "What is the local time in {}?",
                       "What is the current time in {}?", "Get the time in {}.", "What's the time in {}?", "time in {}", "What time is it now in {}?",
                       "Do you know the time in {}?", "How late is it in {}?", "Please tell me the time in {}."]).format(city), {key: city}

    def pair():
        a, b = s.city(), s.city()
        return s.pick(["What time is it in {} and in {}?", "What time is it in {} and {}?", "What is the time in {} and in {}?"]).format(a, b), [{key: a}, {key: b}]

    def answer(args):
        h, m = s.rng.randint(0, 23), s.rng.randint(0, 59)
        t = s.pick([f"{h:02}:{m:02}", f"{h:02}:{m:02}", f"{h:02}:{m:02}", f"{h:02}:{m:02}:{s.rng.randint(0, 59):02}", f"{h % 12 + 1}:{m:02} {s.pick(['am', 'pm', 'AM', 'PM'])}"])
        where = f" in {args[key]}" if args else ""
        head = {s.pick(["city", "location"]): args[key]} if args and s.chance(0.35) else {}
        tail = {s.pick(["timezone", "zone"]): s.pick(["CET", "UTC", "GMT", "EST", "JST", "PST"])} if s.chance(0.25) else {}
        if s.chance(0.6):
            return tojson({**head, s.pick(["time", "time", "time", "local_time", "current_time"]): t, **tail}), f"It is {t}{where}."
        return t, f"It is {t}{where}."

    return Tool(spec, ask, answer, "clock", None if bare else pair)


WORDS_FOR = {"+": ["plus"], "-": ["minus"], "*": ["times", "multiplied by"], "/": ["divided by"]}


def calculator(s: Source) -> Tool:
    """calculator(expression)"""
    name = strange(s, s.pick(["calculator", "calculator", "calculate", "calc", "evaluate", "compute", "do_math"]))
    key = strange(s, s.pick(["expression", "expression", "expression", "expr", "formula", "input"]))
    about = s.pick(["Evaluate an arithmetic expression.", "Calculate an expression", "A calculator", "Do arithmetic.", "Compute a sum.", "Evaluate a math expression",
                    "Evaluate a mathematical expression."])
    spec = schema(s, name, about, {key: param(s, "string", s.pick(["The expression", "The expression to evaluate", "e.g. 2 + 2"]))}, [key])

    def number():
        return s.rng.randint(0, s.pick([9, 99, 99, 999, 9999, 99999]))

    def ask():
        a, b, c = number(), number(), number()
        op, op2 = s.pick("+-*/"), s.pick("+-*")
        roll = s.rng.random()
        if roll < 0.22:
            expr = s.pick([f"{a} {op} {b} {op2} {c}", f"({a} {op} {b}) * {c}", f"{a} * ({b} {op2} {c})"])
        elif roll < 0.45:
            return s.pick(["What is {} {} {}?", "Calculate {} {} {}.", "How much is {} {} {}?", "{} {} {}"]).format(a, s.pick(WORDS_FOR[op]), b), {key: f"{a} {op} {b}"}
        else:
            expr = f"{a} {op} {b}"
        return s.pick(["What is {}?", "What is {}?", "Calculate {}.", "Calculate {}", "How much is {}?", "Compute {}.", "{}", "{} = ?", "Evaluate {}.",
                       "Please calculate {}.", "Use the tool to calculate {}.", "Use the calculator: {}", "What's {}?"]).format(expr), {key: expr}

    def answer(args):
        n = s.pick([str(s.rng.randint(-999, 99999)), str(number()), f"{s.rng.randint(0, 99)}.{s.rng.randint(1, 99)}"])
        text = s.pick([n, n, '{"result": %s}' % n, '{"result": %s}' % n, '{"value": %s}' % n, '{"answer": %s}' % n, f'{{"{key}": "{args[key]}", "result": {n}}}', '{"result": "%s"}' % n])
        return text, f"{args[key]} = {n}."

    return Tool(spec, ask, answer, "calculator")


def two_numbers(s: Source) -> Tool:
    """add(a, b) and its like"""
    name, verb, sign, asks = s.pick([
        ("add", "Add", "+", ["Add {} and {}.", "What is {} + {}?", "What is {} plus {}?", "What is the sum of {} and {}?"]),
        ("multiply", "Multiply", "*", ["Multiply {} and {}.", "What is {} * {}?", "What is {} times {}?", "Multiply {} by {}."]),
        ("subtract", "Subtract", "-", ["What is {} - {}?", "What is {} minus {}?"]),
    ])
    ka, kb = s.pick([("a", "b"), ("a", "b"), ("a", "b"), ("x", "y"), ("first", "second")])
    kind = s.pick(["number", "integer"])
    name = strange(s, s.pick([name, name, name + "_numbers"]))
    spec = schema(s, name, f"{verb} two numbers" + s.pick(["", "."]), {ka: param(s, kind, "First number"), kb: param(s, kind, "Second number")}, [ka, kb])

    def ask():
        a, b = s.rng.randint(0, s.pick([9, 99, 999])), s.rng.randint(0, s.pick([9, 99, 999]))
        return s.casual(s.pick(asks).format(a, b)), {ka: a, kb: b}

    def answer(args):
        n = s.rng.randint(-99, 9999)
        return s.pick([str(n), '{"result": %d}' % n, '{"value": %d}' % n]), f"{args[ka]} {sign} {args[kb]} = {n}."

    return Tool(spec, ask, answer, "calculator", tags={"numbers"})


OTHERS = [  # (names, parameter, description, questions, filler)
    (["search", "web_search", "search_web"], "query", "Search the web", ["Search for {}.", "Search the web for {}.", "Find {} on the web.", "Look up {}."], "words"),
    (["get_stock_price", "stock_price"], "symbol", "Get the price of a stock", ["What is the stock price of {}?", "Get the stock price of {}.", "How much is the stock {}?"], "upper"),
    (["play_music", "play_song"], "title", "Play a song", ["Play the song {}.", "Play {}.", "I want to hear {}."], "words"),
    (["find_person", "get_contact", "get_phone_number"], "name", "Find a person's phone number", ["What is the phone number of {}?", "Find the number of {}.", "Call {}."], "name"),
    (["get_population", "population"], "country", "Get the population of a country", ["How many people live in {}?", "What is the population of {}?"], "city"),
    (["get_user", "get_order", "lookup_id"], "id", "Get a record by its id", ["Get the record {}.", "Look up the id {}.", "Show me the record with id {}."], "id"),
    (["open_file", "read_file"], "path", "Read a file", ["Read the file {}.", "Open the file {}.", "Show me {}."], "path"),
]


def other(s: Source) -> Tool:
    """A tool with one string parameter from OTHERS"""
    names, key, about, asks, filler = s.pick(OTHERS)
    name, key = strange(s, s.pick(names)), strange(s, key)
    spec = schema(s, name, about + s.pick(["", "."]), {key: param(s, "string", about)}, [key])

    def ask():
        value = {"words": lambda: " ".join(s.word() for _ in range(s.rng.randint(1, 3))), "upper": lambda: s.word(5).upper(), "name": s.name, "city": s.city,
                 "id": lambda: s.pick(["", "A-", "id-"]) + str(s.rng.randint(10, 99999)), "path": lambda: s.word() + s.pick([".txt", ".md", ".json", ".csv"])}[filler]()
        return s.pick(asks).format(value), {key: value}

    def answer(args):
        text = s.pick([s.word(), " ".join(s.word() for _ in range(s.rng.randint(2, 5))), str(s.rng.randint(1, 99999)), s.name()])
        body = s.pick([text, text, tojson({"result": text}), tojson({s.pick(["value", "answer", "name", "price", "title"]): text})])
        return body, f"The result is {text}."

    return Tool(spec, ask, answer, "other")


def toolbox(s: Source) -> list[Tool]:
    """One to four tools with different names; at most one calculator."""
    kinds = {weather: 10, clock: 8, calculator: 8, two_numbers: 3, other: 5}
    picked = s.rng.choices(list(kinds), list(kinds.values()), k=s.rng.choices([1, 2, 3, 4], [40, 25, 28, 7])[0])
    if s.chance(0.15):
        picked = [weather, clock, calculator]
        s.rng.shuffle(picked)
    tools, kinds_seen, names = [], set(), set()
    for make in picked:
        tool = make(s)
        name = tool.spec["function"]["name"]
        if name in names or (tool.kind in kinds_seen):
            continue
        names.add(name)
        kinds_seen.add(tool.kind)
        tools.append(tool)
    return tools
