"""The model card and the table of a run, made from its report."""

from typing import Any

from annotations.codebook import Question
from classifier.folder import ModelFolder
from training.settings import TrainingSettings

ORIGIN = """The project's own rows were written by language models and coded by language models; agreement figures are between language
models, and no human has checked the labels. Rows of your own are what you made of them."""


def table(report: dict[str, Any]) -> str:
    """The report as a Markdown table: per label precision, recall, F1, average precision and support; then the baselines."""
    lines = []
    for name, item in report["questions"].items():
        low, high = item["macro_f1_interval"]
        lines += [f"**{name}**: macro-F1 {item['macro_f1']:.3f} (95% interval {low:.3f} to {high:.3f}), {item['rows']} rows, ", ""]
        lines[-2] = lines[-2].rstrip(", ") + f" of {item['documents']} documents; calibration error {item['calibration_error']:.3f}."
        lines += ["", "| label | precision | recall | F1 | average precision | support |", "|---|---|---|---|---|---|"]
        for label, row in item["labels"].items():
            if row["few"]:
                lines.append(f"| {label} | too few positives | | | | {row['support']} |")
            else:
                cells = (f"{row[key]:.3f}" for key in ("precision", "recall", "f1", "average_precision"))
                lines.append(f"| {label} | {' | '.join(cells)} | {row['support']} |")
        rivals = report.get("baselines", {}).get(name, {})
        lines += ["", *(f"- {rival}: macro-F1 {row['macro_f1']:.3f}" for rival, row in rivals.items()), ""]
    return "\n".join(lines)


def card(folder: ModelFolder, report: dict[str, Any], settings: TrainingSettings) -> str:
    """The folder's README.md: Hugging Face metadata, what the model answers, how it was made, how good it is, and a methods paragraph."""
    return "\n".join(
        [
            _metadata(folder, report),
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
            "## Methods",
            "",
            _methods(folder, report, settings),
            "",
        ]
    )


def _question(question: Question) -> str:
    kind = "any of" if question.choose == "any" else "one of"
    return f"- **{question.name}**{' (per target)' if question.per_target else ''}: {question.text} {kind} {', '.join(question.label_names)}."


def _methods(folder: ModelFolder, report: dict[str, Any], settings: TrainingSettings) -> str:
    counts = report["counts"]
    scores = "; ".join(
        f"{name} macro-F1 {item['macro_f1']:.2f} [{item['macro_f1_interval'][0]:.2f}, {item['macro_f1_interval'][1]:.2f}]"
        for name, item in report["questions"].items()
    )
    what = "one checkpoint for each question" if len(folder.members) > 1 else "one checkpoint"
    learnt, tuned, judged = (counts[split] for split in ("train", "validation", "test"))
    return (
        f"We fine-tuned {settings.encoder} ({what}; {settings.epochs:g} epochs, learning rate {settings.learning_rate:g}, "
        f"batches of {settings.batch_size}, seed {settings.seed}) on {learnt['rows']:,} sentences of {learnt['documents']:,} documents, coded "
        f"with the codebook '{folder.codebook.name}' ({folder.codebook.fingerprint[:12]}), "
        f"{'with' if settings.context else 'without'} the preceding sentence as context. Probabilities were calibrated and thresholds set "
        f"on {tuned['documents']:,} other documents. On {judged['documents']:,} test documents ({judged['rows']:,} sentences) "
        f"the model reached {scores} (95% bootstrap intervals over documents)."
    )


def _metadata(folder: ModelFolder, report: dict[str, Any]) -> str:
    lines = ["---", "language: en", "license: apache-2.0", "library_name: transformers", "pipeline_tag: text-classification"]
    lines += ["tags: [framing, stance, news]", "model-index:", f"- name: {folder.name}", "  results:"]
    for name, item in report["questions"].items():
        lines += [
            f"  - task: {{type: text-classification, name: {name}}}",
            f"    dataset: {{type: framewire, name: '{folder.codebook.name} test documents'}}",
            f"    metrics: [{{type: f1, name: macro-F1, value: {item['macro_f1']:.4f}}}]",
        ]
    return "\n".join([*lines, "---", ""])
