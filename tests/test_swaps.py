"""Models are swapped under readers: no request fails, every answer comes from one model, and the memory of the old ones is given back.

FRAMEWIRE_SWAPS is how many swaps there are; `make soak` makes 50.
"""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from classifier.models import Models
from tests.test_load import Service
from training.train import Run

SWAPS = int(os.environ.get("FRAMEWIRE_SWAPS", "5"))
CLIENTS = 20
NAMES = ("one", "two")
DOCUMENTS = [{"id": f"d{n}", "text": f"The envoy made an offer of talks {n}. The troops are a threat. Rain fell on the market."} for n in range(4)]
SLACK = 1.3  # times the memory before


@pytest.fixture
def service(trained: tuple[Models, Run], tmp_path: Path) -> Iterator[Service]:
    models = Models(tmp_path / "shelf")
    for name in NAMES:
        folder = Path(shutil.copytree(trained[1].folder.path, models.home / name))
        manifest = folder / "manifest.json"
        manifest.write_text(manifest.read_text().replace(f'"name": "{trained[1].folder.name}"', f'"name": "{name}"'))
    models.promote(models.home / "one", "test")
    made = Service(models, tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


async def swapped(service: Service) -> tuple[Counter[str], list[float]]:
    """What happened to the requests of all clients during the swaps, and the memory (MB) after each."""
    seen: Counter[str] = Counter()
    memory: list[float] = []
    done = asyncio.Event()
    body = {"documents": DOCUMENTS, "targets": ["NATO plan"]}

    async def reader(client: httpx.AsyncClient) -> None:
        while not done.is_set():
            answer = await client.post("/v1/score", json=body)
            names = {item["model"] for item in answer.json().get("predictions", [])} | {answer.json().get("model")}
            whole = answer.status_code == 200 and len(answer.json()["predictions"]) == 12 and len(names) == 1
            seen[f"answered by {names.pop()}" if whole else f"failed: {answer.status_code} {names}"] += 1

    async def swapper(client: httpx.AsyncClient) -> None:
        await asyncio.sleep(2)  # until every client was answered and every thread has its memory
        memory.append(service.figures()[0])
        for number in range(SWAPS):
            before, after = NAMES[number % 2], NAMES[(number + 1) % 2]
            answer = await client.put("/v1/model", json={"model": after, "instead_of": before})
            assert (answer.status_code, answer.json()) == (200, {"model": after})
            while (await client.get("/v1/model")).json()["name"] != after:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.2)
            memory.append(service.figures()[0])
        done.set()

    async with httpx.AsyncClient(base_url=service.address, timeout=120, limits=httpx.Limits(max_connections=CLIENTS + 1)) as client:
        await asyncio.gather(swapper(client), *(reader(client) for _ in range(CLIENTS)))
    return seen, memory


def test_a_swap_fails_no_request_mixes_no_answer_and_keeps_no_memory(service: Service) -> None:
    seen, memory = asyncio.run(swapped(service))
    print(
        f"\n{SWAPS} swaps under {CLIENTS} clients: {dict(seen)}, memory {memory[0]:.0f} MB before, {max(memory):.0f} at most, {memory[-1]:.0f} after"
    )
    assert set(seen) == {f"answered by {name}" for name in NAMES}
    assert memory[-1] <= SLACK * memory[0]
