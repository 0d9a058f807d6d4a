"""The model card and the table of a run, made from its report."""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from annotations.codebook import Question
from classifier.folder import ModelFolder
from training.metrics import FEWEST_POSITIVES
from training.plot import FILE as PLOT
from training.plot import described
from training.settings import LARGER, PACKAGED, TrainingSettings

ORIGIN = """The project's own rows were written by language models and coded by language models; agreement figures are between language
models, and no human has checked the labels. Rows of your own are what you made of them."""
RIVALS = {"majority": "majority answer", "tf-idf": "TF-IDF", "target-blind": "TF-IDF that does not see the target", "setfit": "SetFit, same encoder"}


def table(report: dict[str, Any]) -> str:
    """The report as a Markdown table: per label precision, recall, F1, average precision and support; then parts, baselines and ceiling."""
    lines: list[str] = []
    for name, item in report["questions"].items():
        lines += [_headline(name, item), "", "| label | precision | recall | F1 (95% interval) | average precision | support |"]
        lines += ["|---|---|---|---|---|---|", *(_label(label, row) for label, row in item["labels"].items()), ""]
        for part, found in item.get("targets", {}).items():
            lines.append(f"- {part} targets ({found['rows']:,} rows): {_scores(found)}")
        for source, found in item.get("sources", {}).items():
            lines.append(f"- rows of source '{source}' ({found['rows']:,}): {_scores(found)}")
        for rival, found in report.get("baselines", {}).get(name, {}).items():
            lines.append(f"- {RIVALS.get(rival, rival)}: {_scores(found)}")
        for coder, found in report.get("coders", {}).get(name, {}).items():
            lines.append(f"- {coder} against the adjudicated rows ({found['rows']:,}), the ceiling: {_scores(found)}")
        lines.append("")
    return "\n".join(lines)


def _headline(name: str, item: dict[str, Any]) -> str:
    extra = f", F_avg(favor, against) {item['f_avg']:.3f}" if "f_avg" in item else ""
    precision = item.get("mean_average_precision")
    extra += f", mean average precision {precision:.3f}" if precision is not None else ""
    return (
        f"**{name}**: {_scores({'macro_f1': item['macro_f1'], 'macro_f1_interval': item['macro_f1_interval']})}, micro-F1 {item['micro_f1']:.3f}"
        f"{extra}; {item['rows']:,} rows of {item['documents']:,} documents; calibration error {item['calibration_error']:.3f}."
    )


def _label(label: str, row: dict[str, Any]) -> str:
    if row["few"]:
        return f"| {label} | too few positives | | | | {row['support']} |"
    low, high = row["f1_interval"]
    return (
        f"| {label} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} ({low:.3f} to {high:.3f}) | "
        f"{row['average_precision']:.3f} | {row['support']} |"
    )


def _scores(found: dict[str, Any]) -> str:
    """Macro-F1 with what stands beside it."""
    text = f"macro-F1 {found['macro_f1']:.3f}"
    if "macro_f1_interval" in found:
        text += " (95% interval {:.3f} to {:.3f})".format(*found["macro_f1_interval"])
    return text + (f", F_avg {found['f_avg']:.3f}" if "f_avg" in found else "")


def card(folder: ModelFolder, report: dict[str, Any], settings: TrainingSettings) -> str:
    """The folder's README.md: Hugging Face metadata, what the model answers, how it was made, how good it is, and a methods paragraph."""
    return "\n".join(
        [
            f"---\n{_metadata(folder, report, settings)}\n---\n",
            f"# {folder.name}",
            "",
            ORIGIN,
            "",
            f"Answers the questions of the codebook '{folder.codebook.name}' (fingerprint `{folder.codebook.fingerprint[:12]}`):",
            "",
            *(_question(question) for question in folder.codebook.questions),
            "",
            "Not for verdicts on people or outlets: figures below are over many sentences, and single answers are often wrong.",
            "",
            "## On the test documents",
            "",
            table(report),
            f"Intervals are drawn over documents. Labels with fewer than {FEWEST_POSITIVES} positives have no figures, but count in macro-F1.",
            "",
            f"![{described(report['questions'])}]({PLOT})",
            "",
            "## Rows",
            "",
            *_rows(report),
            "",
            "## Methods",
            "",
            _methods(folder, report, settings),
            "",
        ]
    )


def _question(question: Question) -> str:
    kind = "any of" if question.choose == "any" else "one of"
    return f"- **{question.name}**{' (per target)' if question.per_target else ''}: {question.text} {kind} {', '.join(question.label_names)}."


