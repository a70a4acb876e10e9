"""Skills with numbers: adding, subtracting, counting, comparing.

Sums are written out digit by digit, units first, because a model this small
has one forward pass per token and a carry needs one step of its own. The plain
result always closes the answer.
"""

from words import Source

NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()


def add_text(a: int, b: int) -> str:
    """Worked addition of 0..99, ending in `a + b = sum.`"""
    total = f"{a} + {b} = {a + b}."
    if a < 10 and b < 10:
        return total
    units = a % 10 + b % 10
    steps = [f"{a % 10} + {b % 10} = {units}"]
    tens = [str(n // 10) for n in (a, b) if n >= 10] + (["1"] if units >= 10 else [])
    if len(tens) > 1:
        steps.append(f"{' + '.join(tens)} = {sum(map(int, tens))}")
    return ", ".join(steps) + f", so {total}"


def subtract_text(a: int, b: int, form: int) -> str:
    """Worked subtraction of 0..99, ending in `a - b = difference.`"""
    if form >= 2 and (a >= 10 or b >= 10):
        # Restating the task gives the model steps in which to see which number is larger.
        if a >= b:
            return f"{a} - {b}: " + subtract_text(a, b, 0)
        return f"{a} - {b}: less than zero, " + subtract_text(b, a, 0)[:-1] + f" and {a} - {b} = -{b - a}."
    if a < b:
        if a < 10 and b < 10:
            return f"{b} - {a} = {b - a}, so {a} - {b} = -{b - a}."
        return f"{a} is less than {b}. " + subtract_text(b, a, 0)[:-1] + f" and {a} - {b} = -{b - a}."
    total = f"{a} - {b} = {a - b}."
    if a < 10:
        return total
    borrow = a % 10 < b % 10
    top = a % 10 + (10 if borrow else 0)
    steps = [f"{top} - {b % 10} = {top - b % 10}"]
    tens = [str(a // 10)] + (["1"] if borrow else []) + ([str(b // 10)] if b >= 10 else [])
    if len(tens) > 1:
        steps.append(f"{' - '.join(tens)} = {int(tens[0]) - sum(map(int, tens[1:]))}")
    return ", ".join(steps) + f", so {total}"


def operands(s: Source, op: str) -> tuple[int, int]:
    """Two numbers of up to two digits; the hash of the sum decides its split."""
    def make():
        a, b = (s.rng.randint(0, 99) if s.chance(0.85) else s.rng.randint(0, 12) for _ in range(2))
        if op == "-" and a < b and s.chance(0.5):
            a, b = b, a
        return f"{a}{op}{b}", (a, b)
    return s.until(make)


def add(s: Source):
    """What is 47 + 38?"""
    a, b = operands(s, "+")
    ask = s.pick(["What is {a} + {b}?", "What is {a} + {b}?", "What is {a} plus {b}?", "Add {a} and {b}.", "{a} + {b}", "{a} + {b} = ?",
                  "How much is {a} + {b}?", "Calculate {a} + {b}.", "What is the sum of {a} and {b}?", "{a} plus {b}",
                  "Compute {a} + {b}.", "How much is {a} plus {b}?", "What does {a} + {b} equal?", "What is {a}+{b}?", "{a}+{b}"])
    return s.casual(ask.format(a=a, b=b)), add_text(a, b), f"{a} + {b} = {a + b}."


def subtract(s: Source):
    """What is 47 - 38?"""
    a, b = operands(s, "-")
    ask = s.pick(["What is {a} - {b}?", "What is {a} - {b}?", "What is {a} minus {b}?", "Subtract {b} from {a}.", "{a} - {b}", "{a} - {b} = ?",
                  "How much is {a} - {b}?", "Calculate {a} - {b}.", "What is {a} minus {b}?", "{a} minus {b}",
                  "Compute {a} - {b}.", "How much is {a} minus {b}?", "Take {b} away from {a}.", "What is {a}-{b}?"])
    return s.casual(ask.format(a=a, b=b)), subtract_text(a, b, s.mix.form), f"{a} - {b} = {a - b}."


def count(s: Source):
    """Count from 3 to 9, up or down."""
    def make():
        length = s.rng.randint(2, 11) if s.chance(0.93) else s.rng.randint(12, 40)
        low = 1 if s.chance(0.35) else s.rng.randint(0, 99 - min(length, 90))
        high = low + length
        down = s.chance(0.4)
        return f"count{low}:{high}:{down}", (low, high, down)
    low, high, down = s.until(make)
    if down:
        asks = ["Count down from {h} to {l}.", "Count from {h} to {l}.", "Count from {h} down to {l}.", "Count backwards from {h} to {l}."]
        ask = s.pick(asks if s.mix.form < 2 else [a for a in asks if "down" in a or "back" in a])
        numbers = range(high, low - 1, -1)
    else:
        asks = ["Count from {l} to {h}.", "Count up from {l} to {h}.", "List the numbers from {l} to {h}.", "Count from {l} up to {h}."]
        ask = s.pick(asks + (["Count to {h}."] if low == 1 else []))
        numbers = range(low, high + 1)
    answer = ", ".join(map(str, numbers)) + "."
    return s.casual(ask.format(l=low, h=high)), answer, answer


def compare(s: Source):
    """Which is larger, 34 or 71?"""
    def make():
        a, b = s.rng.sample(range(100), 2)
        return f"cmp{a}:{b}", (a, b)
    a, b = s.until(make)
    large = s.chance(0.5)
    word = s.pick(["larger", "bigger", "greater"]) if large else s.pick(["smaller", "less"])
    ask = s.pick(["Which is {w}, {a} or {b}?", "Which number is {w}, {a} or {b}?", "What is {w}: {a} or {b}?"])
    best = max(a, b) if large else min(a, b)
    word_out = "larger" if large else "smaller"
    # Naming both numbers first gives the model steps in which to compare them.
    answer = f"{best} is {word_out} than {a + b - best}." if s.mix.form == 0 else f"Of {a} and {b}, {best} is {word_out}."
    return s.casual(ask.format(a=a, b=b, w=word)), answer, answer


def too_hard(s: Source):
    """Arithmetic outside what the model learns, to be declined."""
    a, b = s.rng.randint(2, 99), s.rng.randint(2, 99)
    big = s.rng.randint(100, 9999)
    ask = s.pick([f"What is {a} * {b}?", f"What is {a} times {b}?", f"What is {a} / {b}?", f"Multiply {a} by {b}.",
                  f"What is {big} + {a}?", f"What is {a} divided by {b}?", f"What is {big} - {b}?", f"{a} * {b}", f"What is {a} x {b}?",
                  f"What is {big} + {big + a}?", f"What is the square root of {big}?"])
    answer = "I can only add and subtract numbers of up to two digits."
    return s.casual(ask), answer, answer
