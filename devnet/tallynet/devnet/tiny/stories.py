"""Short stories put together from parts: long enough for streaming, simple enough for a tiny model."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tallynet.devnet.tiny.exchange import Exchange

ANIMALS = [
    "fox",
    "bear",
    "rabbit",
    "mouse",
    "cat",
    "dog",
    "frog",
    "duck",
    "wolf",
    "hedgehog",
    "horse",
    "goat",
    "turtle",
    "lion",
    "monkey",
    "donkey",
    "dragon",
    "robot",
]
NAMES = [
    "Ada",
    "Ben",
    "Clara",
    "Finn",
    "Ida",
    "Jonas",
    "Lena",
    "Leo",
    "Lily",
    "Max",
    "Mia",
    "Nora",
    "Oscar",
    "Paul",
    "Rosa",
    "Sam",
    "Tom",
    "Zoe",
]
TRAITS = ["small", "brave", "kind", "curious", "clever", "shy", "cheerful", "patient", "gentle", "quick"]
PLACES = ("forest", "village", "valley", "garden", "city", "castle", "mountain", "town")
TREASURES = ("key", "lamp", "book", "bell", "map", "stone", "ring", "basket", "letter", "flower")
COLOURS = ("red", "blue", "green", "yellow", "golden", "silver", "white", "black")
WEATHER = ("The sun was shining", "It was raining", "Snow was falling", "A warm wind was blowing")
FINDING_SPOTS = (
    "under an old tree",
    "beside the river",
    "behind the church",
    "near the bridge",
    "by the lake",
)
TROUBLES = (
    ("The path was dark and long.", "Step by step, the path grew brighter."),
    ("A storm came over the hills.", "They waited in a cave until the storm was over."),
    ("The bridge over the river was broken.", "They built a new bridge from wood and rope."),
    ("A big stone lay in the way.", "They pushed together until the stone rolled away."),
    ("They were hungry and tired.", "They shared a piece of bread and some cheese."),
    ("They lost their way in the fog.", "They followed the song of a bird back to the path."),
    ("The door was closed.", "They knocked three times and the door opened."),
)
ENDINGS = (
    "From that day on they were the best of friends.",
    "They went home and told everyone the story.",
    "That night they slept well and dreamed of the next day.",
    "And everyone in the {place} was happy.",
)
LESSONS = (
    "a friend is worth more than gold",
    "together we are strong",
    "it is good to help",
    "small steps go far",
)

SHORT_PROMPTS = (
    "Tell me a story.",
    "Tell me a short story.",
    "Write a short story.",
    "Can you tell me a story?",
)
SHORT_ABOUT = (
    "Tell me a story about a {animal}.",
    "Write a short story about a {animal}.",
    "A story about a {animal}.",
)
LONG_PROMPTS = ("Tell me a long story.", "Write a long story.", "Please tell me a very long story.")
LONG_ABOUT = ("Tell me a long story about a {animal}.", "Write a long story about a {animal}.")


@dataclass(frozen=True)
class Cast:
    """Who and what one story is about."""

    hero: str
    animal: str
    friend: str
    friend_animal: str
    place: str
    treasure: str


def _choose_cast(rng: Random) -> Cast:
    hero, friend = rng.sample(NAMES, 2)
    animal, friend_animal = rng.sample(ANIMALS, 2)
    treasure = f"{rng.choice(COLOURS)} {rng.choice(TREASURES)}"
    return Cast(hero, animal, friend, friend_animal, rng.choice(PLACES), treasure)


def _open(cast: Cast, rng: Random) -> str:
    return (
        f"Once upon a time there was a {rng.choice(TRAITS)} {cast.animal} called {cast.hero}, "
        f"who lived in a {cast.place}. {rng.choice(WEATHER)} when {cast.hero} found a {cast.treasure} "
        f'{rng.choice(FINDING_SPOTS)}. "Who has lost this?" asked {cast.hero}.'
    )


def _meet(cast: Cast, rng: Random) -> str:
    return (
        f'On the way {cast.hero} met {cast.friend} the {cast.friend_animal}. "I know whose it is," said '
        f'{cast.friend}. "It belongs to the {rng.choice(("king", "queen", "baker", "teacher"))}. '
        f'Let us go together." So {cast.hero} and {cast.friend} set out from the {cast.place}.'
    )


def _struggle(cast: Cast, trouble: tuple[str, str], rng: Random) -> str:
    speaker, listener = rng.sample((cast.hero, cast.friend), 2)
    said = rng.choice(("Do not be afraid", "We can do it", "I will help you", "Let us try again"))
    return f'{trouble[0]} "{said}," said {speaker} to {listener}. {trouble[1]}'


def _close(cast: Cast, rng: Random) -> str:
    return (
        f"At last they gave the {cast.treasure} back. "
        f'"Thank you, {cast.hero} and {cast.friend}," said the owner. '
        f'"Now I know that {rng.choice(LESSONS)}." {rng.choice(ENDINGS).format(place=cast.place)}'
    )


def tell_story(rng: Random, animal: str | None = None, troubles: int = 1) -> str:
    """Tell a story of ``3 + troubles`` paragraphs of about 35 words, about ``animal`` where given."""
    cast = _choose_cast(rng)
    if animal and animal != cast.friend_animal:
        cast = Cast(cast.hero, animal, cast.friend, cast.friend_animal, cast.place, cast.treasure)
    elif animal:
        cast = Cast(cast.hero, animal, cast.friend, cast.animal, cast.place, cast.treasure)
    middle = [_struggle(cast, trouble, rng) for trouble in rng.sample(TROUBLES, troubles)]
    return "\n\n".join([_open(cast, rng), _meet(cast, rng), *middle, _close(cast, rng)])


def draw_story(rng: Random) -> Exchange:
    """Ask for a short story (one trouble) or a long one (four to six)."""
    long = rng.random() < 0.4
    animal = rng.choice(ANIMALS) if rng.random() < 0.6 else None
    plain, about = (LONG_PROMPTS, LONG_ABOUT) if long else (SHORT_PROMPTS, SHORT_ABOUT)
    prompt = rng.choice(about).format(animal=animal) if animal else rng.choice(plain)
    return Exchange("story", prompt, tell_story(rng, animal, rng.randint(4, 6) if long else 1))
