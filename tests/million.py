"""A run of a million sentences: `python tests/million.py write 1000000 million.jsonl`, then `python tests/million.py score million.jsonl`.

The second prints resident memory every ten seconds, and the rate at the end.
"""

import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

import psutil
from throughput import ROOT, sentences


def corpus(size: int, out: Path) -> None:
    """Write so many sentences, all different, one row each."""
    with out.open("w", encoding="utf-8") as stream:
        for number, text in enumerate(itertools.islice(sentences(), size)):
            stream.write(json.dumps({"id": number, "text": text}, ensure_ascii=False) + "\n")


def score(source: Path) -> None:
    """Score a file by the command and print its resident memory every few seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "framewire", "score", str(source), "-o", f"{folder}/out.jsonl", "--unit", "sentence"]
        began, most = time.monotonic(), 0.0
        process = psutil.Popen([*command, "--target", "the talks"], cwd=ROOT)
        while process.poll() is None:
            try:
                now = process.memory_info().rss / 1e6
            except psutil.NoSuchProcess:
                break
            most = max(most, now)
            parts = Path(folder, ".out.jsonl.parts")
            print(f"{time.monotonic() - began:7.0f} s  {now:6.0f} MB  {len(list(parts.glob('*.counts'))):5} shards", flush=True)
            time.sleep(10)
        with Path(folder, "out.jsonl").open("rb") as stream:
            lines = sum(1 for _ in stream)
        spent = time.monotonic() - began
        print(f"{lines:,} lines in {spent:,.0f} s ({lines / spent:,.0f}/s), at most {most:,.0f} MB resident")


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"] and len(sys.argv) == 4:
        corpus(int(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["score"] and len(sys.argv) == 3:
        score(Path(sys.argv[2]))
    else:
        sys.exit(__doc__)
