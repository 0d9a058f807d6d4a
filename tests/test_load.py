"""Many at once against a service of its own process: nothing but 429 is refused, nothing acknowledged is lost, memory stays flat.

Figures are printed with `-s`. FRAMEWIRE_MINUTES is how long the long one lasts (default 5), FRAMEWIRE_CLIENTS how many there are (200).
"""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from annotations.store import Store
from classifier.models import Models
from training.train import Run

ROOT = Path(__file__).resolve().parent.parent
MINUTES = float(os.environ.get("FRAMEWIRE_MINUTES", "5"))
CLIENTS = int(os.environ.get("FRAMEWIRE_CLIENTS", "200"))
TEXTS = [
    "The troops at the border are a threat to us the minister said.",
    "The envoy made an offer of talks on the treaty.",
    "Rain on the river market.",
]


class Service:
    """`framewire serve` on a free port."""

    def __init__(self, models: Models, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.database, self.address = f"sqlite:///{folder}/c.sqlite", f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "framewire", "serve", "--port", str(port), "--database", self.database]
        environment = os.environ | {"FRAMEWIRE_MODELS": str(models.home), "GRADIO_TEMP_DIR": str(folder / "gradio")}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(1_200):
            try:
                if httpx.get(f"{self.address}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError("the service does not come up")

    def figures(self) -> tuple[float, int, int]:
        """Resident memory in MB, open files, threads."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        memory, threads = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads"))  # type: ignore[index]
        return memory / 1024, len(list(Path(f"/proc/{self.process.pid}/fd").iterdir())), threads


@pytest.fixture
def service(trained: tuple[Models, Run], tmp_path: Path) -> Iterator[Service]:
    made = Service(trained[0], tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


async def correct(address: str, coders: int, each: int) -> Counter[int]:
    """Every coder writes its corrections one after the other, and again what was answered with 429, with the same key."""
    seen: Counter[int] = Counter()

    async def coder(name: str, client: httpx.AsyncClient) -> None:
        for number in range(each):
            row = {"text": f"Sentence {number}.", "answers": {"frames": []}, "annotator": name, "document": name, "key": f"{name}-{number}"}
            while (status := (await client.post("/v1/corrections", json=row)).status_code) == 429:
                seen[status] += 1
                await asyncio.sleep(0.5)
            seen[status] += 1

    limits = httpx.Limits(max_connections=coders)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as client:
        await asyncio.gather(*(coder(f"coder{number}", client) for number in range(coders)))
    return seen


@pytest.mark.parametrize("each", [4, pytest.param(200, marks=pytest.mark.slow)])
def test_fifty_coders_at_once_lose_nothing(each: int, service: Service) -> None:
    begun = time.monotonic()
    seen = asyncio.run(correct(service.address, 50, each))
    assert set(seen) <= {201, 429} and seen[201] == 50 * each
    held = Store(service.database).history()
    assert len(held) == len({item["key"] for item in held}) == 50 * each
    print(f"\n{50 * each:,} corrections by 50 coders in {time.monotonic() - begun:.0f} s, {seen[429]:,} times 429")


def test_a_stop_finishes_what_was_accepted(service: Service) -> None:
    async def ask() -> list[int]:
        async with httpx.AsyncClient(base_url=service.address, timeout=60) as client:
            asked = [asyncio.create_task(client.post("/v1/score", json={"texts": [TEXTS[0] + " " * n + TEXTS[1]] * 20})) for n in range(8)]
            await asyncio.sleep(0.3)
            service.process.send_signal(signal.SIGTERM)
            return [
                answer.status_code if isinstance(answer, httpx.Response) else 0 for answer in await asyncio.gather(*asked, return_exceptions=True)
            ]

    statuses = asyncio.run(ask())
    assert service.process.wait(30) in (0, -signal.SIGTERM)
    assert set(statuses) <= {200, 0} and 200 in statuses, "0 is a connection that was not yet accepted"


@pytest.mark.slow
def test_two_hundred_clients_get_answers_or_429_and_memory_stays_flat(service: Service) -> None:
    statuses: Counter[tuple[str, int]] = Counter()
    seconds: dict[str, list[float]] = {"score": [], "page": []}
    memory: list[tuple[float, float, int, int]] = []
    without: list[str] = []
    begun = time.monotonic()
    end = begun + MINUTES * 60

    async def note(kind: str, answer: httpx.Response, since: float) -> None:
        statuses[kind, answer.status_code] += 1
        if answer.status_code == 429:
            without.extend([kind] if "retry-after" not in answer.headers else [])
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
        elif answer.status_code == 200:
            seconds[kind].append(time.monotonic() - since)

    async def rest(number: int, client: httpx.AsyncClient) -> None:
        turn = number
        while time.monotonic() < end:
            turn += 1
            since = time.monotonic()
            await note("score", await client.post("/v1/score", json={"texts": [f"{TEXTS[turn % 3]} {turn}"], "targets": ["NATO plan"]}), since)

    async def page(number: int, client: httpx.AsyncClient) -> None:
        """What the page does: join the queue, then read the stream of events until the result."""
        turn = number
        while time.monotonic() < end:
            turn += 1
            since = time.monotonic()
            answer = await client.post("/gradio_api/call/read", json={"data": [f"{TEXTS[turn % 3]} {turn}", "NATO plan"]})
            if answer.status_code == 200:
                found = await client.get(f"/gradio_api/call/read/{answer.json()['event_id']}")
                statuses["page result", 200 if "event: complete" in found.text else 0] += 1
            await note("page", answer, since)
            if answer.status_code == 503:  # Gradio's own word for a full queue
                await asyncio.sleep(2)

    async def watch() -> None:
        while time.monotonic() < end:
            memory.append((time.monotonic() - begun, *service.figures()))
            await asyncio.sleep(1)

    async def all_of_them() -> None:
        async with httpx.AsyncClient(base_url=service.address, timeout=120, limits=httpx.Limits(max_connections=CLIENTS)) as client:
            pages = max(1, CLIENTS // 20)
            await asyncio.gather(watch(), *(rest(n, client) for n in range(CLIENTS - pages)), *(page(n, client) for n in range(pages)))

    asyncio.run(all_of_them())
    p50, p99 = np.quantile(seconds["score"], [0.5, 0.99])
    late = [item for item in memory if item[0] > MINUTES * 60 / 5]
    growth = np.polyfit([item[0] for item in late], [item[1] for item in late], 1)[0] * (late[-1][0] - late[0][0]) / late[0][1]
    shown: dict[str, Any] = {f"{kind} {status}": count for (kind, status), count in sorted(statuses.items())}
    shown |= {"p50 s": round(p50, 3), "p99 s": round(p99, 3), "memory MB": [round(late[0][1]), round(late[-1][1])], "growth": round(growth, 3)}
    print("\n" + json.dumps(shown | {"files": [late[0][2], late[-1][2]], "threads": [late[0][3], late[-1][3]]}))
    assert {status for _, status in statuses} <= {200, 429} and not without
    assert p99 <= 10 * p50
    assert growth < 0.05
