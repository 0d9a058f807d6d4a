"""The corrections database: what coders said of the model's sentences, with who, when and which model; nothing is ever overwritten."""

import datetime
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from annotations.codebook import Codebook
from annotations.errors import StoreError
from annotations.rows import Annotation

_TABLES = sa.MetaData()
_CORRECTIONS = sa.Table(
    "corrections",
    _TABLES,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(64), nullable=False, unique=True),
    sa.Column("time", sa.String(32), nullable=False),
    sa.Column("coder", sa.String(100), nullable=False),
    sa.Column("document", sa.String(500), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("answers", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("unsure", sa.Boolean, nullable=False),
    sa.Column("undone", sa.Boolean, nullable=False, default=False),
)
BUSY_SECONDS = 15


class Store:
    """A corrections database at a SQLAlchemy URL: SQLite (write-ahead log, every commit on disk) or PostgreSQL.

    Raises StoreError when it cannot be reached; a correction whose `add` returned is on disk.
    """

    def __init__(self, url: str) -> None:
        try:
            place = sa.make_url(url)
            if place.get_backend_name() == "sqlite" and place.database:
                Path(place.database).parent.mkdir(parents=True, exist_ok=True)
            self._engine = sa.create_engine(place, connect_args={"timeout": BUSY_SECONDS} if place.get_backend_name() == "sqlite" else {})
            if place.get_backend_name() == "sqlite":
                sa.event.listen(self._engine, "connect", _durable)
            _TABLES.create_all(self._engine)
        except (sa.exc.SQLAlchemyError, OSError, ImportError) as error:
            raise StoreError(f"The corrections database cannot be opened ({type(error).__name__}).", "Check --database.") from None

    def add(self, row: Annotation, model: str, key: str | None = None) -> int:
        """Keep one correction; the same `key` again changes nothing. Returns its number."""
        values = {
            "key": key or uuid.uuid4().hex,
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "coder": row.annotator,
            "document": row.document,
            "text": row.text,
            "answers": json.dumps(row.to_dict(), ensure_ascii=False),
            "note": row.note,
            "model": model,
            "unsure": row.unsure,
            "undone": False,
        }
        try:
            with self._engine.begin() as connection:
                return int(connection.execute(sa.insert(_CORRECTIONS).values(values).returning(_CORRECTIONS.c.number)).scalar_one())
        except sa.exc.IntegrityError:
            with self._engine.connect() as connection:
                return int(connection.execute(sa.select(_CORRECTIONS.c.number).where(_CORRECTIONS.c.key == values["key"])).scalar_one())
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"The correction could not be stored ({type(error).__name__}).", "Try again in a moment.") from None

    def ping(self) -> None:
        """Raise StoreError unless the database answers."""
        try:
            with self._engine.connect() as connection:
                connection.execute(sa.select(1))
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"The corrections database does not answer ({type(error).__name__}).", "Try again in a moment.") from None

    def undo(self, number: int, coder: str) -> None:
        """Take back a coder's own correction; it stays in the history. Raises StoreError when there is none."""
        found = sa.and_(_CORRECTIONS.c.number == number, _CORRECTIONS.c.coder == coder, _CORRECTIONS.c.undone.is_(False))
        with self._engine.begin() as connection:
            if connection.execute(sa.update(_CORRECTIONS).where(found).values(undone=True)).rowcount != 1:
                raise StoreError(f"Coder '{coder}' has no correction {number} to take back.")

    def history(self) -> list[dict[str, Any]]:
        """Everything that was ever said, oldest first."""
        with self._engine.connect() as connection:
            return [dict(item) for item in connection.execute(sa.select(_CORRECTIONS).order_by(_CORRECTIONS.c.number)).mappings()]

    def rows(self, codebook: Codebook) -> Iterator[Annotation]:
        """The rows to learn from: the latest correction of each sentence of a document that was not taken back."""
        latest: dict[tuple[str, str], dict[str, Any]] = {}
        for item in self.history():
            if not item["undone"]:
                latest[item["document"], item["text"]] = item
        for item in latest.values():
            yield Annotation.from_dict(json.loads(item["answers"]) | {"id": f"correction-{item['number']}"}, codebook)


def _durable(connection: Any, _: Any) -> None:
    """Readers do not block writers, and a commit survives a power cut."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
