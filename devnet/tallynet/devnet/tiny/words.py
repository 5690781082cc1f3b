"""The words that tally-tiny can translate: the nouns of nouns.py, and all other words here."""

from __future__ import annotations

from dataclasses import dataclass

from tallynet.devnet.tiny.nouns import CONCRETE_NOUNS, PEOPLE_AND_BODY

LANGUAGES = ("French", "Spanish", "German")

OTHER_WORDS = """
day|jour|día|Tag
night|nuit|noche|Nacht
morning|matin|mañana|Morgen
week|semaine|semana|Woche
month|mois|mes|Monat
year|année|año|Jahr
hour|heure|hora|Stunde
spring|printemps|primavera|Frühling
summer|été|verano|Sommer
autumn|automne|otoño|Herbst
winter|hiver|invierno|Winter
today|aujourd'hui|hoy|heute
tomorrow|demain|mañana|morgen
yesterday|hier|ayer|gestern
Monday|lundi|lunes|Montag
Tuesday|mardi|martes|Dienstag
Wednesday|mercredi|miércoles|Mittwoch
Thursday|jeudi|jueves|Donnerstag
Friday|vendredi|viernes|Freitag
Saturday|samedi|sábado|Samstag
Sunday|dimanche|domingo|Sonntag
love|amour|amor|Liebe
peace|paix|paz|Frieden
war|guerre|guerra|Krieg
life|vie|vida|Leben
world|monde|mundo|Welt
dream|rêve|sueño|Traum
truth|vérité|verdad|Wahrheit
freedom|liberté|libertad|Freiheit
question|question|pregunta|Frage
answer|réponse|respuesta|Antwort
idea|idée|idea|Idee
language|langue|idioma|Sprache
music|musique|música|Musik
work|travail|trabajo|Arbeit
money|argent|dinero|Geld
big|grand|grande|groß
small|petit|pequeño|klein
old|vieux|viejo|alt
new|nouveau|nuevo|neu
young|jeune|joven|jung
good|bon|bueno|gut
bad|mauvais|malo|schlecht
beautiful|beau|hermoso|schön
hot|chaud|caliente|heiß
cold|froid|frío|kalt
long|long|largo|lang
short|court|corto|kurz
fast|rapide|rápido|schnell
slow|lent|lento|langsam
heavy|lourd|pesado|schwer
easy|facile|fácil|einfach
difficult|difficile|difícil|schwierig
rich|riche|rico|reich
poor|pauvre|pobre|arm
strong|fort|fuerte|stark
weak|faible|débil|schwach
full|plein|lleno|voll
empty|vide|vacío|leer
open|ouvert|abierto|offen
closed|fermé|cerrado|geschlossen
clean|propre|limpio|sauber
dirty|sale|sucio|schmutzig
happy|heureux|feliz|glücklich
sad|triste|triste|traurig
tired|fatigué|cansado|müde
dry|sec|seco|trocken
expensive|cher|caro|teuer
deep|profond|profundo|tief
red|rouge|rojo|rot
blue|bleu|azul|blau
green|vert|verde|grün
yellow|jaune|amarillo|gelb
black|noir|negro|schwarz
white|blanc|blanco|weiß
grey|gris|gris|grau
brown|marron|marrón|braun
one|un|uno|eins
two|deux|dos|zwei
three|trois|tres|drei
four|quatre|cuatro|vier
five|cinq|cinco|fünf
six|six|seis|sechs
seven|sept|siete|sieben
eight|huit|ocho|acht
nine|neuf|nueve|neun
ten|dix|diez|zehn
hundred|cent|cien|hundert
thousand|mille|mil|tausend
eat|manger|comer|essen
drink|boire|beber|trinken
sleep|dormir|dormir|schlafen
read|lire|leer|lesen
write|écrire|escribir|schreiben
speak|parler|hablar|sprechen
sing|chanter|cantar|singen
dance|danser|bailar|tanzen
see|voir|ver|sehen
buy|acheter|comprar|kaufen
sell|vendre|vender|verkaufen
give|donner|dar|geben
find|trouver|encontrar|finden
come|venir|venir|kommen
swim|nager|nadar|schwimmen
learn|apprendre|aprender|lernen
think|penser|pensar|denken
laugh|rire|reír|lachen
help|aider|ayudar|helfen
win|gagner|ganar|gewinnen
lose|perdre|perder|verlieren
travel|voyager|viajar|reisen
hello|bonjour|hola|hallo
goodbye|au revoir|adiós|auf Wiedersehen
thank you|merci|gracias|danke
please|s'il vous plaît|por favor|bitte
yes|oui|sí|ja
no|non|no|nein
always|toujours|siempre|immer
never|jamais|nunca|nie
here|ici|aquí|hier
with|avec|con|mit
without|sans|sin|ohne
"""


@dataclass(frozen=True)
class Word:
    """An English word and its translations by language name."""

    english: str
    translations: dict[str, str]


def _parse(block: str) -> tuple[Word, ...]:
    rows = [line.split("|") for line in block.strip().splitlines()]
    return tuple(Word(row[0], dict(zip(LANGUAGES, row[1:], strict=True))) for row in rows)


WORDS: tuple[Word, ...] = _parse(CONCRETE_NOUNS) + _parse(PEOPLE_AND_BODY) + _parse(OTHER_WORDS)
SORTABLE: tuple[str, ...] = tuple(word.english for word in _parse(CONCRETE_NOUNS))
