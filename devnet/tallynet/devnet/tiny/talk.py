"""Small talk, what tally-tiny says about itself, and the honest "I do not know." for everything else."""

from __future__ import annotations

from random import Random

from tallynet.devnet.tiny.countries import CAPITALS
from tallynet.devnet.tiny.exchange import Exchange
from tallynet.devnet.tiny.words import LANGUAGES, WORDS

DO_NOT_KNOW = "I do not know."

_ABILITIES = (
    "I can name capitals, translate common words into French, Spanish and German, sort words, "
    "add and subtract small numbers, write short lines of Python and tell stories."
)
_SELF = "I am tally-tiny, a tiny language model of Tallynet."
_NETWORK = (
    "Tallynet is a network of nodes that run language models together" + " and keep a ledger that anyone can audit."
)

SMALL_TALK: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Hello", "Hello!", "Hi", "Hi there", "Hey", "Hi!", "Hello there"), "Hello! How can I help you?"),
    (("Good morning", "Good morning!"), "Good morning! How can I help you?"),
    (("Good evening", "Good evening!"), "Good evening! How can I help you?"),
    (("How are you?", "How do you do?", "How are you today?", "How is it going?"), "I am well, thank you."),
    (
        (
            "Who are you?",
            "What are you?",
            "Tell me about yourself.",
            "Introduce yourself.",
            "Hello, who are you?",
            "Hi, what are you?",
            "Which model are you?",
            "Who am I talking to?",
        ),
        _SELF,
    ),
    (("What is your name?", "What's your name?", "Do you have a name?"), "My name is tally-tiny."),
    (("Are you a human?", "Are you a person?", "Are you real?"), "No, I am a tiny language model."),
    (("What can you do?", "How can you help me?", "Help", "Help me.", "What do you know?"), _ABILITIES),
    (("What is Tallynet?", "Tell me about Tallynet.", "Do you know Tallynet?"), _NETWORK),
    (
        ("What is tally-tiny?", "Tell me about tally-tiny."),
        "tally-tiny is a tiny language model of Tallynet.",
    ),
    (("How big are you?", "Are you a large model?"), "I am very small: a few million parameters."),
    (
        ("Are you always right?", "Can I trust you?", "Do you make mistakes?"),
        "I am very small and I make mistakes, so please check what I say.",
    ),
    (
        ("Who made you?", "Who trained you?", "Where do you come from?"),
        "I was trained on two processor cores with the recipe of Tallynet.",
    ),
    (
        ("Which languages do you know?", "Do you speak French?", "Do you speak German?"),
        "I speak English and I know some words of French, Spanish and German.",
    ),
    (("Thank you", "Thanks", "Thank you!", "Thanks a lot!", "Thank you very much."), "You are welcome!"),
    (("Goodbye", "Bye", "Bye!", "See you", "Good night", "See you tomorrow"), "Goodbye! Have a nice day."),
    (("That is great!", "Great", "Nice", "Well done!", "Good job!", "Cool"), "I am glad to hear that."),
    (("I am sad.", "I feel sad.", "I had a bad day."), "I am sorry. Would you like a story?"),
    (("I am bored.", "What should I do?"), "Ask me for a story, or give me some words to sort."),
    (("I love you", "Do you like me?", "Are you my friend?"), "I am happy to talk with you."),
    (("Ok", "Okay", "Yes", "No", "I see", "Test", "Testing"), "How can I help you?"),
)

UNKNOWABLE = (
    "Who won the {thing} yesterday?",
    "What is the weather like in {capital}?",
    "Who is the president of {country}?",
    "How many people live in {country}?",
    "How many people live in {capital}?",
    "What is the phone number of my {thing}?",
    "When was the {thing} invented?",
    "Who invented the {thing}?",
    "How much does a {thing} cost?",
    "What is the history of {country}?",
    "Explain how a {thing} works.",
    "Why is the {thing} so old?",
    "What time is it in {capital}?",
    "Where is my {thing}?",
    "What is the meaning of life?",
    "What will happen tomorrow?",
    "What did I eat for breakfast?",
    "Who wrote the book about {country}?",
    "What is quantum physics?",
    "What is the largest city in the world?",
    "Explain the theory of relativity.",
    "What is the ledger of the {thing}?",
    "Write a poem about a {thing}.",
    "Tell me about {country}.",
    "Tell me a joke.",
    "What is the best {thing} in {country}?",
)
INVENTED_PLACE = ("What is the capital of {name}?", "Tell me the capital of {name}.", "Capital of {name}?")
INVENTED_WORD = ("How do you say {name} in {language}?", "Translate {name} into {language}.")
_SYLLABLES = [
    "ba",
    "be",
    "bo",
    "dor",
    "du",
    "fa",
    "fi",
    "go",
    "gra",
    "hu",
    "jo",
    "ka",
    "kel",
    "li",
    "lo",
    "mar",
    "mi",
    "mo",
    "nar",
    "ni",
    "po",
    "qua",
    "ra",
    "ru",
    "sa",
    "tir",
    "to",
    "ul",
    "va",
    "vo",
    "wen",
    "xi",
    "zo",
]


def draw_small_talk(rng: Random) -> Exchange:
    """Greet, thank, or ask who is there."""
    prompts, answer = rng.choice(SMALL_TALK)
    return Exchange("talk", rng.choice(prompts), answer)


def draw_unknown(rng: Random) -> Exchange:
    """Ask what the model cannot know: an invented country or word, or a fact outside its families."""
    name = "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 4)))
    form = rng.random()
    if form < 0.3:
        prompt = rng.choice(INVENTED_PLACE).format(name=name.capitalize())
    elif form < 0.5:
        prompt = rng.choice(INVENTED_WORD).format(name=name, language=rng.choice(LANGUAGES))
    else:
        country, capital = rng.choice(list(CAPITALS.items()))
        thing = rng.choice(WORDS[:140]).english
        prompt = rng.choice(UNKNOWABLE).format(country=country, capital=capital, thing=thing)
    return Exchange("unknown", prompt, DO_NOT_KNOW, prompt)
