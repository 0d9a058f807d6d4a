"""Baselines fitted on the same rows: what a model must beat to be worth its electricity."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from annotations.errors import TrainingError
from annotations.rows import Annotation
from classifier.folder import ModelFolder
from training.encoders import locate
from training.evaluate import Judged
from training.examples import Example, build, goals
from training.metrics import figures, intervals
from training.settings import TrainingSettings

Matrix = NDArray[np.float64]
SETFIT_STEPS = 500  # steps of contrastive learning (batches of 16 pairs); all pairs of thousands of rows would take days


def compared(
    folder: ModelFolder, test: dict[str, Judged], rows: Sequence[Annotation], settings: TrainingSettings, with_setfit: bool = False
) -> dict[str, Any]:
    """Figures of the baselines for each question, learnt from `rows` (training rows) and judged on the rows of `test`.

    Majority and TF-IDF; for a question per target also TF-IDF that does not see the target; SetFit on the same encoder if asked.
    """
    found: dict[str, Any] = {}
    for member in folder.members:
        examples = build(rows, folder.codebook, member, context=False)
        for name in member.questions:
            asked, goal = goals(examples, member, folder.codebook, name)
            judged, question = test[name], folder.codebook.question(name)
            if not len(goal) or not len(judged.goal):
                continue
            known, unknown = [examples[index] for index in asked], judged.examples
            choices = {"majority": majority(goal, len(unknown), question.choose)}
            choices["tf-idf"] = tf_idf(_words(known), goal, _words(unknown), question.choose)
            if question.per_target:
                choices["target-blind"] = tf_idf(_words(known, False), goal, _words(unknown, False), question.choose)
            if with_setfit:
                choices["setfit"] = setfit(_words(known), goal, _words(unknown), question.choose, settings.encoder, settings.seed)
            found[name] = {}
            for kind, chosen in choices.items():
                found[name][kind] = figures(question, judged.goal, chosen)
                drawn = intervals(question, judged.goal > 0.5, chosen, judged.documents)
                found[name][kind]["macro_f1_interval"] = drawn["macro_f1"]
    return found


def _words(examples: Sequence[Example], sees_target: bool = True) -> list[str]:
    return [f"{item.input.first} {item.target}" if sees_target and item.target else item.input.first for item in examples]


def majority(goal: Matrix, size: int, choose: str) -> NDArray[np.bool_]:
    """The most frequent answer of the training rows, for `size` rows: shape (size, labels)."""
    chosen = np.zeros((size, goal.shape[1]), dtype=np.bool_)
    if choose == "one":
        chosen[:, goal.sum(axis=0).argmax()] = True
    else:
        chosen[:] = goal.mean(axis=0) > 0.5
    return chosen


def tf_idf(texts: list[str], goal: Matrix, asked: list[str], choose: str) -> NDArray[np.bool_]:
    """TF-IDF of words and pairs of words with balanced logistic regression; choices for `asked`, shape (asked, labels).

    `texts` and `goal` are the training rows. Where one label is chosen a target belongs into the text.
    """
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2 if len(texts) > 200 else 1, sublinear_tf=True)
    known, unknown = vectorizer.fit_transform(texts), vectorizer.transform(asked)
    chosen = np.zeros((len(asked), goal.shape[1]), dtype=np.bool_)
    if choose == "one":
        held = goal.argmax(axis=1)
        if len(np.unique(held)) == 1:
            return majority(goal, len(asked), choose)
        answer = LogisticRegression(class_weight="balanced", max_iter=1000).fit(known, held).predict(unknown)
        chosen[np.arange(len(asked)), answer] = True
        return chosen
    for column in range(goal.shape[1]):
        held = goal[:, column] > 0.5
        if len(np.unique(held)) == 2:
            chosen[:, column] = LogisticRegression(class_weight="balanced", max_iter=1000).fit(known, held).predict(unknown)
    return chosen


def has_setfit() -> bool:
    """Whether the optional extra is installed (`pip install framewire[setfit]`)."""
    return importlib.util.find_spec("setfit") is not None


def setfit(texts: list[str], goal: Matrix, asked: list[str], choose: str, encoder: str, seed: int, steps: int = SETFIT_STEPS) -> NDArray[np.bool_]:
    """SetFit (Tunstall et al. 2022) on the same encoder: contrastive learning of the encoder, then logistic regression; choices for `asked`.

    Shapes as in `tf_idf`. At most `steps` batches of 16 pairs. Raises TrainingError when SetFit is not installed.
    """
    if not has_setfit():
        raise TrainingError("SetFit is not installed.", "Install the extra: pip install 'framewire[setfit]', or leave the SetFit baseline out.")
    import datasets
    from sentence_transformers import SentenceTransformer
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.multiclass import OneVsRestClassifier

    head = LogisticRegression(class_weight="balanced", max_iter=1000)
    many = choose == "any"
    body = SentenceTransformer(locate(encoder), device="cpu", trust_remote_code=False)
    model = SetFitModel(
        model_body=body, model_head=OneVsRestClassifier(head) if many else head, multi_target_strategy="one-vs-rest" if many else None
    )
    held = goal.astype(int).tolist() if many else goal.argmax(axis=1).tolist()
    arguments = TrainingArguments(batch_size=16, max_steps=steps, seed=seed, report_to="none", save_strategy="no", show_progress_bar=False)
    Trainer(model=model, args=arguments, train_dataset=datasets.Dataset.from_dict({"text": texts, "label": held})).train()
    answer = np.asarray(model.predict(asked, as_numpy=True))
    if many:
        return np.asarray(answer.reshape(len(asked), goal.shape[1]) > 0)
    chosen = np.zeros((len(asked), goal.shape[1]), dtype=np.bool_)
    chosen[np.arange(len(asked)), answer.astype(int)] = True
    return chosen
