"""The corrections database: what coders said of the model's sentences, with who, when and which model; nothing is ever overwritten."""

import datetime
import json
import secrets
import uuid
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from annotations.codebook import Codebook
from annotations.errors import InputError, StoreError
from annotations.rows import Annotation

_TABLES = sa.MetaData()
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_CORRECTIONS = sa.Table(
    "corrections",
    _TABLES,
    sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(64), nullable=False, unique=True),
    sa.Column("time", sa.String(32), nullable=False),
    sa.Column("coder", sa.String(100), nullable=False, index=True),
    sa.Column("document", sa.String(500), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("answers", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("unsure", sa.Boolean, nullable=False),
)
# An undo is a row of its own, so that both tables only ever grow; its primary key lets a correction be taken back once.
_UNDONE = sa.Table(
    "undone",
    _TABLES,
    sa.Column("number", _NUMBER, sa.ForeignKey("corrections.number"), primary_key=True, autoincrement=False),
    sa.Column("time", sa.String(32), nullable=False),
)
# Readings that somebody asked a link for.
_VIEWS = sa.Table(
    "views",
    _TABLES,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("time", sa.String(32), nullable=False),
    sa.Column("content", sa.Text, nullable=False),
)
_HISTORY = sa.select(_CORRECTIONS, _UNDONE.c.number.is_not(None).label("undone")).outerjoin(_UNDONE, _UNDONE.c.number == _CORRECTIONS.c.number)
BUSY_SECONDS = 15  # a writer waits for another, and whoever connects for a server that does not answer
MOST_NAMED = 500  # ids in one statement; databases take only so many parameters
_MAKING = 4_216_573_011  # the lock under which PostgreSQL's tables are made; any number that others are unlikely to use


class Store:
    """A corrections database at a SQLAlchemy URL: SQLite (write-ahead log, every commit on disk) or PostgreSQL.

    Several processes may share one. Raises StoreError when it cannot be reached; a correction whose `add` returned is on disk.
    """

    def __init__(self, url: str) -> None:
        try:
            place = sa.make_url(url)
            sqlite = place.get_backend_name() == "sqlite"
            if sqlite and place.database:
                Path(place.database).parent.mkdir(parents=True, exist_ok=True)
            self._file = Path(place.database) if sqlite and place.database else None
            if sqlite:
                # No pool: a connection that is kept would go on writing to a file that was moved away or replaced.
                self._engine = sa.create_engine(place, connect_args={"timeout": BUSY_SECONDS}, poolclass=sa.pool.NullPool)
            else:
                # Looked at before each use, so that a server that was away is found again without a restart of ours.
                own = "connect_timeout" in place.query or not place.get_driver_name().startswith("psycopg")
                waits = {} if own else {"connect_timeout": BUSY_SECONDS}
                self._engine = sa.create_engine(place, pool_pre_ping=True, connect_args=waits)
            if sqlite:
                sa.event.listen(self._engine, "connect", _durable)
            self._make_tables()
        except ImportError:
            words = "The corrections database cannot be opened, since its driver is not installed."
            raise StoreError(words, "For PostgreSQL: pip install 'framewire[postgresql]'.") from None
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise StoreError(f"The corrections database cannot be opened ({type(error).__name__}).", "Check --database.") from None

    def _make_tables(self) -> None:
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                # There, of two that make the same table at once, one fails in spite of IF NOT EXISTS.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MAKING)))
            for table in _TABLES.sorted_tables:
                connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))

    def add(self, row: Annotation, model: str, key: str | None = None) -> int:
        """Keep one correction and return its number; the same correction with the same `key` again changes nothing.

        Raises InputError when the key was used for another correction or a text holds a null character, which not every database
        keeps, and StoreError when nothing could be written.
        """
        values = {
            "key": key or uuid.uuid4().hex,
            "time": _now(),
            "coder": row.annotator,
            "document": row.document,
            "text": row.text,
            "answers": json.dumps(row.to_dict(), ensure_ascii=False),
            "note": row.note,
            "model": model,
            "unsure": row.unsure,
        }
        if any("\0" in value for value in values.values() if isinstance(value, str)):
            raise InputError("The correction holds a null character.", "Send plain text.")
        with self._connection("The correction could not be stored") as connection:
            try:
                # A savepoint, so that the refused insert leaves a transaction in which PostgreSQL can still look.
                with connection.begin_nested():
                    return int(connection.execute(sa.insert(_CORRECTIONS).values(values).returning(_CORRECTIONS.c.number)).scalar_one())
            except sa.exc.IntegrityError:
                kept = connection.execute(sa.select(_CORRECTIONS).where(_CORRECTIONS.c.key == values["key"])).mappings().one()
        if kept["answers"] != values["answers"]:
            raise InputError("This key was used for another correction.", "Send a new key, or none.")
        return int(kept["number"])

    def ping(self) -> None:
        """Raise StoreError unless the database answers."""
        with self._connection("The corrections database does not answer") as connection:
            connection.execute(sa.select(1))

    def undo(self, number: int, coder: str) -> None:
        """Take back a coder's own correction; it stays in the history. Raises StoreError when there is none."""
        own = sa.and_(_CORRECTIONS.c.number == number, _CORRECTIONS.c.coder == coder)
        with self._connection("The correction could not be taken back") as connection:
            found = connection.execute(_HISTORY.where(own)).mappings().one_or_none()
            if found is not None and not found["undone"]:
                try:
                    with connection.begin_nested():
                        connection.execute(sa.insert(_UNDONE).values(number=number, time=_now()))
                    return
                except sa.exc.IntegrityError:
                    pass  # taken back by another process in between
        raise StoreError(f"Coder '{coder}' has no correction {number} to take back.")

    def undo_last(self, coder: str) -> int:
        """Take back a coder's latest correction that still stands and return its number. Raises StoreError when there is none."""
        standing = _HISTORY.where(_CORRECTIONS.c.coder == coder, _UNDONE.c.number.is_(None)).order_by(_CORRECTIONS.c.number.desc()).limit(1)
        with self._connection("The corrections database does not answer") as connection:
            found = connection.execute(standing).mappings().one_or_none()
        if found is None:
            raise StoreError(f"Coder '{coder}' has no correction to take back.")
        self.undo(found["number"], coder)
        return int(found["number"])

    def history(self, latest: int | None = None) -> list[dict[str, Any]]:
        """Everything that was ever said, or the `latest` so many, oldest first; `undone` says which was taken back."""
        with self._connection("The corrections database does not answer") as connection:
            found = connection.execute(_HISTORY.order_by(_CORRECTIONS.c.number.desc()).limit(latest)).mappings()
            return [dict(item) for item in found][::-1]

    def rows(self, codebook: Codebook, without: Container[str] = ()) -> Iterator[Annotation]:
        """The rows to learn from: the latest correction of each sentence of a document that was not taken back.

        Of coders in `without` nothing counts, so that what others said before them stands again.

        One that was made with another codebook and does not fit this one is left out; it stays in the history.
        """
        latest: dict[tuple[str, str], dict[str, Any]] = {}
        for item in self.history():
            if not item["undone"] and item["coder"] not in without:
                latest[item["document"], item["text"]] = item
        for item in latest.values():
            try:
                row = Annotation.from_dict(json.loads(item["answers"]) | {"id": f"correction-{item['number']}"}, codebook)
            except ValueError:
                continue
            yield row

    def keep_view(self, content: str) -> str:
        """Keep a reading and return its id, which cannot be guessed. Raises StoreError."""
        view = secrets.token_urlsafe(12)
        with self._connection("The view could not be stored") as connection:
            connection.execute(sa.insert(_VIEWS).values(id=view, time=_now(), content=content))
        return view

    def view(self, view: str) -> str:
        """A kept reading by its id. Raises StoreError when there is none."""
        with self._connection("The database does not answer") as connection:
            found = connection.execute(sa.select(_VIEWS.c.content).where(_VIEWS.c.id == view)).scalar_one_or_none()
        if found is None:
            raise StoreError("There is no view of this address.", "Was the address copied whole, or is the view more than a year old?")
        return str(found)

    def views(self) -> list[tuple[str, float, int]]:
        """Of every kept reading its id, when it was kept (seconds since 1970) and its characters. Raises StoreError."""
        with self._connection("The database does not answer") as connection:
            found = connection.execute(sa.select(_VIEWS.c.id, _VIEWS.c.time, sa.func.length(_VIEWS.c.content)))
            return [(str(view), datetime.datetime.fromisoformat(time).timestamp(), int(size)) for view, time, size in found]

    def drop_views(self, views: Sequence[str]) -> None:
        """Forget kept readings; their addresses lead nowhere from then on. Raises StoreError."""
        with self._connection("The views could not be removed") as connection:
            for begin in range(0, len(views), MOST_NAMED):
                connection.execute(sa.delete(_VIEWS).where(_VIEWS.c.id.in_(views[begin : begin + MOST_NAMED])))

    @contextmanager
    def _connection(self, fault: str) -> Iterator[sa.Connection]:
        """A transaction; what the database refuses becomes a StoreError that begins with `fault` and repeats no text."""
        if self._file is not None and not self._file.exists():
            # SQLite would make an empty one in its place, which would hide the loss.
            raise StoreError(f"{fault} (the database is gone).", "Put it back, or restore a backup and start the service again.")
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"{fault} ({type(error).__name__}).", "Try again in a moment.") from None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _durable(connection: Any, _: Any) -> None:
    """Readers do not block writers, and a commit survives a power cut."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
