"""Questions whose answers are quotes: the random half of the data recipe, all of it seeded.

An example is 0..6 passages and a question that names a phrase of 2..5 consecutive words. If the phrase
stands in one passage, the answer quotes that passage from the phrase to the end of its sentence;
if it stands in none, the answer is ABSTENTION. A phrase found more than once is never asked.
"""

from dataclasses import dataclass
from random import Random

from corpus import Document, sentences
from forgery import markup, scribble, tangle

ABSTENTION = "I cannot find that in the passages."
ANSWER_WORDS_MIN = 4
ANSWER_CHARS_MAX = 230

TEMPLATES = (
    "What does {source} say about {phrase}?",
    "What does the {source} documentation say about {phrase}?",
    "What do the docs say about {phrase}?",
    "What is said about {phrase}?",
    "What do the passages say about {phrase}?",
    "How does {source} describe {phrase}?",
    "According to {source}, what about {phrase}?",
    "Can you quote {source} on {phrase}?",
    "Quote the part about {phrase}.",
    "Tell me about {phrase}.",
    "Tell me what {source} says about {phrase}.",
    "Where does {source} mention {phrase}?",
    "Explain {phrase}",
    "In {source}: {phrase}",
    "{phrase}",
    "{phrase}?",
)
SOURCES = ("EIP-{number}", "ERC-{number}", "eip-{number}", "the specification", "this document", "the readme")


@dataclass(frozen=True)
class Question:
    """A question, its answer, and the index of the quoted passage (None: ABSTENTION)."""

    text: str
    answer: str
    gold: int | None


class Writer:
    """Writes contexts and questions from documents; every choice comes from `rng`."""

    def __init__(self, documents: list[Document], rng: Random):
        self.documents, self.rng = documents, rng
        self.coded = [document for document in documents if len(document.code) >= 2]
        self.words = [word for document in documents for passage in document.prose for word in passage.split(" ")]

    def context(self, count: int) -> list[str]:
        """Passages for training: shuffled words, repeating words, invented Markdown, a document's code, documents."""
        draw = self.rng.random()
        if draw < 0.10:
            return [self.salad() for _ in range(count)]
        if draw < 0.30:
            return tangle(self.rng, self.words, count)
        if draw < 0.55:
            return markup(self.rng, self.words, self.mixed_context(6), count)
        if draw < 0.65 and self.coded:
            document = self.rng.choice(self.coded)
            pool = document.code + document.prose[:3]
            return self.rng.sample(pool, min(count, len(pool)))
        return self.hard_context(count) if draw < 0.90 else self.mixed_context(count)

    def hard_context(self, count: int) -> list[str]:
        """`count` passages of one document, or all of a short one topped up from others."""
        pool = self.rng.choice(self.documents).prose
        passages = self.rng.sample(pool, min(count, len(pool)))
        return passages + self.mixed_context(count - len(passages))

    def mixed_context(self, count: int) -> list[str]:
        """`count` passages of independent documents."""
        return [self.rng.choice(self.rng.choice(self.documents).prose) for _ in range(count)]

    def salad(self) -> str:
        """Words of the corpus in random order with random full stops: nothing to memorise, only to copy."""
        rng, words = self.rng, []
        for _ in range(rng.randint(8, 42)):
            word = scribble(self.rng) if rng.random() < 0.08 else rng.choice(self.words)
            words.append(word + "." if rng.random() < 0.04 else word)
        return " ".join(words)[:280].rsplit(" ", 1)[0]

    def source(self) -> str:
        """A name a question may give to the source: known forms, invented package names."""
        draw = self.rng.random()
        if draw < 0.4:
            return self.rng.choice(SOURCES).format(number=self.rng.randint(1, 9999))
        if draw < 0.6:
            return self.rng.choice(self.words).strip(".,:;()[]`*\"'") or "it"
        name = scribble(self.rng).lower()
        return f"@{scribble(self.rng).lower()}/{name}" if draw > 0.85 else name

    def question(self, phrase: str) -> str:
        """The phrase in the first template (half of the time) or in any."""
        template = TEMPLATES[0] if self.rng.random() < 0.5 else self.rng.choice(TEMPLATES)
        return template.format(source=self.source(), phrase=phrase)

    def quote(self, passages: list[str]) -> Question | None:
        """A question about one passage, or None if the draw has no phrase that stands exactly once."""
        gold = self.rng.randrange(len(passages))
        words = self.rng.choice(sentences(passages[gold])).split(" ")
        if len(words) < ANSWER_WORDS_MIN:
            return None
        start = self.rng.randint(0, len(words) - ANSWER_WORDS_MIN)
        phrase = self.phrase(words[start:])
        answer = " ".join(words[start:])
        if phrase is None or occurrences(phrase, passages) != 1 or len(answer) > ANSWER_CHARS_MAX:
            return None
        return Question(self.question(phrase), answer, gold)

    def abstain(self, passages: list[str]) -> Question | None:
        """A question about a phrase of another document (or of shuffled words) that no passage holds."""
        other = self.salad() if self.rng.random() < 0.3 else self.mixed_context(1)[0]
        phrase = self.phrase(self.rng.choice(sentences(other)).split(" "))
        if phrase is None or occurrences(phrase, passages) != 0:
            return None
        return Question(self.question(phrase), ABSTENTION, None)

    def phrase(self, words: list[str]) -> str | None:
        """The first 2..5 words, mostly without the last one's punctuation; None if none has 4 letters."""
        count = self.rng.randint(2, 5)
        phrase = " ".join(words[:count])
        if self.rng.random() < 0.8:
            phrase = phrase.rstrip(".,;:!?")
        long = any(sum(letter.isalpha() for letter in word) >= 4 for word in phrase.split(" "))
        return phrase if long and " " in phrase else None


def occurrences(phrase: str, passages: list[str]) -> int:
    """How often the phrase stands at the start of a word in the passages."""
    return sum(f" {passage}".count(f" {phrase}") for passage in passages)