def _rows(report: dict[str, Any]) -> list[str]:
    parts = report["counts"]
    sources = dict.fromkeys(source for part in parts.values() for source in part["sources"])
    lines = [f"| source | {' | '.join(parts)} |", f"|---|{'---|' * len(parts)}"]
    lines += [f"| {source or '(none)'} | {' | '.join(str(part['sources'].get(source, 0)) for part in parts.values())} |" for source in sources]
    return [*lines, f"| all rows | {' | '.join(str(part['rows']) for part in parts.values())} |"]


def _encoder(settings: TrainingSettings) -> str:
    """The encoder's name; of a folder its last part, since the path says something about the machine only."""
    return Path(settings.encoder).name if Path(settings.encoder).is_absolute() or Path(settings.encoder).is_dir() else settings.encoder


def _methods(folder: ModelFolder, report: dict[str, Any], settings: TrainingSettings) -> str:
    parts = report["counts"]
    scores = "; ".join(
        f"{name} macro-F1 {item['macro_f1']:.2f} [{item['macro_f1_interval'][0]:.2f}, {item['macro_f1_interval'][1]:.2f}]"
        + _beside(report.get("baselines", {}).get(name, {}).get("tf-idf"))
        for name, item in report["questions"].items()
    )
    what = "one checkpoint for each question" if len(folder.members) > 1 else "one checkpoint"
    learnt, tuned, judged = (parts[split] for split in ("train", "validation", "test"))
    return (
        f"We fine-tuned {_encoder(settings)} ({what}; {settings.epochs:g} epochs, AdamW, learning rate {settings.learning_rate:g}, "
        f"{settings.head_learning_rate:g} for the head, batches of {settings.batch_size}, at most {settings.max_tokens} tokens, "
        f"seed {settings.seed}) on {learnt['rows']:,} sentences of {learnt['documents']:,} documents, coded "
        f"with the codebook '{folder.codebook.name}' ({folder.codebook.fingerprint[:12]}), "
        f"{'with' if settings.context else 'without'} the preceding sentence as context{_parents(settings)}. "
        f"Probabilities were calibrated (Platt or temperature scaling) "
        f"and thresholds set on {tuned['rows']:,} sentences of {tuned['documents']:,} other documents. On {judged['documents']:,} test "
        f"documents ({judged['rows']:,} sentences), of which none was seen in training, the model reached {scores} "
        "(95% bootstrap intervals over documents)."
    )


def _parents(settings: TrainingSettings) -> str:
    """What the run took from elsewhere than its rows and encoder; "" for a run that took nothing."""
    taken = [
        f"the lowest {settings.frozen_layers} layers of the encoder stayed as they are" if settings.frozen_layers else "",
        f"learning began with the weights of the model {Path(settings.start).name}" if settings.start else "",
        f"half of the goal were the probabilities of the model {Path(settings.teacher).name}" if settings.teacher else "",
    ]
    return "".join(f"; {clause}" for clause in taken if clause)


def _beside(baseline: dict[str, Any] | None) -> str:
    return f", against {baseline['macro_f1']:.2f} for TF-IDF with logistic regression on the same rows" if baseline else ""


def _metadata(folder: ModelFolder, report: dict[str, Any], settings: TrainingSettings) -> str:
    """The card's YAML header in the Hub's format, results as its `model-index`."""
    results = []
    for name, item in report["questions"].items():
        measured = {"f1": ("macro-F1", item["macro_f1"]), "expected_calibration_error": ("expected calibration error", item["calibration_error"])}
        if item.get("mean_average_precision") is not None:
            measured["average_precision"] = ("mean average precision", item["mean_average_precision"])
        for kind, (words, value) in measured.items():
            results.append(
                EvalResult(
                    task_type="text-classification",
                    task_name=name,
                    dataset_type="framewire",
                    dataset_name=f"{folder.codebook.name} test documents",
                    dataset_config=name,  # results of one dataset and configuration are merged, whatever their task is called
                    dataset_split="test",
                    metric_type=kind,
                    metric_name=words,
                    metric_value=round(value, 4),
                )
            )
    data = ModelCardData(
        language="en",
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["framing", "stance", "news"],
        base_model=f"sentence-transformers/{settings.encoder}" if settings.encoder in (PACKAGED, LARGER) else None,
        model_name=folder.name,
        eval_results=results,
    )
    return data.to_yaml()
