"""Invented passages: text that repeats itself, and text that looks like a package's Markdown.

Both train what natural prose seldom asks for: to keep one's place where the same words stand twice, and
to copy names, links, hexadecimal and signs that no corpus word resembles. Nothing here is read from a package.
"""

from random import Random

CHARS_MAX = 280
LOWER = "abcdefghijklmnopqrstuvwxyz"
ALPHABET = LOWER + LOWER.upper() + "0123456789"
SIGNS = ((0xA1, 0x17F), (0x391, 0x3C9), (0x410, 0x44F), (0x2190, 0x21FF), (0x2600, 0x27BF), (0x3041, 0x30FA),
         (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x1F300, 0x1F64F))
HOSTS = ("github.com", "www.{name}.com", "nodejs.org", "docs.{name}.dev", "{name}.io", "en.wikipedia.org", "img.{name}.org")
SUFFIXES = ("", "", ".md", ".html", ".js", ".ts", ".json", ".png", "/")
TYPES = ("string", "number", "boolean", "Array", "object", "Function", "Promise", "Buffer", "null", "undefined", "Error")


def scribble(rng: Random, most: int = 10) -> str:
    """A word of 2..most random letters and digits."""
    return "".join(rng.choice(ALPHABET) for _ in range(rng.randint(2, most)))


def tangle(rng: Random, words: list[str], count: int) -> list[str]:
    """`count` passages of random words in which stretches of 1..6 words come again with another sequel."""
    said: list[str] = []
    passages, again = [], rng.uniform(0.3, 0.7)
    for _ in range(count):
        passage: list[str] = []
        for _ in range(rng.randint(4, 14)):
            if said and rng.random() < again:
                start = rng.randrange(len(said))
                part = said[start : start + rng.randint(1, 6)]
            else:
                part = [scribble(rng) if rng.random() < 0.1 else rng.choice(words) for _ in range(rng.randint(1, 4))]
            said += part
            passage += part
        passages.append(cut(" ".join(passage)))
    return passages


def markup(rng: Random, words: list[str], passages: list[str], count: int) -> list[str]:
    """`count` passages of invented Markdown about the same few names, with stretches of `passages` between."""
    forge = Forge(rng, words, passages)
    return [forge.passage() for _ in range(count)]


class Forge:
    """Pieces of Markdown around a few names, so that the same parts come again in links, code and lists."""

    def __init__(self, rng: Random, words: list[str], passages: list[str]):
        self.rng, self.passages = rng, passages
        plain = ["".join(filter(str.isalpha, word)).lower() for word in rng.choices(words, k=16)]
        self.names = [name for name in plain if len(name) > 3][:7] + [scribble(rng, 7).lower()]
        self.pieces = rng.choices((self.prose, self.link, self.code, self.item, self.row, self.heading, self.odd, self.digits),
                                  weights=(8, 4, 4, 3, 1, 1, 1, 1), k=rng.randint(3, 12))

    def passage(self) -> str:
        """A passage of at most CHARS_MAX characters, 8 words or more nearly always."""
        text = self.rng.choice(self.pieces)()
        for _ in range(self.rng.randint(3, 12)):
            text += " " + self.rng.choice(self.pieces)()
            text += "." if self.rng.random() < 0.12 and text[-1].isalnum() else ""
        return cut(text)

    def prose(self) -> str:
        """3..14 consecutive words of the corpus, one perhaps set off by marks."""
        words = self.rng.choice(self.passages).split(" ")
        start = self.rng.randrange(len(words))
        part = words[start : start + self.rng.randint(3, 14)]
        spot, mark = self.rng.randrange(len(part)), self.rng.choice(("", "", "**", "_", "`", '"'))
        part[spot] = f"{mark}{part[spot]}{mark}"
        return " ".join(part)

    def name(self) -> str:
        """One to three names joined as identifiers are, perhaps with arguments."""
        rng = self.rng
        parts = rng.choices(self.names, k=rng.randint(1, 3))
        joined = rng.choice(("-", "_", ".", "", "/")).join(parts)
        if rng.random() < 0.4:
            joined = parts[0] + "".join(part.capitalize() for part in parts[1:])
        draw = rng.random()
        if draw < 0.15:
            return f"{joined}({', '.join(rng.choices(self.names, k=rng.randint(0, 3)))})"
        if draw < 0.25:
            return "--" + joined
        return f"@{parts[0]}/{joined}" if draw < 0.32 else joined

    def link(self) -> str:
        rng = self.rng
        label = rng.choice((self.name(), f"`{self.name()}`", " ".join(rng.choices(self.names, k=rng.randint(1, 4)))))
        if rng.random() < 0.2:
            return f"[{label}](#{label.strip('`').replace(' ', '-').lower()})"
        path = "/".join(rng.choice((*self.names, label.strip("`").replace(" ", "-"))) for _ in range(rng.randint(1, 4)))
        host = rng.choice(HOSTS).format(name=rng.choice(self.names))
        tail = rng.choice((*SUFFIXES, f"#{self.name()}", f"/issues/{rng.randint(1, 9999)}"))
        address = f"https://{host}/{path}{tail}" if rng.random() < 0.75 else f"./{path}{tail}"
        draw = rng.random()
        return address if draw < 0.1 else f"![{label}]({address})" if draw < 0.15 else f"[{label}]({address})"

    def code(self) -> str:
        rng, name, other = self.rng, self.name(), self.name()
        value = rng.choice((f"'{other}'", f'"{other}"', other, str(rng.randint(0, 4096)), "true", "{}", "[]", f"{other};"))
        return rng.choice((f"`{name}`", f"`{name}`", f"`{name}`,", f"`{name}: {value}`", f"`{name} = {value}`", f"{name}({value})",
                           f"const {name} = {value};", f"`npm install {name}`", f"import {{ {name} }} from '{other}'", name))

    def item(self) -> str:
        mark, kind = self.rng.choice("-*+"), self.rng.choice(TYPES)
        form = self.rng.choice(("`{name}` -", "**{name}**:", "`{name}`: `{kind}` -", "`{name}` {{{kind}}}", "[{name}](#{name}) -",
                                "`{name}` ({kind}, default: `{other}`):", "{link}"))
        filled = form.format(name=self.name(), other=self.name(), kind=kind, link=self.link())
        return f"{mark} {filled} {self.prose()}"

    def row(self) -> str:
        return f"| `{self.name()}` | `{self.rng.choice(TYPES)}` | {self.prose()} |"

    def heading(self) -> str:
        return f"{'#' * self.rng.randint(1, 4)} {self.name()} {self.rng.choice(self.names).capitalize()}"

    def odd(self) -> str:
        """One to four signs or letters of another script."""
        low, high = self.rng.choice(SIGNS)
        return "".join(chr(self.rng.randint(low, high)) for _ in range(self.rng.randint(1, 4)))

    def digits(self) -> str:
        """A version, a date, or hexadecimal."""
        rng = self.rng
        a, b, c = (rng.randint(0, 30) for _ in range(3))
        long = "0x" + "".join(rng.choice("0123456789abcdef") for _ in range(rng.choice((4, 8, 16, 40))))
        return rng.choice((f"{rng.choice('^~v')}{a}.{b}.{c}", f"{2000 + a}-{b % 12 + 1:02}-{c % 28 + 1:02}", long, long))


def cut(text: str) -> str:
    """The text without the words past CHARS_MAX characters."""
    return text if len(text) <= CHARS_MAX else text[:CHARS_MAX].rsplit(" ", 1)[0]
