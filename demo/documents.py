"""Files that a reader drops on the page: their text, read in a process of its own that can be stopped."""

import re
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

from annotations.errors import InputError
from classifier.files import decoded, page_text

ENDINGS = (".txt", ".html", ".htm", ".docx", ".pdf")
LARGEST = 10_000_000  # bytes of a file
LARGEST_UNPACKED = 50_000_000  # bytes of a .docx when unpacked
MOST_PAGES = 200
SECONDS = 20
MEMORY = 2 << 30  # bytes of address space
LONGEST = 5_000_000  # characters of text that are taken out of a file
_REFUSED = 3  # exit code: the words are on standard error
_HYPHEN = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
_WRAPPED = re.compile(r"(?<=[^\n]{40})(?<![.!?:\"”])[ \t]*\n(?=\S)")


def read(path: Path) -> str:
    """The text of a file. Raises InputError for another kind, one that is too large, slow or damaged, or one without text."""
    kind = path.suffix.lower()
    if kind not in ENDINGS:
        raise InputError("A file of this kind cannot be read.", f"Endings that can be: {', '.join(ENDINGS)}.")
    if path.stat().st_size > LARGEST:
        raise InputError(f"The file has {path.stat().st_size:,} bytes.", f"At most {LARGEST:,} are read.")
    command = [sys.executable, "-m", "demo.documents", str(path.resolve())]
    try:
        # Our own interpreter and one path, no shell; parsers of others' formats can loop or crash, and then only the child ends.
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, cwd=Path(__file__).parent.parent, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise InputError(f"The file takes more than {SECONDS} seconds to read.", "Paste the article's words.") from None
    if done.returncode == _REFUSED:
        raise InputError(f"The file cannot be used: {done.stderr.decode(errors='replace').strip()}.", "Or paste the article's words.")
    if done.returncode != 0:
        raise InputError(f"The file is damaged, or no {kind} file.", "Paste the article's words.")
    return done.stdout.decode()


def text_of(path: Path) -> str:
    """The text of a file, without a bound on time. Raises ValueError, in words, or whatever the format's parser raises."""
    kind = path.suffix.lower()
    if kind == ".pdf":
        return _pdf(path)
    if kind == ".docx":
        return _docx(path)
    return decoded(path.read_bytes()) if kind == ".txt" else page_text(path.read_bytes())


def _pdf(path: Path) -> str:
    import pypdf

    reader = pypdf.PdfReader(path)
    if reader.is_encrypted and not reader.decrypt(""):
        raise ValueError("it is locked with a password")
    if len(reader.pages) > MOST_PAGES:
        raise ValueError(f"it has {len(reader.pages):,} pages; at most {MOST_PAGES} are read")
    text = "\n\n".join(page.extract_text() for page in reader.pages)
    if not any(character.isalnum() for character in text):
        raise ValueError("it holds pictures of pages and no text; recognise the text first (OCR)")
    # Lines of print are no paragraphs: a long line without a closing mark goes on in the next.
    return _WRAPPED.sub(" ", _HYPHEN.sub("", text))


def _docx(path: Path) -> str:
    import docx
    from docx.table import Table

    with zipfile.ZipFile(path) as packed:
        if sum(item.file_size for item in packed.infolist()) > LARGEST_UNPACKED:
            raise ValueError(f"it unpacks to more than {LARGEST_UNPACKED:,} bytes")
    parts = []
    for item in docx.Document(str(path)).iter_inner_content():
        parts += [" | ".join(cell.text for cell in row.cells) for row in item.rows] if isinstance(item, Table) else [item.text]
    text = "\n\n".join(part for part in parts if part.strip())
    if not text:
        raise ValueError("it holds no text")
    return text


def _alone(event: str, _: tuple[object, ...]) -> None:
    """Audit hook: a parser has no business with the network or with other programs."""
    if event.startswith(("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork")):
        raise PermissionError(event)


def main(name: str) -> int:
    """Write the text of a file to standard output, or why not to standard error."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it reads one file and writes none
    sys.addaudithook(_alone)
    try:
        text = text_of(Path(name))
    except ValueError as error:
        if type(error) is not ValueError:  # a parser's own kind; its words are not for readers
            raise
        sys.stderr.write(str(error))
        return _REFUSED
    if len(text) > LONGEST:  # the service that waits for this text has no bound on memory of its own
        sys.stderr.write(f"it holds more than {LONGEST:,} characters")
        return _REFUSED
    sys.stdout.buffer.write(text.encode("utf-8", errors="replace"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
