"""How fast Framewire scores, as ratios to its peers inside one run: `python tests/throughput.py`.

    --long                      more sentences and repeats
    --peers .venv-peers/bin/python   also sentence-transformers' int8 backends, from an environment of their own

Every figure is the median of interleaved repeats; texts are sentences of annotations/rows with names and numbers changed.
"""

import argparse
import functools
import importlib.metadata
import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
GFLOP_PER_TOKEN = 0.0215  # of MiniLM-L6
PEAK_ROWS = 512  # of the product whose peak is taken
CORES = len(os.sched_getaffinity(0))
PLACES = ("Arlen", "Brovia", "Castova", "Dorn", "Estel", "Ferrand", "Galt", "Halden", "Istra", "Jorvik")
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def sentences() -> Iterator[str]:
    """Sentences of mixed news length without end, all different: the project's own, then again with other names and numbers."""
    files = sorted((ROOT / "annotations" / "rows").glob("*.jsonl"))
    own = list(dict.fromkeys(json.loads(line)["text"] for file in files for line in file.read_text(encoding="utf-8").splitlines()))
    chance = random.Random(1)
    chance.shuffle(own)
    yield from own
    for turn in itertools.count(1):
        for number, text in enumerate(own):
            changed = NAME.sub(lambda _: chance.choice(PLACES), text)
            changed = re.sub(r"\d+", lambda found, turn=turn: str(int(found.group()[:9]) + turn), changed)
            yield f"{changed.rstrip('.')}, {chance.choice(PLACES)} said on day {turn} of report {number}."


def rate(run: Callable[[list[str]], object], texts: list[str]) -> float:
    began = time.perf_counter()
    run(texts)
    return len(texts) / (time.perf_counter() - began)


def version(*packages: str) -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)


