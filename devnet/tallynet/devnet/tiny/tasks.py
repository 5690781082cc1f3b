"""The questions with one right answer: capitals, translation, sorting, sums and code one-liners."""

from __future__ import annotations

from random import Random

from tallynet.devnet.tiny.countries import CAPITALS
from tallynet.devnet.tiny.exchange import Exchange
from tallynet.devnet.tiny.words import LANGUAGES, SORTABLE, WORDS

LARGEST_NUMBER = 50
"""Operands of sums and differences run from 0 to this, inclusive."""

CLOSE = 20
"""Neighbours in the alphabet from which ``draw_close_sorting`` takes its words."""

CAPITAL_PHRASINGS = (
    "What is the capital of {country}?",
    "What's the capital of {country}?",
    "What is the capital city of {country}?",
    "Which city is the capital of {country}?",
    "Which city is the capital city of {country}?",
    "Tell me the capital of {country}.",
    "Name the capital of {country}.",
    "Please name the capital of {country}.",
    "Give me the capital of {country}.",
    "Do you know the capital of {country}?",
    "Can you tell me the capital of {country}?",
    "I would like to know the capital of {country}.",
    "Capital of {country}?",
)
COUNTRY_PHRASINGS = (
    "Which country has {capital} as its capital?",
    "{capital} is the capital of which country?",
    "Of which country is {capital} the capital?",
)
TRANSLATION_PHRASINGS = (
    "How do you say {word} in {language}?",
    'How do you say "{word}" in {language}?',
    "What is {word} in {language}?",
    "What is the {language} word for {word}?",
    "Give me the {language} word for {word}.",
    "Translate {word} to {language}.",
    "Translate {word} into {language}.",
    "Please translate {word} into {language}.",
    'Translate "{word}" into {language}.',
    "Translate the word {word} into {language}.",
)
SORTING_PHRASINGS = (
    "Sort these words alphabetically: {words}",
    "Sort these words: {words}",
    "Sort alphabetically: {words}",
    "Put these words in alphabetical order: {words}",
    "Please put these words in order: {words}",
    "Please sort these words from A to Z: {words}",
    "Sort the words {words}.",
)
SUM_PHRASINGS = (
    "What is {left} plus {right}?",
    "What is {left} + {right}?",
    "{left} + {right} = ?",
    "Add {left} and {right}.",
    "How much is {left} plus {right}?",
    "Compute {left} + {right}.",
)
DIFFERENCE_PHRASINGS = (
    "What is {left} minus {right}?",
    "What is {left} - {right}?",
    "{left} - {right} = ?",
    "Subtract {right} from {left}.",
    "How much is {left} minus {right}?",
    "Compute {left} - {right}.",
)
CODE_LINES = (
    ("reverses the list {name}", "{name}[::-1]"),
    ("sorts the list {name}", "sorted({name})"),
    ("sums the numbers in {name}", "sum({name})"),
    ("finds the largest item of {name}", "max({name})"),
    ("finds the smallest item of {name}", "min({name})"),
    ("counts the items of {name}", "len({name})"),
    ("removes the duplicates from {name}", "list(set({name}))"),
    ("squares every number in {name}", "[x * x for x in {name}]"),
    ("keeps the even numbers of {name}", "[x for x in {name} if x % 2 == 0]"),
    ("joins the strings in {name} with commas", '", ".join({name})'),
    ("prints every item of {name}", "for x in {name}: print(x)"),
    ("gets the first item of {name}", "{name}[0]"),
    ("gets the last item of {name}", "{name}[-1]"),
    ("makes {name} an empty list", "{name} = []"),
    ("adds one to {name}", "{name} += 1"),
)
CODE_PHRASINGS = (
    "Write a Python one-liner that {does}.",
    "Write one line of Python that {does}.",
    "Give me Python code that {does}.",
    "Which Python expression {does}?",
)
CODE_NAMES = ("numbers", "items", "values", "words", "names", "data", "scores", "prices", "rows", "files")


def draw_capital(rng: Random) -> Exchange:
    """Ask for a capital (or, one time in five, for the country of a capital)."""
    country, capital = rng.choice(list(CAPITALS.items()))
    if rng.random() < 0.2:
        prompt = rng.choice(COUNTRY_PHRASINGS).format(capital=capital)
        return Exchange("capitals", prompt, f"{capital} is the capital of {country}.", prompt)
    prompt = rng.choice(CAPITAL_PHRASINGS).format(country=country)
    return Exchange("capitals", prompt, f"The capital of {country} is {capital}.", prompt)


def draw_translation(rng: Random) -> Exchange:
    """Ask for the French, Spanish or German of an English word."""
    word, language = rng.choice(WORDS), rng.choice(LANGUAGES)
    prompt = rng.choice(TRANSLATION_PHRASINGS).format(word=word.english, language=language)
    answer = f"The {language} word for {word.english} is {word.translations[language]}."
    return Exchange("translation", prompt, answer, prompt)


def draw_sorting(rng: Random) -> Exchange:
    """Ask for three to five words in alphabetical order; the key is the set of words, in any order."""
    return ask_to_sort(rng.sample(SORTABLE, rng.randint(3, 5)), rng)


def draw_close_sorting(rng: Random) -> Exchange:
    """Like ``draw_sorting``, but from ``CLOSE`` neighbours in the alphabet, which is harder."""
    first = rng.randint(0, len(SORTABLE) - CLOSE)
    neighbours = sorted(SORTABLE)[first : first + CLOSE]
    return ask_to_sort(rng.sample(neighbours, rng.randint(3, 5)), rng)


def ask_to_sort(words: list[str], rng: Random) -> Exchange:
    """Ask for ``words`` in alphabetical order, in one of the phrasings."""
    prompt = rng.choice(SORTING_PHRASINGS).format(words=rng.choice((", ", ", ", " ")).join(words))
    ordered = ", ".join(sorted(words))
    return Exchange("sorting", prompt, f"In alphabetical order: {ordered}.", f"sort {ordered}")


def draw_arithmetic(rng: Random) -> Exchange:
    """Ask for a sum or a difference that is not negative; the key is the pair, in any phrasing and order."""
    small, large = sorted((rng.randint(0, LARGEST_NUMBER), rng.randint(0, LARGEST_NUMBER)))
    if rng.random() < 0.5:
        left, right = rng.sample((small, large), 2)
        prompt = rng.choice(SUM_PHRASINGS).format(left=left, right=right)
        return Exchange("arithmetic", prompt, f"{left} + {right} = {left + right}.", f"sum {small} {large}")
    prompt = rng.choice(DIFFERENCE_PHRASINGS).format(left=large, right=small)
    answer = f"{large} - {small} = {large - small}."
    return Exchange("arithmetic", prompt, answer, f"difference {large} {small}")


def draw_code(rng: Random) -> Exchange:
    """Ask for one line of Python."""
    does, line = rng.choice(CODE_LINES)
    name = rng.choice(CODE_NAMES)
    prompt = rng.choice(CODE_PHRASINGS).format(does=does.format(name=name))
    return Exchange("code", prompt, line.format(name=name), prompt)