def contenders(folder: Path) -> dict[str, tuple[str, Callable[[list[str]], object]]]:
    """What is timed on one checkpoint (the first of the model): name -> (version, how it is run)."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    from classifier.folder import ModelFolder
    from classifier.network import Network, encode

    torch.set_num_threads(CORES)
    opened = ModelFolder.load(folder)
    member = opened.members[0]
    place = folder / member.folder
    networks = {precision: Network(opened, precision=precision) for precision in ("int8", "fp32")}

    def ours(precision: str) -> Callable[[list[str]], object]:
        return lambda texts: networks[precision].logits(member, [encode(text, "", None, False) for text in texts])

    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(place).eval(), AutoTokenizer.from_pretrained(place)
    piped = pipeline("text-classification", model=model, tokenizer=tokenizer, device=-1, top_k=None, function_to_apply="sigmoid")

    def sorted_torch(texts: list[str]) -> None:
        order = sorted(texts, key=len)
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                model(**tokenizer(order[start : start + 32], padding=True, truncation=True, max_length=opened.max_tokens, return_tensors="pt"))

    return {
        "framewire int8": (version("onnxruntime"), ours("int8")),
        "framewire fp32": (version("onnxruntime"), ours("fp32")),
        "transformers pipeline, batch 32, fp32": (
            version("transformers", "torch"),
            lambda texts: piped(texts, batch_size=32, truncation=True, max_length=opened.max_tokens),
        ),
        "torch fp32, sorted by length": (version("torch"), sorted_torch),
    }


def peer_server(checkpoint: str) -> None:
    """In the peers' environment: time sentence-transformers' int8 backends on the texts of each line of standard input."""
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model, export_static_quantized_openvino_model
    from sentence_transformers.models import Pooling, Transformer

    words = Transformer(checkpoint, max_seq_length=128)
    with tempfile.TemporaryDirectory() as folder:
        SentenceTransformer(modules=[words, Pooling(words.get_word_embedding_dimension())], device="cpu").save(folder)
        onnx = SentenceTransformer(folder, backend="onnx", device="cpu")
        flags = Path("/proc/cpuinfo").read_text()
        kind = "avx512_vnni" if "avx512_vnni" in flags else "avx2"
        export_dynamic_quantized_onnx_model(onnx, kind, folder)
        openvino = SentenceTransformer(folder, backend="openvino", device="cpu")
        data = Path(folder, "calibration")
        data.mkdir()
        rows = [json.dumps({"sentence": text}) + "\n" for text in itertools.islice(sentences(), 300)]
        (data / "train.jsonl").write_text("".join(rows), encoding="utf-8")
        export_static_quantized_openvino_model(openvino, None, folder, str(data), "default", "train", "sentence")
        made = {file.name: str(file.relative_to(folder)) for file in Path(folder).rglob("*qu*int8*") if file.suffix in (".onnx", ".xml")}
        made |= {file.name: str(file.relative_to(folder)) for file in Path(folder).rglob("*qint8*") if file.suffix in (".onnx", ".xml")}
        models = {f"sentence-transformers {file}": ("onnx" if file.endswith(".onnx") else "openvino", path) for file, path in made.items()}
        opened = {
            name: SentenceTransformer(folder, backend=backend, model_kwargs={"file_name": file}, device="cpu")
            for name, (backend, file) in models.items()
        }
        versions = version("sentence-transformers", "optimum", "onnxruntime", "openvino")
        print(json.dumps({"version": versions, "names": list(opened)}), flush=True)
        for line in sys.stdin:
            wanted, texts = json.loads(line)
            encode = functools.partial(opened[wanted].encode, batch_size=32, show_progress_bar=False)
            print(json.dumps(rate(encode, texts)), flush=True)


def peaks() -> tuple[float, float]:
    """G operations/s on all cores of torch's int8 product (torch._int_mm) and of its float32 product, of the shape of a layer's largest.

    Where the processor has no VNNI, torch._int_mm is a plain loop, hundreds of times slower: its peak is none then.
    """
    import torch

    whole, weights = (torch.randint(-60, 60, shape, dtype=torch.int8) for shape in ((PEAK_ROWS, 1536), (1536, 1536)))
    return _best(torch._int_mm, whole, weights), _best(torch.matmul, whole.float(), weights.float())


def _best(product: Callable[[Any, Any], object], left: Any, right: Any) -> float:
    """G operations/s of the fastest of the products that half a second allows, at least two."""
    times: list[float] = []
    while len(times) < 2 or sum(times) < 0.5:
        began = time.perf_counter()
        product(left, right)
        times.append(time.perf_counter() - began)
    return 2 * left.shape[0] * left.shape[1] * right.shape[1] / min(times) / 1e9


def compare(folder: Path, size: int, repeats: int, peers: str | None) -> None:
    texts = list(itertools.islice(sentences(), size))
    runs = contenders(folder)
    if peers:
        from classifier.folder import ModelFolder

        checkpoint = str(folder / ModelFolder.load(folder).members[0].folder)
        child = subprocess.Popen([peers, __file__, "--peer-server", checkpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdin is not None and child.stdout is not None
        greeting = json.loads(child.stdout.readline())

        def asked(name: str) -> Callable[[list[str]], float]:
            def ask(some: list[str]) -> float:
                child.stdin.write(json.dumps([name, some]) + "\n")
                child.stdin.flush()
                return float(json.loads(child.stdout.readline()))

            return ask

        runs |= {name: (greeting["version"], asked(name)) for name in greeting["names"]}
    for _, run in runs.values():
        run(texts[:64])  # the first run allocates
    rates: dict[str, list[float]] = {name: [] for name in runs}
    tops: list[tuple[float, float]] = []
    for _ in range(repeats):
        for name, (_, run) in runs.items():
            rates[name].append(rate(run, texts))
        tops.append(peaks())
    from tokenizers import Tokenizer

    from classifier.folder import ModelFolder

    tokenizer = Tokenizer.from_file(str(folder / ModelFolder.load(folder).members[0].folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokens = statistics.mean(len(item.ids) for item in tokenizer.encode_batch(texts))
    ours = rates["framewire int8"]
    print(f"{size} sentences of {tokens:.1f} tokens on average, {CORES} cores, medians of {repeats} interleaved repeats")
    for name, (made, _) in runs.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, rates[name], strict=True))
        print(f"  {name:42} {statistics.median(rates[name]):8.1f}/s   int8 is {ratio:5.2f} x   ({made})")
    for name, which, kind in (("framewire int8", 0, "torch._int_mm int8"), ("framewire fp32", 1, "torch fp32 product")):
        top = statistics.median(item[which] for item in tops)
        used = statistics.median(rates[name]) * GFLOP_PER_TOKEN * tokens
        print(f"  {name}: {used:.0f} G/s, {used / top:.0%} of the measured peak {top:.0f} G/s ({kind})")


def latency(folder: Path, count: int) -> None:
    """p50 of one sentence: in process, and what REST adds."""
    from classifier.classifier import Classifier
    from classifier.sentences import Sentence

    classifier = Classifier(folder)
    texts = list(itertools.islice(sentences(), 2 * count))

    def one(text: str, targets: tuple[str, ...]) -> float:
        began = time.perf_counter()
        list(classifier.predict([Sentence(text)], targets))
        return (time.perf_counter() - began) * 1e3

    for targets in ((), ("the talks",)):
        print(f"  one sentence, {len(targets)} targets, in process: p50 {statistics.median(one(text, targets) for text in texts[:count]):.1f} ms")
    import uvicorn

    from classifier.models import Models
    from demo.app import build

    server = uvicorn.Server(uvicorn.Config(build(Models(), "sqlite://", folder), port=0, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    times = []
    for text in texts[count:]:
        body = json.dumps({"documents": [{"id": "a", "sentences": [text]}], "targets": []}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/score", body, {"content-type": "application/json"})
        began = time.perf_counter()
        urllib.request.urlopen(request).read()  # noqa: S310
        times.append((time.perf_counter() - began) * 1e3)
    print(f"  one sentence, 0 targets, over REST: p50 {statistics.median(times):.1f} ms")
    server.should_exit = True


def start_up(folder: Path) -> None:
    """Import to first prediction, and resident memory after it, in a fresh process."""
    code = (
        "import time; t = time.perf_counter(); import sys, psutil\nfrom classifier.classifier import Classifier; "
        "from classifier.sentences import Sentence\nlist(Classifier(sys.argv[1]).predict([Sentence('The envoy spoke.')], ['the talks']))\n"
        "print(f'{time.perf_counter() - t:.2f} {psutil.Process().memory_info().rss / 1e6:.0f}')"
    )
    found = [
        subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(5)
    ]
    seconds, memory = (statistics.median(float(item[place]) for item in found) for place in (0, 1))
    print(f"  import to first prediction: {seconds:.2f} s; resident then: {memory:.0f} MB")


def cost(folder: Path, most: int) -> None:
    """What int8 changes: labels, and macro-F1 on the project's test rows."""
    from annotations import rows as annotated
    from annotations import splits
    from classifier.folder import ModelFolder
    from classifier.network import Network
    from training.evaluate import judge, summarize

    opened = ModelFolder.load(folder)
    test = [row for row in splits.assign(annotated.read(ROOT / "annotations" / "rows", opened.codebook)) if row.split == "test"][:most]
    found = {precision: judge(opened, test, Network(opened, precision=precision)) for precision in ("fp32", "int8")}
    figures = {precision: summarize(item, opened.calibrations) for precision, item in found.items()}
    for name in figures["fp32"]:
        fp32, int8 = (found[precision][name].chosen(opened.calibrations[name]) for precision in ("fp32", "int8"))
        before, after = (figures[precision][name]["macro_f1"] for precision in ("fp32", "int8"))
        print(
            f"  {name}: int8 changes the answer of {(fp32 != int8).any(axis=1).mean():.2%} of {len(fp32)} rows; macro-F1 {before:.4f} -> {after:.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--sentences", type=int)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--peers")
    parser.add_argument("--peer-server", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer_server:
        return peer_server(given.peer_server)
    from classifier.models import Models

    folder = given.model or Models().current()
    compare(folder, given.sentences or (6_000 if given.long else 800), given.repeats or (9 if given.long else 5), given.peers)
    latency(folder, 500 if given.long else 100)
    start_up(folder)
    cost(folder, 10_000 if given.long else 400)


if __name__ == "__main__":
    main()
